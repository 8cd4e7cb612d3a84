"""Completion in the shells: verbs and options from the program, pools and workers from the manager."""

import shlex
import shutil
import subprocess

import pytest

from harness import build
from harness.worker_script import sleeper

pytestmark = pytest.mark.unsanitized

BASH = build.ROOT / "packaging" / "completion" / "overtimectl.bash"
ZSH = build.ROOT / "packaging" / "completion" / "_overtimectl"


def complete(line):
    """What bash offers behind `line`, which it cuts into words as it does at a terminal."""
    script = f"""
        source {BASH}
        PATH={build.BUILD}:$PATH
        COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)} COMP_WORDS=() COMP_CWORD=-1
        words={shlex.quote(line)}
        # As readline: blanks part words, and = : are words of their own.
        while [[ $words =~ ^[[:space:]]*([=:]|[^[:space:]=:]+)(.*)$ ]]; do
            COMP_WORDS+=("${{BASH_REMATCH[1]}}") words=${{BASH_REMATCH[2]}}
        done
        [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _overtimectl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert not done.stderr
    return [word for word in done.stdout.splitlines() if word]


def test_it_is_registered():
    done = subprocess.run(["bash", "-c", f"source {BASH}; complete -p overtimectl"], capture_output=True, text=True,
                          check=True)
    assert done.stdout == "complete -F _overtimectl overtimectl\n"


def test_verbs_and_options():
    verbs = complete("overtimectl ")
    assert {"ping", "status", "workers", "config", "request", "reload", "stop", "quit", "help"} <= set(verbs)
    assert complete("overtimectl relo") == ["reload"]
    assert complete("overtimectl help relo") == ["reload"]
    assert complete("overtimectl --json relo") == ["reload"]
    assert set(complete("overtimectl reload --")) == {"--socket", "--json", "--wait", "--all", "--version", "--help"}
    assert complete("overtimectl request --ti") == ["--timeout"]
    assert complete("overtimectl stop --a") == []
    assert complete("overtimectl stop ") == [] and complete("overtimectl nonsense ") == []


def test_what_the_manager_knows(manager, tmp_path):
    command = sleeper(tmp_path)
    daemon = manager(pools={name: {"command": command} for name in ("www", "web", "box")})
    begin = f"overtimectl -s {daemon.control_path}"
    assert complete(f"{begin} status ") == ["www", "web", "box"]
    assert complete(f"{begin} status w") == ["www", "web"]
    assert complete(f"overtimectl --socket={daemon.control_path} request b") == ["box"]
    assert complete(f"overtimectl --socket {daemon.control_path} --json workers ww") == ["www"]
    assert complete(f"{begin} reload --all b") == ["box"]
    assert complete(f"{begin} request www ") == []
    assert sorted(map(int, complete(f"{begin} trace "))) == sorted(daemon.workers())
    log = daemon.log()
    assert "error" not in log.lower()


def test_without_a_manager(tmp_path):
    assert complete(f"overtimectl -s {tmp_path}/none status ") == []


def test_files(tmp_path):
    (tmp_path / "one.sock").touch()
    (tmp_path / "two").touch()
    assert complete(f"overtimectl -s {tmp_path}/on") == [f"{tmp_path}/one.sock"]


def test_zsh(tmp_path):
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    script = f"""
        PATH={build.BUILD}:$PATH
        _files() {{ print files }}
        _describe() {{ print -l -- ${{(P)4}} }}
        overtimectl_test() {{ source {ZSH} }}
        words=(overtimectl relo) CURRENT=2
        overtimectl_test
        words=(overtimectl -s '') CURRENT=3
        overtimectl_test
    """
    done = subprocess.run(["zsh", "-fc", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["reload:read the configuration anew", "files"]
