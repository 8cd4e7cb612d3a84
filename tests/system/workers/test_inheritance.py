"""A worker's initial state: descriptors, environment, identity, limits, signals; and nothing else."""

import os
import pwd
import resource
import signal

import pytest

from harness import fastcgi, process
from harness.address import Address
from harness.scoreboard import VERSION
from harness.wait import wait_until
from harness.worker_script import is_root, script, sleeper, status_field, wait_file

needs_root = pytest.mark.skipif(not is_root(), reason="only root can change users")


def look(directory, command):
    """A worker that writes the output of `command` into the file `seen`, in a folder open to all users."""
    body = f"{command} >{directory}/seen.new\nmv {directory}/seen.new {directory}/seen\nexec sleep 100000"
    return script(directory, body)


def running(daemon):
    (worker,) = daemon.wait_workers(1)
    wait_until(lambda: process.command_line(worker).startswith("sleep"), "the worker's program")
    return worker


def environment(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        pairs = file.read().rstrip(b"\0").split(b"\0")
    return dict(pair.decode().split("=", 1) for pair in pairs if pair)


@pytest.mark.parametrize("output, kind", [({}, "pipe:"), ({"catch_workers_output": "no"}, "/dev/null")],
                         ids=["default", "dropped"])
def test_descriptors(manager, tmp_path, output, kind):
    """Those of the contract, and none that the manager itself inherited."""
    with open(tmp_path / "leak", "w", encoding="ascii") as leak:
        os.set_inheritable(leak.fileno(), True)
        daemon = manager(pools={
            "one": {"command": sleeper(tmp_path), "pm.max_children": 2, **output},
            "two": {"command": sleeper(tmp_path), **output},
        })
    for worker in daemon.workers():
        wait_until(lambda pid=worker: process.command_line(pid).startswith("sleep"), "the program")
        found = wait_until(
            lambda pid=worker: sorted(look := process.descriptors(pid)) == [*range(8), 9] and look,
            lambda pid=worker: f"nine descriptors (its loader has closed its own) in {process.descriptors(pid)}",
        )
        assert found[0].startswith("socket:") and found[1].startswith(kind)
        assert found[2].startswith("pipe:") and found[9].startswith("pipe:"), "whatever is logged of them"
        assert len({found[1], found[2], found[9]}) == 3
        assert "/memfd:" in found[3] and found[3] == found[4] and "eventfd" in found[5]
        assert found[6].startswith("socket:") and found[7].startswith("socket:")
        modes = []
        for number in (3, 4):
            with open(f"/proc/{worker}/fdinfo/{number}", encoding="ascii") as file:
                flags = [line for line in file if line.startswith("flags:")][0]
            modes.append(int(flags.split()[1], 8) & os.O_ACCMODE)
        assert modes == [os.O_RDONLY, os.O_RDWR]


def test_a_clean_environment(manager, tmp_path):
    daemon = manager(
        {"command": sleeper(tmp_path), "env[GREETING]": '"hello world"', "env[EMPTY]": '""'},
        env={"SECRET_OF_THE_MANAGER": "1"},
    )
    found = environment(running(daemon))
    assert found["OVERTIME_CONTRACT"] == f"{VERSION} 0"
    assert found["GREETING"] == "hello world" and found["EMPTY"] == ""
    assert "/usr/bin" in found["PATH"].split(":")
    assert "SECRET_OF_THE_MANAGER" not in found


def test_an_inherited_environment(manager, tmp_path):
    daemon = manager(
        {"command": sleeper(tmp_path), "clear_env": "no", "env[OVERRULED]": "new"},
        env={"HANDED_DOWN": "yes", "OVERRULED": "old", "OVERTIME_CONTRACT": "99 99",
             "FCGI_WEB_SERVER_ADDRS": "192.0.2.1", "OVERTIME_ALLOWED_CLIENTS": "192.0.2.1"},
    )
    found = environment(running(daemon))
    assert not {"FCGI_WEB_SERVER_ADDRS", "OVERTIME_ALLOWED_CLIENTS"} & found.keys(), "listen.allowed_clients decides which clients may connect"
    assert found["HANDED_DOWN"] == "yes" and found["OVERRULED"] == "new"
    assert found["OVERTIME_CONTRACT"] == f"{VERSION} 0"


@pytest.mark.parametrize("clients, handed_on", [
    ("127.0.0.1, 10.0.0.1,2001:db8::1", "127.0.0.1,10.0.0.1,2001:db8::1"),
    ("127.0.0.1, 10.0.0.0/8", None),
])
def test_allowed_clients(manager, tmp_path, clients, handed_on):
    """libfcgi knows no networks and would refuse their clients: that list is for the library alone."""
    from harness.address import free_port

    daemon = manager({
        "command": sleeper(tmp_path), "listen": f"127.0.0.1:{free_port()}",
        "listen.allowed_clients": clients,
    })
    found = environment(running(daemon))
    assert found.get("FCGI_WEB_SERVER_ADDRS") == handed_on
    assert found.get("OVERTIME_ALLOWED_CLIENTS") == (clients.replace(" ", "") if handed_on is None else None)


def test_all_allowed_clients_count(manager, app, tmp_path):
    """A list of 65, the client's address last."""
    clients = [f"192.0.2.{i}" for i in range(64)] + ["127.0.0.1"]
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}", "listen": Address.make("tcp", tmp_path),
        "listen.allowed_clients": ", ".join(clients),
    })
    assert fastcgi.request(daemon.address, query="id=a&text=hello").text == "hello"


