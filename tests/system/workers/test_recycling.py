"""Workers are replaced after pm.max_requests and above pm.max_memory, not inside a request (except by
pm.max_memory_hard)."""

import pytest

from harness import build, fastcgi, load, process
from harness.held import Held, ended_by, wait_total
from harness.totals import totals
from harness.wait import wait_until
from harness.worker_script import script


def pool(app, tmp_path, **more):
    return {"command": f"{app('worker')} {tmp_path}", **more}


def test_by_requests(manager, app, tmp_path):
    daemon = manager(pool(app, tmp_path, **{"pm.max_requests": 3}))
    pids = []
    for number in range(9):
        response = fastcgi.request(daemon.address, query=f"id=r{number}&text=x")
        pids.append(int(response.headers["X-Worker"]))
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 3]
    wait_until(lambda: ended_by(daemon, "max_requests") == 3, "three recycled workers")
    assert "next start in" not in daemon.log() and "WARNING" not in daemon.log()


def test_expected_ends_are_logged_at_debug_level(manager, app, tmp_path):
    """With its reason; at the default level there is no line for each worker."""
    daemon = manager(pool(app, tmp_path, **{"pm.max_requests": 1}))
    for number in range(5):
        fastcgi.request(daemon.address, query=f"id=r{number}&text=x")
    wait_until(lambda: ended_by(daemon, "max_requests") == 5, "five recycled workers")
    assert "exited" not in daemon.log()


def test_retirements_are_logged_with_their_reason(manager, app, tmp_path):
    daemon = manager(pool(app, tmp_path, **{"pm": "ondemand", "pm.process_idle_timeout": "100ms"}),
                     settings={"log_level": "debug"})
    fastcgi.request(daemon.address, query="id=a&text=x")
    daemon.wait_log(r"DEBUG: .*1 worker is started: connections wait$")
    daemon.wait_log(r"DEBUG: .*1 worker is retired: idle and not needed for pm\.process_idle_timeout$")
    daemon.wait_log(r"DEBUG: .*exited with status 0 .*: superfluous$")


def test_jitter(manager, app, tmp_path):
    """Each worker has a number of its own."""
    daemon = manager(pool(app, tmp_path, **{"pm.max_requests": 2, "pm.max_requests_jitter": 6}))
    pids = []
    for number in range(60):
        response = fastcgi.request(daemon.address, query=f"id=r{number}&text=x")
        pids.append(int(response.headers["X-Worker"]))
    shares = [pids.count(pid) for pid in dict.fromkeys(pids)][:-1]
    assert all(2 <= share <= 8 for share in shares), shares
    assert len(set(shares)) > 1, shares


@pytest.mark.parametrize("keep", [False, True], ids=["closed", "kept"])
def test_no_request_fails_by_recycling(manager, app, keep):
    daemon = manager({"command": app("load_worker"), "pm.max_children": 4, "pm.max_requests": 7,
                      "pm.max_requests_jitter": 5})
    report = load.run(daemon.address, rate=400, seconds=2, keep=keep, text="hello")
    print(report)
    assert report.failed == 0, report
    # At most twelve requests per worker; its kept connections end or move to other workers.
    assert ended_by(daemon, "max_requests") > 800 / 12 / 2
    assert totals(daemon)["requests"] == report.count
    assert "next start in" not in daemon.log()


def test_by_memory_after_the_request(manager, app, tmp_path, journal):
    daemon = manager(pool(app, tmp_path, **{"pm.max_memory": "150M"}))
    (before,) = daemon.workers()
    with Held(daemon, journal) as held:
        held.begin("a", "hold=200")
        assert process.alive(before)
        held.end()
    daemon.wait_workers(1, without=[before])
    wait_until(lambda: ended_by(daemon, "max_memory") == 1, "a recycled worker")
    assert fastcgi.request(daemon.address, query="id=b&text=x").text == "x"
    assert "next start in" not in daemon.log()


def test_by_memory_within_the_request(manager, app, tmp_path, journal):
    daemon = manager(pool(app, tmp_path, **{"pm.max_children": 2, "pm.max_memory_hard": "150M",
                                            "hard_timeout": "100ms"}))
    others = daemon.wait_workers(2)
    with Held(daemon, journal) as held:
        held.send("a", "label=import&hold=200")  # which may be checked before it is complete
        big = journal.wait("begin", "a").pid
        others.remove(big)
        line = daemon.wait_log(rf"^.*worker {big} \(slot \d\) is ended .*$")[0]
        for word in ("WARNING: pool www", "while running GET /?id=a", "import", "KiB, above `pm.max_memory_hard`"):
            assert word in line, line
    assert others[0] in daemon.wait_workers(2, without=[big])
    wait_total(daemon, workers=2)
    assert ended_by(daemon, "max_memory") == 1
    assert build.SANITIZED or totals(daemon)["died"] == 0


def test_memory_behind_a_wrapper(manager, app, tmp_path, journal):
    """A shell starts the program and stays: the program's memory counts."""
    body = f"trap 'kill $!' TERM QUIT\nexec 9<&0\n{app('worker')} {tmp_path} <&9 9<&- &\nwait\nwait"
    daemon = manager({"command": script(tmp_path, body), "pm.max_memory_hard": "150M", "hard_timeout": "100ms"})
    with Held(daemon, journal) as held:
        held.send("a", "hold=200")
        program = journal.wait("begin", "a").pid
        (shell,) = daemon.workers()
        assert shell != program
        line = daemon.wait_log(rf"^.*worker {shell} \(slot \d\) is ended .*$", limit=20)[0]
        assert "while running GET /?id=a" in line and "above `pm.max_memory_hard`" in line, line
        wait_until(lambda: process.reap(program) or not process.alive(program), "the end of the program")
    wait_until(lambda: ended_by(daemon, "max_memory") == 1, "the end of the worker")
    daemon.wait_workers(1, without=[shell])
