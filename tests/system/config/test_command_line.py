"""The command line: every option and its exit status."""

import os
import subprocess

import pytest

from harness import build
from harness.worker_script import is_root, sleeper


def overtime(*words, **keywords):
    return subprocess.run(
        [str(build.OVERTIME), *map(str, words)], capture_output=True, text=True, timeout=60, **keywords
    )


def write(directory, text=None, **pool):
    directives = {"command": sleeper(directory), "listen": directory / "www.sock", "pm.max_children": 1}
    if is_root():
        directives["user"] = "nobody"
    directives.update(pool)
    path = directory / "overtime.ini"
    lines = [f"{name} = {value}" for name, value in directives.items() if value is not None]
    path.write_text(text or f"[global]\ncontrol.listen = {directory}/ctl\n[www]\n" + "\n".join(lines) + "\n")
    return path


def test_version_and_help():
    version = overtime("-v")
    assert version.returncode == 0 and version.stdout.startswith("overtime ")
    usage = overtime("-h")
    assert usage.returncode == 0
    for option in ("-c", "-t", "-tt", "-F", "-D", "-g", "-R", "-v", "-h"):
        assert f"  {option}" in usage.stdout


def test_long_names():
    assert overtime("--version").stdout == overtime("-v").stdout
    assert overtime("--help").stdout == overtime("-h").stdout
    unknown = overtime("--dance")
    assert unknown.returncode == 64 and "unknown option --dance\n" in unknown.stderr
    assert "no value is taken by --help=me" in overtime("--help=me").stderr
    assert "unknown option -x\n" in overtime("-x").stderr


@pytest.mark.parametrize("words", [["-x"], ["-c"], ["stray"], ["-F", "-D"], ["-D", "-F"], ["-g", ""]])
def test_bad_usage(words):
    answer = overtime(*words)
    assert answer.returncode == 64
    assert answer.stdout == "" and "usage:" in answer.stderr


def test_a_good_configuration_is_accepted(tmp_path):
    answer = overtime("-t", "-c", write(tmp_path))
    assert answer.returncode == 0, answer.stderr
    assert "fine" in answer.stdout and "1 pool" in answer.stdout
    assert not (tmp_path / "www.sock").exists()


def test_effective_values_with_their_origin(tmp_path):
    path = write(tmp_path)
    answer = overtime("-tt", "-c", path)
    assert answer.returncode == 0, answer.stderr
    assert "pm.max_children" in answer.stdout and "process_control_timeout" in answer.stdout
    assert str(path) in answer.stdout
    twice = overtime("-t", "-t", "-c", path)
    assert twice.stdout == answer.stdout


def test_a_relative_file(tmp_path):
    write(tmp_path)
    assert overtime("-t", "-c", "overtime.ini", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("option", [["-t"], ["-F"], ["-D"]])
def test_a_bad_configuration(tmp_path, option):
    path = write(tmp_path, **{"pm.max_children": "none", "umask": "999"})
    answer = overtime("-c", path, *option)
    assert answer.returncode == 78
    assert f"{path}:" in answer.stderr
    assert "pm.max_children" in answer.stderr and "umask" in answer.stderr, "all errors at once"


def test_a_missing_configuration(tmp_path):
    answer = overtime("-c", tmp_path / "nowhere.ini")
    assert answer.returncode == 78 and "nowhere.ini" in answer.stderr


def test_an_unwritable_log(tmp_path):
    path = write(tmp_path)
    path.write_text(f"[global]\nerror_log = {tmp_path}/nowhere/log\n" + path.read_text()[len("[global]\n"):])
    answer = overtime("-c", path)
    assert answer.returncode == 78 and "error_log" in answer.stderr


@pytest.mark.skipif(not is_root(), reason="only root is asked for -R")
def test_workers_as_root_need_an_option(tmp_path):
    path = write(tmp_path, user="root")
    refused = overtime("-t", "-c", path)
    assert refused.returncode == 78 and "-R" in refused.stderr
    assert overtime("-t", "-R", "-c", path).returncode == 0


def test_the_pid_file_of_the_command_line(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path)}, arguments=["-g", tmp_path / "own.pid"])
    assert (tmp_path / "own.pid").read_text() == f"{daemon.pid}\n"
    daemon.stop()
    assert not os.path.exists(tmp_path / "own.pid")