def test_slots_are_used_again(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path), "pm.max_children": 3})

    def slots():
        """{contract: pid}; a worker before its exec has none."""
        return {environment(pid).get("OVERTIME_CONTRACT"): pid for pid in daemon.workers()}

    three = {f"{VERSION} 0", f"{VERSION} 1", f"{VERSION} 2"}
    wait_until(lambda: set(slots()) == three, "three slots")
    victim = slots()[f"{VERSION} 1"]
    os.kill(victim, signal.SIGKILL)
    daemon.wait_workers(3, without=[victim])
    wait_until(lambda: set(slots()) == three, "three slots again")


def test_signals_are_as_in_a_fresh_process(manager, tmp_path):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM])
    try:
        daemon = manager({"command": sleeper(tmp_path)})
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    worker = running(daemon)
    # glibc reserves 32 and 33: posix_spawn(), which make uses, passes them on ignored.
    own = ~(1 << 31 | 1 << 32)
    for name in ("SigBlk", "SigIgn", "SigCgt"):
        assert int(status_field(worker, name), 16) & own == 0, name
    assert os.getpgid(worker) == worker, "a process group of its own: Ctrl-C reaches only the manager"


def test_folder_umask_and_limits(manager, tmp_path):
    (tmp_path / "home").mkdir()
    daemon = manager({
        "command": look(tmp_path, "(pwd; umask; ulimit -n; ulimit -c; ulimit -v)"),
        "chdir": tmp_path / "home", "umask": "027", "rlimit_files": "100", "rlimit_core": "0",
        "rlimit_as": "4G",
    })
    running(daemon)
    assert wait_file(tmp_path / "seen").split() == [str(tmp_path / "home"), "0027", "100", "0", str(4 << 20)]


def test_the_managers_limits(manager, tmp_path):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = 300 if hard == resource.RLIM_INFINITY or hard > 300 else hard
    daemon = manager({"command": look(tmp_path, "ulimit -n")}, settings={"rlimit_files": wanted})
    assert wait_file(tmp_path / "seen") == f"{wanted}\n"
    assert daemon.control("ping").returncode == 0


@needs_root
def test_another_user(manager, tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    account = pwd.getpwnam("www-data")
    daemon = manager({"command": sleeper(tmp_path), "user": "www-data"})
    worker = running(daemon)
    assert status_field(worker, "Uid").split() == [str(account.pw_uid)] * 4
    assert status_field(worker, "Gid").split() == [str(account.pw_gid)] * 4
    expected = set(os.getgrouplist("www-data", account.pw_gid))
    assert {int(word) for word in status_field(worker, "Groups").split()} == expected
    assert status_field(worker, "NoNewPrivs") == "1"
    found = environment(worker)
    assert found["USER"] == "www-data" and found["HOME"] == account.pw_dir
    owner = os.stat(daemon.address.path)
    assert owner.st_uid == account.pw_uid and owner.st_gid == account.pw_gid


@needs_root
def test_another_group_and_privileges(manager, tmp_path):
    daemon = manager({
        "command": sleeper(tmp_path), "user": "nobody", "group": "www-data", "no_new_privs": "no",
    })
    worker = running(daemon)
    assert status_field(worker, "Uid").split()[0] == str(pwd.getpwnam("nobody").pw_uid)
    assert status_field(worker, "Gid").split()[0] == str(pwd.getpwnam("www-data").pw_gid)
    assert status_field(worker, "NoNewPrivs") == "0"


@needs_root
def test_a_folder_that_is_removed(manager, tmp_path):
    """The log names the failed step and the directive to change."""
    (tmp_path / "home").mkdir()
    daemon = manager({"command": sleeper(tmp_path), "chdir": tmp_path / "home"})
    worker = running(daemon)
    (tmp_path / "home").rmdir()
    os.kill(worker, signal.SIGKILL)
    line = daemon.wait_log(r"^.*cannot start worker: .*$")[0]
    assert f"chdir {tmp_path}/home: No such file or directory; check `chdir`" in line
    (tmp_path / "home").mkdir()
    daemon.wait_workers(1, without=[worker])
