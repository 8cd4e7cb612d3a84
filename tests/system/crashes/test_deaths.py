"""Workers die in every way; the manager, other workers and other pools go on."""

import os
import re
import signal

import pytest

from harness import fastcgi, process, scoreboard
from harness.wait import stays, wait_until
from harness.worker_script import script, sleeper, wait_file

# Stop signals do not end a process, and KILL has a test of its own.
ENDING = [
    number for number in sorted(signal.valid_signals())
    if number not in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT,
                      signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH)
]


def starts(directory):
    """How many workers have run: each appends a byte to a file."""
    path = directory / "starts"
    return path.stat().st_size if path.exists() else 0


def counting(directory, rest, name="counting"):
    return script(directory, f"printf x >>{directory}/starts\n{rest}", name)


def test_a_killed_worker_is_replaced(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path), "pm.max_children": 3})
    seen = daemon.workers()
    for _ in range(5):
        victim = daemon.workers()[0]
        os.kill(victim, signal.SIGKILL)
        seen += daemon.wait_workers(3, without=[victim])
        line = daemon.wait_log(rf"^.*worker {victim} \(slot \d\) died of SIGKILL.*$")[0]
        assert "pool www" in line and "after" in line and "unknown" in line
    assert process.alive(daemon.pid)


def test_every_exit_status(manager, tmp_path):
    """256 workers of one pool leave with 256 statuses, each in its log line."""
    body = (
        "n=${OVERTIME_CONTRACT#* }\n"
        f"mkdir {tmp_path}/first.$n 2>/dev/null || exec sleep 100000\n"
        f": <{tmp_path}/go\nexit $n"  # open() waits for the other end
    )
    os.mkfifo(tmp_path / "go")
    daemon = manager({"command": script(tmp_path, body), "pm.max_children": 256})
    wait_until(lambda: all((tmp_path / f"first.{n}").exists() for n in range(256)), "256 workers")
    with open(tmp_path / "go", "wb"):
        for status in range(256):
            daemon.wait_log(rf"exited with status {status} ")
    daemon.wait_workers(256)
    assert daemon.control("ping").returncode == 0


@pytest.mark.parametrize("status", [0, 1, 2, 99, 124, 126, 127, 128, 254, 255])
def test_exit_statuses(manager, tmp_path, status):
    body = f"[ $(stat -c %s {tmp_path}/starts) -gt 1 ] && exec sleep 100000\nexit {status}"
    daemon = manager({"command": counting(tmp_path, body)})
    line = daemon.wait_log(rf"^.*worker \d+ \(slot 0\) exited with status {status} .*$")[0]
    assert ("NOTICE" if status == 0 else "WARNING") in line
    daemon.wait_log("next start in 100 ms")
    wait_until(lambda: starts(tmp_path) == 2, "the replacement")
    assert len(daemon.wait_workers(1)) == 1
    assert daemon.control("ping").returncode == 0


def test_every_signal(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path), "pm.max_children": len(ENDING), "rlimit_core": "0"})
    for number, victim in zip(ENDING, daemon.wait_workers(len(ENDING))):
        os.kill(victim, number)
        line = daemon.wait_log(rf"^.*worker {victim} .*died of .*$")[0]
        names = {name for name, value in vars(signal).items() if name.startswith("SIG") and value == number}
        assert any(f"died of {name} " in line for name in names | {f"signal {number}"}), line
    daemon.wait_workers(len(ENDING))


def test_crash_loop_backs_off(manager, tmp_path):
    """The delay doubles, with one line per step, and another pool is not affected."""
    daemon = manager(pools={
        "bad": {"command": counting(tmp_path, "kill -SEGV $$"), "pm.max_children": 3, "rlimit_core": "0"},
        "good": {"command": sleeper(tmp_path), "pm.max_children": 2},
    })
    daemon.wait_log(r"pool bad: .*next start in 1\.6 s")
    steps = re.findall(r"next start in (.*)", daemon.log_path.read_text())
    assert steps[:5] == ["100 ms", "200 ms", "400 ms", "800 ms", "1.6 s"]
    assert starts(tmp_path) <= 15, "three workers in each of five turns"
    daemon.wait_workers(2)
    assert "pool good: worker" not in daemon.log()


def test_exec_failure_backs_off(manager, tmp_path):
    """A program may be removed while the manager runs; the back-off begins, and ends when it is back."""
    program = sleeper(tmp_path)
    daemon = manager(pools={"bad": {"command": program}, "good": {"command": script(tmp_path, "exec sleep 100000")}})
    bad, good = daemon.workers()
    program.rename(tmp_path / "away")
    os.kill(bad, signal.SIGKILL)
    line = daemon.wait_log(r"^.*ERROR: pool bad: cannot start worker: .*next start in 200 ms$")[0]
    assert "exec" in line and "No such file or directory" in line and "check `command`" in line
    assert good in daemon.workers()
    (tmp_path / "away").rename(program)
    daemon.wait_workers(2, without=[bad])
    assert good in daemon.workers()


