"""The workers' identity and rights: chroot, priority, OOM score, limits, and which processes may trace them."""

import ctypes
import os
import pwd
import resource
import shutil
import signal
import subprocess

import pytest

from harness import build, fastcgi, process
from harness.wait import wait_until
from harness.worker_script import is_root, script, sleeper, status_field, wait_file

needs_root = pytest.mark.skipif(not is_root(), reason="only root can do that")
PTRACE_ATTACH, PTRACE_DETACH = 16, 17


def running(daemon):
    (worker,) = daemon.wait_workers(1)
    wait_until(lambda: process.command_line(worker).startswith("sleep"), "the worker's program")
    return worker


def chroot_folder(directory):
    """A folder with a static program that prints its working directory and stays."""
    root = directory / "root"
    (root / "bin").mkdir(parents=True)
    (root / "work").mkdir()
    root.chmod(0o755)
    (root / "work").chmod(0o777)
    source = directory / "jailed.c"
    source.write_text(
        "#include <stdio.h>\n#include <unistd.h>\n"
        "int main(void) { char here[256]; if (getcwd(here, sizeof here) == NULL) return 1;\n"
        '  FILE *out = fopen("/work/new", "w"); if (out == NULL) return 2;\n'
        '  fprintf(out, "%s %d\\n", here, (int)getuid()); fclose(out);\n'
        '  rename("/work/new", "/work/seen"); for (;;) pause(); }\n'
    )
    done = subprocess.run(
        [*build.compiler(), "-static", "-o", root / "bin" / "jailed", source], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"no static programs here: {done.stderr[-200:]}")
    return root


@needs_root
@pytest.mark.parametrize("chdir, expected", [(None, "/"), ("/work", "/work")])
def test_chroot(manager, tmp_path, chdir, expected):
    """The program and the folder are looked up inside; nothing from outside is reachable."""
    root = chroot_folder(tmp_path)
    daemon = manager({"command": "/bin/jailed", "chroot": root, "chdir": chdir, "user": "nobody"})
    nobody = pwd.getpwnam("nobody").pw_uid
    assert wait_file(root / "work" / "seen") == f"{expected} {nobody}\n"
    (worker,) = daemon.wait_workers(1)
    assert os.readlink(f"/proc/{worker}/root") == str(root)
    assert all(not target.startswith("/") or target.startswith(("/dev/null", "/memfd:"))
               for target in process.descriptors(worker).values())


@needs_root
def test_a_command_in_a_chroot_is_found_in_path(manager, tmp_path):
    root = chroot_folder(tmp_path)
    manager({"command": "jailed", "chroot": root}, env={"PATH": "/usr/bin:/bin"})
    assert wait_file(root / "work" / "seen").split()[0] == "/"


@needs_root
def test_a_chroot_that_is_removed(manager, tmp_path):
    root = chroot_folder(tmp_path)
    daemon = manager({"command": "/bin/jailed", "chroot": root})
    wait_file(root / "work" / "seen")
    (worker,) = daemon.wait_workers(1)
    (root / "bin" / "jailed").rename(root / "bin" / "gone")
    os.kill(worker, signal.SIGKILL)
    line = daemon.wait_log(r"^.*cannot start worker: .*$")[0]
    assert f"exec /bin/jailed inside {root}: No such file or directory; check `command`" in line
    root.rename(tmp_path / "moved")
    line = daemon.wait_log(r"^.*cannot start worker: chroot.*$")[0]
    assert f"chroot {root}: No such file or directory; check `chroot`" in line
    (tmp_path / "moved" / "bin" / "gone").rename(tmp_path / "moved" / "bin" / "jailed")
    (tmp_path / "moved").rename(root)
    daemon.wait_workers(1, without=[worker])


def test_priority_and_oom_score(manager, tmp_path):
    daemon = manager(
        pools={
            "one": {"command": sleeper(tmp_path), "process.priority": 7, "oom_score_adj": 654},
            "two": {"command": sleeper(tmp_path)},
        },
        settings={"process.priority": 3},
    )
    assert os.getpriority(os.PRIO_PROCESS, daemon.pid) == 3
    with open(f"/proc/{daemon.pid}/oom_score_adj", encoding="ascii") as file:
        inherited = int(file.read())

    def found():
        pairs = set()
        for worker in daemon.workers():
            with open(f"/proc/{worker}/oom_score_adj", encoding="ascii") as file:
                pairs.add((os.getpriority(os.PRIO_PROCESS, worker), int(file.read())))
        return pairs

    wait_until(lambda: found() == {(7, 654), (3, inherited)}, lambda: f"both pools' numbers in {found()}")


@needs_root
def test_higher_priority(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path), "process.priority": -3, "user": "nobody"})
    worker = running(daemon)
    assert os.getpriority(os.PRIO_PROCESS, worker) == -3
    assert os.getpriority(os.PRIO_PROCESS, daemon.pid) == os.getpriority(os.PRIO_PROCESS, 0)


@pytest.mark.parametrize("line, complaint", [
    ("chroot = /tmp", "only root can change the root folder"),
    ("process.priority = -20", "only root can raise the priority"),
])
def test_what_only_root_may_give(tmp_path, line, complaint):
    program = shutil.copy(build.OVERTIME, tmp_path / "overtime")
    path = tmp_path / "main.ini"
    path.write_text(f"[global]\ncontrol.listen = {tmp_path}/ctl\n[www]\ncommand = /bin/true\n"
                    f"listen = {tmp_path}/sock\npm.max_children = 1\n{line}\n")
    whom = {"user": "nobody", "group": "nogroup", "extra_groups": []} if is_root() else {}
    done = subprocess.run([program, "-t", "-c", path], capture_output=True, text=True, check=False, **whom)
    assert done.returncode == 78 and f"{path}:7: [www] {line}: {complaint}" in done.stderr


