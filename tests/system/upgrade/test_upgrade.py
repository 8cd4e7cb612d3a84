"""`overtimectl upgrade`: another version of the manager takes its place; clients do not notice."""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from harness import build, load, process
from harness.address import Address
from harness.load import Kind
from harness.manager import Manager
from harness.shown import bound, pick, show
from harness.totals import totals
from harness.wait import now, wait_until
from harness.worker_script import is_root, script

VERSION = "9.9.9"


def installed(directory):
    """The manager's program in a place where an upgrade may replace it."""
    path = directory / "overtime"
    shutil.copy(build.OVERTIME, path)
    return path


def replace(path, text):
    """Replaces the program as a package does: a new file with the old name."""
    fresh = path.with_suffix(".new")
    if isinstance(text, bytes):
        fresh.write_bytes(text)
    else:
        fresh.write_text("#!/bin/sh\n" + text)
    fresh.chmod(0o755)
    os.replace(fresh, path)


def version():
    """The built version, as the program prints it."""
    out = subprocess.run([build.OVERTIME, "-v"], capture_output=True, text=True, check=True).stdout
    return re.match(r"overtime (\S+)", out)[1]


def other_version():
    """The program with another version in it."""
    was = version()
    assert len(was) == len(VERSION)
    return build.OVERTIME.read_bytes().replace(was.encode() + b"\0", VERSION.encode() + b"\0")


def pool_of(app, listen, workers, **more):
    return {"command": app("load_worker"), "listen": listen, "pm.max_children": workers, "env[MARK]": "v0", **more}


def descriptors(daemon):
    """The open descriptors, without the inode numbers that change."""
    found = process.descriptors(daemon.pid).values()
    return sorted(re.sub(r"\[\d+\]", "", target) for target in found)


def settled_descriptors(daemon):
    """The same when no client of the control socket is left."""
    last = []

    def quiet():
        nonlocal last
        was, last = last, descriptors(daemon)
        return was == last and last

    return wait_until(quiet, "open descriptors that stay the same")


def wait_descriptors(daemon, expected):
    wait_until(lambda: descriptors(daemon) == expected,
               lambda: f"the same descriptors: {descriptors(daemon)}, not {expected}")


def upgrade(daemon, *words):
    answer = daemon.control("upgrade", *words)
    assert answer.returncode == 0, f"{answer.stderr}; the log:\n{daemon.log()[-4000:]}"
    return answer.stdout


def test_clients_do_not_notice(manager, app, tmp_path):
    """Under load, to the same program, to another version and back: no request fails, the process and its
    workers stay, the counters go on, and no descriptor is left open."""
    program = installed(tmp_path)
    addresses = {
        f"{kind}-{keep}": Address.make(kind, tmp_path, f"{kind}-{keep}")
        for kind in ("unix", "tcp") for keep in ("closed", "kept")
    }
    daemon = manager(pools={name: pool_of(app, address, 4) for name, address in addresses.items()}, program=program)
    before, pid = set(daemon.workers()), daemon.pid
    assert totals(daemon, "unix-closed")["workers"] == 4
    open_before = settled_descriptors(daemon)
    kinds = [
        Kind(name, to=address, keep=name.endswith("kept"), query="sleep=5", text="hello")
        for name, address in addresses.items()
    ]
    slowest = 0
    with load.Run(kinds=kinds, rate=300, poisson=True, seconds=pick(4, 20)) as run:
        wait_until(lambda: totals(daemon, "unix-closed")["requests"] > 10, "the load")
        for text in (None, other_version(), build.OVERTIME.read_bytes()):
            was = re.search(r"version (\S+)", daemon.control("ping").stdout)[1]
            if text is not None:
                replace(program, text)
            began = now()
            said = upgrade(daemon, "--wait")
            slowest = max(slowest, (now() - began) * 1000)
            is_now = re.search(r"version (\S+)", daemon.control("ping").stdout)[1]
            assert f"process {pid} was version {was} and is version {is_now}, with 16 workers" in said
            assert (text is None) == (was == is_now)
            assert set(daemon.workers()) == before
        assert run.running, "the upgrades took too long"
        report = run.result()
    show("upgrade under load", f"{report.failed} of {report.count} requests failed in 3 upgrades, the slowest took "
         f"{slowest:.0f} ms; slowest answer {report.max:.0f} ms; own lag {report.lag:.0f} ms")
    assert report.failed == 0, report
    assert report.max < bound(200, 1000) + 2 * report.lag, report
    counted = [totals(daemon, name) for name in addresses]
    assert sum(found["requests"] for found in counted) == report.count
    assert [found["spawned"] for found in counted] == [4] * 4, "the counters must not restart"
    assert set(daemon.workers()) == before and daemon.pid == pid
    wait_descriptors(daemon, open_before)
    assert not re.search(r"died of|SIGKILL|ERROR|ALERT", daemon.log())