def test_a_worker_that_served_is_replaced_at_once(manager, app, tmp_path):
    """However young it is, and again and again."""
    daemon = manager({"command": f"{app('worker')} {tmp_path}"})
    seen = []
    for number in range(8):
        (worker,) = daemon.wait_workers(1, without=seen)
        seen.append(worker)
        assert fastcgi.request(daemon.address, query=f"id=r{number}&text=x").text == "x"
        os.kill(worker, signal.SIGABRT)
    daemon.wait_workers(1, without=seen)
    assert "next start in" not in daemon.log()


def test_recycling_by_request_count(manager, app, tmp_path):
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "pm.max_requests": 3},
                     settings={"log_level": "debug"})
    for number in range(10):
        assert fastcgi.request(daemon.address, query=f"id=r{number}&text=x").text == "x"
    daemon.wait_log(r"DEBUG: .*exited with status 0 .*3 requests: `pm\.max_requests` reached$", count=3)
    # A request that arrives while the only worker is exiting waits for the next one; a warning may say so.
    told = [line for line in daemon.log().splitlines() if "WARNING" in line and "connection waits" not in line]
    assert "next start in" not in daemon.log() and not told


def test_a_lost_wakeup_is_passed_on(manager, app, listen, tmp_path):
    """The kernel wakes one worker for a connection, and it dies before it accepts. Another one must accept."""
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "listen": listen, "pm.max_children": 2})
    for number in range(4):
        assert fastcgi.request(listen, query=f"id=w{number}&text=x").text == "x"
    workers = daemon.wait_workers(2)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    with fastcgi.Connection(listen) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=served"))
        os.kill(workers[0], signal.SIGKILL)
        os.kill(workers[1], signal.SIGCONT)
        assert connection.read_response(wait_eof=True).text == "served"


def test_a_worker_that_scribbles_over_the_scoreboard(manager, app, tmp_path):
    """Whatever it writes, and wherever: the manager and other pools are not affected."""
    body = (
        "import mmap, os, time\n"
        "size = os.fstat(4).st_size\n"
        "board = mmap.mmap(4, size)\n"
        "for size in (1, 0):\n"
        "    try:\n        os.ftruncate(4, size)\n        raise SystemExit('cut')\n"
        "    except PermissionError:\n        pass\n"
        "pattern = [b'\\xff', b'LSTO\\x02\\0\\0\\0']\n"
        "turn = 0\n"
        "while True:\n"
        "    turn += 1\n"
        "    fill = pattern[turn % 2]\n"
        "    board[:] = fill * (len(board) // len(fill))\n"
        f"    open('{tmp_path}/turns', 'a').write('x')\n"
    )
    daemon = manager(pools={
        "bad": {"command": script(tmp_path, body, "bad", shell="/usr/bin/python3"), "pm.max_children": 2},
        "good": {"command": f"{app('worker')} {tmp_path}"},
    })
    wait_until(lambda: (tmp_path / "turns").exists() and (tmp_path / "turns").stat().st_size > 10, "scribbling")
    for _ in range(20):
        for words in (["status"], ["workers"], ["--json", "workers"]):
            assert daemon.control(*words).returncode == 0
    victims = [pid for pid in daemon.workers() if "bad" in process.command_line(pid)]
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
        daemon.wait_log(rf"worker {victim} .*died of SIGKILL")
    assert fastcgi.request(daemon.addresses["good"], query="id=a&text=fine").text == "fine"
    assert "cut" not in daemon.log()


def test_nothing_is_left_of_the_dead(manager, app, tmp_path):
    """No zombie, and the manager has as many descriptors as before."""
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "pm.max_children": 4})

    def all_idle():
        found = scoreboard.records(daemon)
        return len(found) == 4 and all(record.state == "idle" for record in found)

    before = daemon.descriptor_count()
    for _ in range(25):
        wait_until(all_idle, "an idle pool")
        victims = daemon.workers()
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        daemon.wait_workers(4, without=victims)
    assert "next start in" not in daemon.log(), "a KILL that the manager did not send is no crash"
    wait_until(lambda: len(process.children(daemon.pid)) == 4, "no zombies")
    wait_until(lambda: daemon.descriptor_count() == before, "as many descriptors as before")


def test_orphans_of_a_worker_are_ignored(manager, tmp_path):
    """A child that outlives its worker neither delays the replacement nor keeps its output open."""
    body = f"sleep 100000 & echo $! >{tmp_path}/child\nexec sleep 100000"
    daemon = manager({"command": script(tmp_path, body)})
    child = int(wait_file(tmp_path / "child"))
    (worker,) = daemon.workers()
    os.kill(worker, signal.SIGKILL)
    daemon.wait_workers(1, without=[worker])
    assert process.alive(child)
    wait_until(lambda: int(wait_file(tmp_path / "child")) != child, "the second worker's child")
    daemon.stop()
    for pid in (child, int(wait_file(tmp_path / "child"))):
        process.kill_and_reap(pid)


def test_idle_means_idle(manager, tmp_path):
    """With static pools and nothing to do the manager is not woken at all."""
    daemon = manager({"command": sleeper(tmp_path), "pm.max_children": 20})

    def switches():
        with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
            return [line for line in file if "voluntary_ctxt" in line][0]

    last = [switches()]

    def quiet():
        last.append(switches())
        return len(last) > 50 and len(set(last[-50:])) == 1

    wait_until(quiet, "the start's echo to fade")
    before = switches()
    stays(lambda: switches() == before, 2, "the manager asleep")
