"""`overtime -t` and `-tt`: all errors are reported at once, with the documented exit status."""

import os
import pwd
import subprocess

import pytest
from harness import build

ROOT = build.ROOT
ROOT_LINE = "user = nobody\n" if os.geteuid() == 0 else ""


def overtime(directory, *arguments, env=None):
    return subprocess.run(
        [str(build.OVERTIME), *map(str, arguments)],
        cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        env={**os.environ, **build.sanitizer_environment(directory), **(env or {})}, check=False,
    )


def pool(name="www", listen="9000", **others):
    lines = {"command": "/bin/true", "listen": listen, "pm.max_children": "2", **others}
    return (
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items()) + ROOT_LINE
    )


def test_a_good_file(tmp_path):
    path = tmp_path / "good.ini"
    path.write_text(pool())
    done = overtime(tmp_path, "-t", "-c", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(path) in done.stdout


def test_all_errors_in_one_go(tmp_path):
    main = tmp_path / "main.ini"
    (tmp_path / "pool.d").mkdir()
    first, second = tmp_path / "pool.d" / "a.ini", tmp_path / "pool.d" / "b.ini"
    main.write_text(
        "[global]\n"
        "log_levl = debug\n"
        "log_limit = 10\n"
        "process.max = -1\n"
        "pid = run/overtime.pid\n"
        "include = pool.d/*.ini\n"
        "include = missing.ini\n"
    )
    first.write_text(
        "[a]\n"
        "command = /nonexistent/application\n"
        "listen = localhost:9000\n"
        "pm = dynamc\n"
        "pm.max_children = 0\n"
        "pm.max_childern = 5\n"
        "user = nosuchuser_\n"
        "env[X] = ${OT_TEST_NOT_SET}\n"
        "these are words\n"
        "max_execution_time = 5 minutes\n"
    )
    second.write_text("[b]\ncommand = 'true\n[b]\n[c\nlisten = 1\n[d]\n")
    expected = {
        f"{main}:2": ("log_levl", "did you mean log_level?"),
        f"{main}:3": ("log_limit = 10", "from 512 to 64K"),
        f"{main}:4": ("process.max = -1", "from 0 to 1048576"),
        f"{main}:5": ("pid = run/overtime.pid", "an absolute path"),
        f"{main}:7": (str(tmp_path / "missing.ini"), "No such file"),
        f"{first}:2": ("[a] command", "/nonexistent/application cannot be run: No such file"),
        f"{first}:3": ("[a] listen = localhost:9000", "names are not looked up"),
        f"{first}:4": ("[a] pm = dynamc", "must be static, dynamic, ondemand"),
        f"{first}:5": ("[a] pm.max_children = 0", "from 1 to 65536"),
        f"{first}:6": ("pm.max_childern", "did you mean pm.max_children?"),
        f"{first}:7": ("user = nosuchuser_", "no such user"),
        f"{first}:8": ("${OT_TEST_NOT_SET}", "no such variable is set"),
        f"{first}:9": ("write NAME = VALUE",),
        f"{first}:10": ("max_execution_time = 5 minutes", "ms, s, m, h or d"),
        f"{second}:2": ("[b] command = 'true", "quote that is never closed"),
        f"{second}:3": ("[b] stands twice", f"{second}:1"),
        f"{second}:4": ("no closing bracket",),
        f"{second}:6": ("[d] command is missing",),
    }
    done = overtime(tmp_path, "-t", "-c", main)
    assert done.returncode == 78
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    for where, parts in expected.items():
        assert any(
            f"{where}: " in line and all(part in line for part in parts) for line in lines
        ), f"{where} {parts} is not in:\n{done.stderr}"
    assert all(any(f"{where}: " in line for where in (*expected, f"{second}:1")) for line in lines)


@pytest.mark.parametrize("option", ["-t", "-tt", "-F", "-D"])
def test_nothing_starts_from_a_bad_file(tmp_path, option):
    path = tmp_path / "bad.ini"
    path.write_text(pool(listen=tmp_path / "www.sock") + "pm = maybe\n")
    done = overtime(tmp_path, option, "-c", path)
    assert done.returncode == 78
    assert f"{path}:{6 if ROOT_LINE else 5}: [www] pm = maybe: must be static" in done.stderr
    assert not (tmp_path / "www.sock").exists()


@pytest.mark.parametrize(
    "name, what",
    [("missing.ini", "No such file"), ("folder", "it is a folder"), ("empty.ini", "no pool")],
)
def test_paths_that_are_not_files(tmp_path, name, what):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.ini").write_text("")
    done = overtime(tmp_path, "-t", "-c", tmp_path / name)
    assert done.returncode == 78
    assert str(tmp_path / name) in done.stderr and what in done.stderr


def test_dump_names_every_origin_and_reads_back(tmp_path):
    main, part = tmp_path / "main.ini", tmp_path / "part.ini"
    main.write_text("[global]\nlog_level = debug\ninclude = part.ini\n")
    part.write_text(pool(**{"env[TEXT]": '"a ; \\"b\\" \\$pool"', "max_execution_time": "90"}))
    first = overtime(tmp_path, "-tt", "-c", main)
    assert (first.returncode, first.stderr) == (0, "")

    def line(text, start):
        return next(line for line in text.splitlines() if line.startswith(start + " = "))

    assert line(first.stdout, "log_level").endswith(f"; {main}:2")
    assert line(first.stdout, "max_execution_time").endswith(f"; {part}:6")
    assert line(first.stdout, "env[TEXT]").endswith(f"; {part}:5")
    assert line(first.stdout, "pm.max_requests").endswith("; default")

    dump = tmp_path / "dump.ini"
    dump.write_text(first.stdout)
    second = overtime(tmp_path, "-tt", "-c", dump)
    assert (second.returncode, second.stderr) == (0, "")

    def values(text):
        return [
            line.rsplit(" ; ", 1)[0].rstrip() for line in text.splitlines()
            if line and not line.startswith(";")
        ]

    assert values(first.stdout) == values(second.stdout)


def test_values_may_come_from_the_environment(tmp_path):
    path = tmp_path / "main.ini"
    path.write_text(pool(**{"env[SECRET]": "${OT_TEST_SECRET}"}))
    done = overtime(tmp_path, "-tt", "-c", path, env={"OT_TEST_SECRET": "a b"})
    assert done.returncode == 0 and "env[SECRET] = a b " in done.stdout


def test_the_samples_are_good_files(tmp_path):
    """As installed, except for the program and, if it does not exist, the user."""
    (tmp_path / "pool.d").mkdir()
    (tmp_path / "overtime.ini").write_text((ROOT / "conf" / "overtime.ini").read_text())
    sample = (ROOT / "conf" / "pool.d" / "www.ini").read_text()
    assert sample.count("/usr/local/bin/application") == 1
    sample = sample.replace("/usr/local/bin/application", "/bin/true")
    if "www-data" not in {entry.pw_name for entry in pwd.getpwall()}:
        sample = sample.replace("user = www-data", "user = nobody")
    (tmp_path / "pool.d" / "www.ini").write_text(sample)
    done = overtime(tmp_path, "-t", "-c", tmp_path / "overtime.ini")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it is about workers as root")
def test_workers_as_root_need_the_option(tmp_path):
    path = tmp_path / "main.ini"
    path.write_text("[www]\ncommand = true\nlisten = 9000\npm.max_children = 1\n")
    done = overtime(tmp_path, "-t", "-c", path)
    assert done.returncode == 78 and f"{path}:1: [www] user is missing" in done.stderr
    path.write_text(path.read_text() + "user = root\n")
    done = overtime(tmp_path, "-t", "-c", path)
    assert done.returncode == 78 and f"{path}:5: " in done.stderr and "-R" in done.stderr
    assert overtime(tmp_path, "-t", "-R", "-c", path).returncode == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root can change to every user")
def test_other_users_are_ignored_with_a_warning(tmp_path):
    path = tmp_path / "main.ini"
    path.write_text(pool(user="root"))
    done = overtime(tmp_path, "-t", "-c", path)
    assert done.returncode == 0 and f"{path}:5: [www] user = root: ignored" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_owners_are_ignored_with_a_warning_too(tmp_path):
    """-t names the settings that an ordinary user cannot change, and the start continues."""
    tool, path = tmp_path / "overtime", tmp_path / "main.ini"
    tool.write_bytes(build.OVERTIME.read_bytes())
    tool.chmod(0o755)
    path.write_text(
        f"[global]\ncontrol.listen = {tmp_path}/ctl\ncontrol.owner = root\ncontrol.group = adm\n"
        f"[www]\ncommand = /bin/true\nlisten = {tmp_path}/www.sock\npm.max_children = 1\n"
        "listen.owner = www-data\nlisten.group = www-data\n"
        f"[own]\ncommand = /bin/true\nlisten = {tmp_path}/own.sock\npm.max_children = 1\n"
        "listen.owner = nobody\nlisten.group = nogroup\n"
    )
    done = subprocess.run(
        [tool, "-tt", "-c", path], user="nobody", group="nogroup", extra_groups=[],
        capture_output=True, text=True, timeout=60, env=build.sanitizer_environment(tmp_path), check=False,
    )
    assert done.returncode == 0, done.stderr
    for line, what in ((3, "control.owner = root"), (4, "control.group = adm"),
                       (9, "listen.owner = www-data"), (10, "listen.group = www-data")):
        assert f"{path}:{line}: " in done.stderr and f"{what}: ignored" in done.stderr
    assert "listen.owner = nobody" in done.stdout and "www-data" not in done.stdout
    assert done.stderr.count("ignored") == 4, done.stderr


@pytest.mark.parametrize("arguments", [["-x"], ["-c"], ["-F", "-D"], ["word"]])
def test_usage(tmp_path, arguments):
    done = overtime(tmp_path, *arguments)
    assert done.returncode == 64 and done.stdout == "" and done.stderr != ""


def test_help_and_version(tmp_path):
    done = overtime(tmp_path, "-h")
    assert done.returncode == 0
    for option in ("-c", "-t", "-F", "-D", "-g", "-R", "-v", "-h"):
        assert option in done.stdout
    done = overtime(tmp_path, "-v")
    assert done.returncode == 0 and done.stdout.startswith("overtime ")