def test_post_response_work_goes_on(manager, app, tmp_path):
    """Also that of an older generation, and of a pool that is no longer in the file; a client that waits for an
    earlier reload still learns of its end."""
    names = ("kept", "replaced", "removed")
    daemon = manager(pools={
        name: pool_of(app, Address.make("unix", tmp_path, name), 2) for name in names
    }, program=installed(tmp_path), settings={"process_control_timeout": "60s"})
    workers = {}
    for name in names:
        query = f"finish&label={name}&sleep=4000&touch={tmp_path}/{name}.done"
        assert load.run(daemon.addresses[name], burst=1, query=query, length=0).ok
    began = now()
    text = daemon.ini_path.read_text()
    head, kept, replaced = re.split(r"(?=^\[(?:kept|replaced)\])", text, flags=re.MULTILINE)
    replaced = replaced.split("[removed]")[0].replace("env[MARK] = v0", "env[MARK] = v1")
    daemon.write(head + kept + replaced)
    waiting = subprocess.Popen(
        [str(build.OVERTIMECTL), "-s", str(daemon.control_path), "reload", "--wait"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=daemon.environment,
    )
    daemon.wait_log(r"pool replaced: the workers of generation 2 serve")
    # One worker of each pool is busy; two stay beside it, two are new.
    workers = set(daemon.wait_workers(7))
    upgrade(daemon)
    upgrade(daemon)
    assert set(daemon.workers()) == workers
    assert waiting.poll() is None and now() - began < 4
    listed = daemon.control("workers").stdout
    assert all(re.search(rf"^{name} .*post-response.*{name}", listed, re.MULTILINE) for name in names), listed
    for name in names:
        wait_until((tmp_path / f"{name}.done").exists, f"the end of the work in {name}")
    out, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 0, err
    assert "1 replaced" in out and "1 removed" in out
    assert not re.search(r"died of|SIGKILL", daemon.log())


def test_signals_and_deaths_during_the_exec(manager, app, tmp_path):
    """A worker that dies during the exec is replaced, a requested reload is done, and a requested stop as well."""
    program = installed(tmp_path)
    daemon = manager(pool_of(app, Address.make("unix", tmp_path), 3), program=program)
    before = daemon.workers()
    real = tmp_path / "real"
    shutil.copy(build.OVERTIME, real)
    replace(program, f"""
if [ -n "$OVERTIME_UPGRADE" ]; then
    kill -9 {before[0]}
    kill -USR2 $$
    state=
    while [ "$state" != Z ]; do read -r pid name state rest </proc/{before[0]}/stat; done
fi
exec {real} "$@"
""")
    upgrade(daemon)
    after = daemon.wait_workers(3, without=before[:1])
    assert set(before[1:]) < set(after)
    daemon.wait_log("SIGUSR2: reload of")
    daemon.wait_log(rf"worker {before[0]} \(slot \d\) died of SIGKILL")
    found = totals(daemon)
    assert (found["spawned"], found["died"]) == (4, 1)
    replace(real, f'[ -z "$OVERTIME_UPGRADE" ] || kill -QUIT $$\nexec {build.OVERTIME} "$@"\n')
    answer = daemon.control("upgrade")
    assert answer.returncode == 0 or "stops" in answer.stderr, answer
    daemon.wait_log("SIGQUIT: stopping")
    daemon.stop(number=0)  # it has been requested


BROKEN = {
    "not executable": (None, r"cannot be run: Permission denied"),
    "exits": ("echo libraries are missing >&2; exit 1", r"exited with status 1: libraries are missing"),
    "crashes": ("kill -SEGV $$", r"died of SIGSEGV"),
    "is another program": ("echo hello", r"is it overtime\? It says: hello"),
    "hangs": ("exec sleep 1000", r"did not say within \d+ s"),
    "cannot be executed then": ('{real} "$@" && chmod -x {program}', r"cannot execute .*: Permission denied"),
}


@pytest.mark.parametrize("how", [*BROKEN, "refuses the state", "refuses the configuration"])
def test_a_broken_program_changes_nothing(manager, app, tmp_path, how):
    program = installed(tmp_path)
    daemon = manager(pool_of(app, Address.make("unix", tmp_path), 2), program=program)
    before, open_before = daemon.workers(), settled_descriptors(daemon)
    with load.Run(daemon.address, rate=50, seconds=pick(1, 2), text="hello") as run:
        if how == "refuses the state":
            real = build.OVERTIME.read_bytes()
            replace(program, real.replace(b"overtime-handover %d", b"overtime-handovez %d").replace(
                b"overtime-handover\0", b"overtime-handovez\0"))
            pattern = r'cannot take over: it exited with status 70: \S*"overtime-handovez" was expected'
        elif how == "refuses the configuration":
            daemon.write(daemon.ini_path.read_text().replace("pm.max_children = 2", "pm.max_childern = 2"))
            pattern = rf"{daemon.ini_path}:\d+: \[www\] pm.max_childern"
        else:
            text, pattern = BROKEN[how]
            replace(program, (text or "").format(real=build.OVERTIME, program=program))
            if text is None:
                program.chmod(0o644)
        answer = daemon.control("upgrade")
        report = run.result()
    assert answer.returncode == 1, answer
    assert re.search(pattern, answer.stderr), answer.stderr
    daemon.wait_log(r"upgrade: .*" + pattern + ".*; nothing changes")
    assert report.failed == 0, report
    assert daemon.workers() == before
    wait_descriptors(daemon, open_before)
    assert f"version {version()}" in daemon.control("ping").stdout
    if how != "refuses the configuration":
        replace(program, other_version())
        assert f"is version {VERSION}" in upgrade(daemon), "the next upgrade succeeds"


def test_the_file_is_read_again(manager, app, tmp_path):
    """As by a reload: unchanged pools keep their workers."""
    daemon = manager(pools={
        name: pool_of(app, Address.make("unix", tmp_path, name), 2) for name in ("one", "two")
    }, program=installed(tmp_path), settings={"log_level": "debug"})
    before = set(daemon.workers())
    head, two = daemon.ini_path.read_text().split("[two]")
    daemon.write(head + "[two]" + two.replace("= v0", "= v1"))
    said = upgrade(daemon, "--wait")
    assert "1 replaced" in said and "1 as they were" in said
    assert len(before & set(daemon.wait_workers(4))) == 2
    assert load.run(daemon.addresses["two"], burst=4, text="hello").failed == 0
    assert "-handover" not in daemon.control("config").stdout


def test_output_and_access_log_go_on(manager, app, tmp_path):
    """The output of a worker is still logged, and the access log has every line."""
    body = f"printf 'one half'\ntouch {tmp_path}/half\nwhile ! [ -e {tmp_path}/go ]; do sleep 0.05; done\n" \
           "echo 'and the other'\nexec sleep 100000"
    log = tmp_path / "access"
    daemon = manager(pools={
        "talks": {"command": script(tmp_path, body)},
        "www": pool_of(app, Address.make("unix", tmp_path, "www"), 2, **{
            "access.log": log, "access.format": '"%m %r%Q%q %s"'}),
    }, program=installed(tmp_path))
    wait_until((tmp_path / "half").exists, "half a line")
    writer = daemon.writer()
    assert load.run(daemon.addresses["www"], clients=1, count=3, query="pid", length=None).ok == 3
    upgrade(daemon)
    assert daemon.writer() == writer
    assert load.run(daemon.addresses["www"], clients=1, count=3, query="pid", length=None).ok == 3
    with load.Run(daemon.addresses["www"], clients=1, count=1, query="sleep=60000") as run:
        listed = wait_until(lambda: re.search(r"^www +(\d+) +\d running", daemon.control("workers").stdout, re.MULTILINE),
                            "a request at work")
        os.kill(int(listed[1]), signal.SIGKILL)
        run.result()
    daemon.wait_log(r'said into stdout: "one half"$')
    (tmp_path / "go").touch()
    daemon.wait_log(r'said into stdout: "and the other"$')
    wait_until(lambda: len(log.read_text().splitlines()) == 7, lambda: f"seven lines: {log.read_text()}")
    assert "sleep=60000" in log.read_text().splitlines()[-1], "the dead worker's line, in the same format"
    assert daemon.control("reopen-logs").returncode == 0


def test_in_the_background(tmp_path, app):
    """With a configuration named from another folder, and a pid file that stays locked."""
    program = installed(tmp_path)
    pid_file = tmp_path / "pid"
    daemon = Manager(tmp_path, pool_of(app, Address.make("unix", tmp_path), 2), settings={"pid": pid_file})
    words = [str(program), "-D", "-c", daemon.ini_path.name] + (["-R"] if is_root() else [])
    subprocess.run(words, cwd=tmp_path, env=daemon.environment, check=True, timeout=60)
    pid = int(pid_file.read_text())
    try:
        before = process.children(pid)
        replace(program, other_version())
        assert f"is version {VERSION}" in upgrade(daemon)
        assert int(pid_file.read_text()) == pid and process.children(pid) == before
        with open(pid_file, encoding="ascii") as file, pytest.raises(BlockingIOError):
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert {process.descriptors(pid)[number] for number in range(3)} == {"/dev/null"}
    finally:
        assert daemon.control("stop", "--wait").returncode == 0
        wait_until(lambda: process.reap(pid) or not process.alive(pid), "the daemon's end")
    assert not pid_file.exists() and not os.path.exists(daemon.address.path)


def test_pools_still_follow_the_load(manager, app, tmp_path):
    daemon = manager(pool_of(app, Address.make("unix", tmp_path), 6, **{
        "pm": "ondemand", "pm.process_idle_timeout": "300ms"}), program=installed(tmp_path))
    assert load.run(daemon.address, burst=3, query="sleep=100", text="hello").failed == 0
    upgrade(daemon)
    wait_until(lambda: not daemon.workers(), "the retirement of all")
    assert load.run(daemon.address, burst=6, query="sleep=100", text="hello").failed == 0
    found = totals(daemon)
    assert found["spawned"] == 9 and found["died"] == 0 and found["requests"] == 9
    wait_until(lambda: sum(totals(daemon)["exit_statuses"].values()) >= 3, "the earlier exits")


def test_systemd_is_notified(manager, app, tmp_path):
    """Reloading, from before the exec until the configuration is in force; the process stays the main one. A
    refused program causes no message."""
    program = installed(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        daemon = manager(pool_of(app, Address.make("unix", tmp_path), 1), program=program,
                         settings={"systemd_interval": 0}, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        ready = f"READY=1\nMAINPID={daemon.pid}"
        assert listener.recv(4096).decode() == ready
        replace(program, "exit 1")
        assert daemon.control("upgrade").returncode == 1
        replace(program, build.OVERTIME.read_bytes())
        upgrade(daemon)
        heard = [listener.recv(4096).decode()]
        while heard[-1] != ready:
            heard.append(listener.recv(4096).decode())
        assert len(heard) > 1 and all(text.startswith("RELOADING=1\n") for text in heard[:-1]), heard
    (tmp_path / "notify").unlink()


def test_one_at_a_time(manager, app, tmp_path):
    program = installed(tmp_path)
    daemon = manager(pool_of(app, Address.make("unix", tmp_path), 1), program=program)
    replace(program, f"""
if [ -z "$OVERTIME_UPGRADE" ]; then
    touch {tmp_path}/asked
    while ! [ -e {tmp_path}/go ]; do sleep 0.02; done
fi
exec {build.OVERTIME} "$@"
""")
    first = subprocess.Popen(
        [str(build.OVERTIMECTL), "-s", str(daemon.control_path), "upgrade"], stdout=subprocess.PIPE,
        text=True, env=daemon.environment)
    wait_until((tmp_path / "asked").exists, "the probe of the new program")
    answer = daemon.control("upgrade")
    assert answer.returncode == 1 and "on its way already" in answer.stderr
    assert daemon.control("ping").returncode == 0, "it serves meanwhile"
    (tmp_path / "go").touch()
    assert "was version" in first.communicate(timeout=30)[0]