def test_the_managers_rlimit_files_does_not_affect_workers(manager, tmp_path):
    """Two thousand workers need thousands of descriptors in the manager; a worker needs only its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = min(soft, 256)
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
    try:
        daemon = manager(pools={
            "one": {"command": sleeper(tmp_path)},
            "two": {"command": sleeper(tmp_path), "rlimit_files": 77},
        })
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    wait_until(
        lambda: {resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in daemon.workers()} == {(low, hard), (77, 77)},
        "the limits of the workers",
    )


def test_denied_settings_are_logged(manager, tmp_path):
    """As an ordinary user; the start goes on."""
    if is_root():
        pytest.skip("root can have it")
    daemon = manager({"command": sleeper(tmp_path)}, settings={"process.priority": -20})
    assert "cannot set `process.priority` in [global]" in daemon.log()


# Which processes may trace a worker


def trace(pid):
    """The result of PTRACE_ATTACH to `pid` by the user nobody: 0 or an errno."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        os.setgroups([])
        os.setgid(pwd.getpwnam("nobody").pw_gid)
        os.setuid(pwd.getpwnam("nobody").pw_uid)
        result = 0 if libc.ptrace(PTRACE_ATTACH, pid, 0, 0) == 0 else ctypes.get_errno()
        if result == 0:
            os.waitpid(pid, 0)
            libc.ptrace(PTRACE_DETACH, pid, 0, 0)
        os.write(write, bytes([result]))
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    answer = os.read(read, 1)[0]
    os.close(read)
    return answer


@needs_root
@pytest.mark.parametrize("core, closed", [(None, True), ("0", True), ("1M", False)])
def test_workers_cannot_be_traced_by_their_user(manager, app, tmp_path, core, closed):
    tmp_path.chmod(0o777)
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "user": "nobody", "rlimit_core": core})
    assert fastcgi.request(daemon.address, query="id=a&text=x").text == "x"
    (worker,) = daemon.workers()
    assert (os.stat(f"/proc/{worker}/environ").st_uid == 0) == closed
    assert (trace(worker) != 0) == closed


@needs_root
def test_programs_without_the_library_can_be_traced(manager, tmp_path):
    """The kernel makes a process dumpable again at exec; the manual says so."""
    daemon = manager({"command": sleeper(tmp_path), "user": "nobody"})
    assert os.stat(f"/proc/{running(daemon)}/environ").st_uid == pwd.getpwnam("nobody").pw_uid


@needs_root
@pytest.mark.parametrize("core, closed", [(None, True), ("1M", False)])
def test_a_manager_without_root_is_not_dumpable(tmp_path, core, closed):
    """It runs as the workers' user: they must not read its memory. It can still read what it needs in /proc."""
    tmp_path.chmod(0o777)
    program = shutil.copy(build.OVERTIME, tmp_path / "overtime")
    ini = tmp_path / "main.ini"
    ini.write_text(
        f"[global]\nerror_log = {tmp_path}/log\ncontrol.listen = {tmp_path}/ctl\n"
        + (f"rlimit_core = {core}\n" if core else "")
        + f"[www]\ncommand = {sleeper(tmp_path)}\nlisten = {tmp_path}/www.sock\n"
        "pm = static\npm.max_children = 1\noom_score_adj = 900\n"
    )
    daemon = subprocess.Popen(
        [program, "-F", "-c", ini], user="nobody", group="nogroup", extra_groups=[], stdin=subprocess.DEVNULL,
        env=dict(os.environ, **build.sanitizer_environment(tmp_path)),
    )
    try:
        wait_until(
            lambda: daemon.poll() is not None or "ready: 1 pool" in (tmp_path / "log").read_text()
            if (tmp_path / "log").exists() else daemon.poll() is not None,
            "the start",
        )
        assert daemon.poll() is None, (tmp_path / "log").read_text()
        assert (trace(daemon.pid) != 0) == closed
        (worker,) = process.children(daemon.pid)
        wait_until(lambda: process.command_line(worker).startswith("sleep"), "the worker's program")
        with open(f"/proc/{worker}/oom_score_adj", encoding="ascii") as file:
            assert file.read() == "900\n"
        assert status_field(worker, "Uid").split()[0] == str(pwd.getpwnam("nobody").pw_uid)
    finally:
        assert process.end(daemon) == 0


def test_no_descriptor_of_the_managers_start(manager, tmp_path):
    """A worker with every kind of descriptor still has only those of the contract."""
    extra = {"chroot": "/", "chdir": "/tmp", "user": "nobody"} if is_root() else {"chdir": "/tmp"}
    daemon = manager({
        "command": sleeper(tmp_path), "process.priority": 5, "oom_score_adj": 500, "umask": "077", "rlimit_files": 64, **extra,
    })
    worker = running(daemon)
    wait_until(lambda: sorted(process.descriptors(worker)) == [*range(8), 9], "the contract's descriptors")


@needs_root
def test_a_worker_may_leave_core_files(manager, tmp_path):
    """rlimit_core reaches the worker with both its values."""
    daemon = manager({"command": script(tmp_path, "exec sleep 100000"), "rlimit_core": "1M"})
    assert resource.prlimit(running(daemon), resource.RLIMIT_CORE) == (1 << 20, 1 << 20)
