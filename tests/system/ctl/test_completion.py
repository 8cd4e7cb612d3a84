"""Completion in the shells: static verbs and options; pools and workers are the running manager's."""

import re
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
    """The completions of bash after `line`, split into words as at a terminal."""
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
    assert complete(f"overtimectl --socket={tmp_path}/on") == [f"{tmp_path}/one.sock"]
    assert complete(f"overtimectl record {tmp_path}/t") == [f"{tmp_path}/two"]
    assert complete("overtimectl --socket x request --data ") == []


def documented():
    """{verb: (what it does, its options)} as `overtimectl help` says."""
    def ask(*words):
        done = subprocess.run([build.OVERTIMECTL, "help", *words], capture_output=True, text=True, check=True)
        return done.stdout

    verbs = re.findall(r"^  ([a-z-]+) .*?  +(.*)$", ask().split("verbs:\n")[1].split("\n\n")[0], re.MULTILINE)
    return {verb: (text, set(re.findall(r"^  .*?(--[a-z]+)", ask(verb), re.MULTILINE))) for verb, text in verbs}


def test_without_a_verb_overtimectl_names_all():
    done = subprocess.run([build.OVERTIMECTL], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (64, "")
    assert all(f" {verb}," in done.stderr or f" {verb};" in done.stderr for verb in documented()), done.stderr


def test_bash_has_what_the_help_has():
    known = documented()
    assert len(known) > 10 and set(complete("overtimectl ")) == set(known)
    for verb, (_, options) in known.items():
        assert set(complete(f"overtimectl {verb} --")) == options, verb
    assert set(complete("overtimectl --")) == set.union(*(options for _, options in known.values()))


def zsh(line):
    """The completions of zsh after `line`: the lines of its lists, or "files"."""
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    script = f"""
        PATH={build.BUILD}:$PATH
        _files() {{ print files }}
        _describe() {{ print -l -- ${{(P)4}} }}
        overtimectl_test() {{ source {ZSH} }}
        words=({" ".join(shlex.quote(word) for word in words)}) CURRENT={len(words)}
        overtimectl_test
    """
    done = subprocess.run(["zsh", "-fc", script], capture_output=True, text=True, timeout=60)
    assert not done.stderr
    return [line for line in done.stdout.splitlines() if line]


def test_zsh_has_what_the_help_has():
    known = documented()
    assert dict(line.split(":", 1) for line in zsh("overtimectl ")) == {verb: text for verb, (text, _) in known.items()}
    for verb, (_, options) in known.items():
        found = dict(line.split(":", 1) for line in zsh(f"overtimectl {verb} --"))
        assert set(found) == options and all(found.values()), verb
    assert {line.split(":")[0] for line in zsh("overtimectl --")} == set.union(*(options for _, options in known.values()))


def test_zsh_asks_the_manager(manager, tmp_path):
    assert zsh("overtimectl -s ") == ["files"] and zsh("overtimectl record ") == ["files"]
    assert zsh("overtimectl stop ") == [] and zsh(f"overtimectl -s {tmp_path}/none status ") == []
    daemon = manager(pools={name: {"command": sleeper(tmp_path)} for name in ("www", "box")})
    assert zsh(f"overtimectl -s {daemon.control_path} --json status ") == ["www", "box"]
    workers = zsh(f"overtimectl --socket={daemon.control_path} trace ")
    assert sorted(int(line.split(":")[0]) for line in workers) == sorted(daemon.workers())
    assert {line.split(":")[1] for line in workers} == {"www, unknown", "box, unknown"}
