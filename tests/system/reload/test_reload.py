"""Reload: changed pools are replaced, others stay as they are, and a file with errors changes nothing."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import threading

import pytest

from harness import build, fastcgi, process
from harness.address import Address
from harness.held import Held, stopped, wait_none, wait_total
from harness.totals import totals
from harness.wait import stays, wait_until
from harness.worker_script import script


def pool(app, tmp_path, **more):
    return {"command": f"{app('worker')} {tmp_path}", **more}


def reload_by(daemon, how):
    """Reloads and waits until the reload is over."""
    done = daemon.log().count("reload: done")
    if how == "USR2":
        daemon.send_signal(signal.SIGUSR2)
    else:
        answer = daemon.control(*how.split())
        assert answer.returncode == 0, answer
        if "--wait" in how:
            assert daemon.log().count("reload: done") == done + 1
    daemon.wait_log("reload: done", count=done + 1)


def served_by(address, ident="x"):
    """Pid of the worker that answers there."""
    response = fastcgi.request(address, query=f"id={ident}&text=served")
    assert response.text == "served"
    return int(response.headers["X-Worker"])


class Waiting:
    """`overtimectl reload --wait` at work."""

    def __init__(self, daemon, *words):
        self.popen = subprocess.Popen(
            [str(build.OVERTIMECTL), "-s", str(daemon.control_path), "reload", "--wait", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=daemon.environment,
        )

    @property
    def running(self):
        return self.popen.poll() is None

    @property
    def asleep(self):
        """True if it has sent its request and waits."""
        return process.state(self.popen.pid) == "S" and process.name(self.popen.pid) == "overtimectl"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.running:
            self.popen.kill()
        self.popen.communicate()

    def result(self, limit=30):
        out, err = self.popen.communicate(timeout=limit)
        return self.popen.returncode, out, err


# What changes and what does not

@pytest.mark.parametrize("how", ["USR2", "reload", "reload --wait"])
def test_changed_pools_alone_are_replaced(manager, app, tmp_path, how):
    pools = {"a": pool(app, tmp_path, **{"pm.max_children": 2}), "b": pool(app, tmp_path)}
    daemon = manager(pools=pools)
    before = {name: served_by(daemon.addresses[name]) for name in pools}
    workers = daemon.workers()
    pools["a"]["env[NEW]"] = "yes"
    daemon.rewrite(pools)
    reload_by(daemon, how)
    assert process.alive(before["b"]) and served_by(daemon.addresses["b"]) == before["b"]
    assert not process.alive(before["a"])
    assert set(workers) & set(daemon.wait_workers(3)) == {before["b"]}
    assert served_by(daemon.addresses["a"]) not in workers
    daemon.wait_log("NOTICE: pool a: starting the workers of generation 2: `env\\[NAME\\]` changed")
    daemon.wait_log("in force; pools: 1 replaced, 0 changed in place, 0 added, 0 removed, 1 as they were")
    assert totals(daemon, "a")["ended_by"]["reload"] == 2
    assert "WARNING" not in daemon.log()


@pytest.mark.parametrize("how", ["USR2", "reload --wait"])
def test_nothing_changed(manager, app, tmp_path, how):
    daemon = manager(pool(app, tmp_path, **{"pm.max_children": 2}))
    before = daemon.workers()
    for _ in range(3):
        reload_by(daemon, how)
    assert daemon.workers() == before


def test_all(manager, app, tmp_path):
    daemon = manager(pools={
        "static": pool(app, tmp_path), "empty": pool(app, tmp_path, pm="ondemand"),
        "dynamic": pool(app, tmp_path, **{"pm": "dynamic", "pm.max_children": 4, "pm.start_servers": 2}),
    })
    before = daemon.wait_workers(3)
    for turn in (2, 3):
        reload_by(daemon, "reload --wait --all")
        assert daemon.log().count(f"starting the workers of generation {turn}: requested") == 3
        daemon.wait_workers(3, without=before)
        before = daemon.workers()
    answer = daemon.control("reload", "www")
    assert answer.returncode == 1 and 'takes no "www"' in answer.stderr


def test_process_max_is_no_obstacle(manager, app, tmp_path):
    daemon = manager(pool(app, tmp_path, **{"pm.max_children": 2}), settings={"process.max": 2})
    before = daemon.wait_workers(2)
    reload_by(daemon, "reload --wait --all")
    daemon.wait_workers(2, without=before)


def test_live_directives(manager, app, tmp_path):
    """More and fewer workers, as long as there are slots for them: no worker is replaced."""
    given = {"pm.max_children": 4, "post_response.max_children": 4, "pm.process_idle_timeout": "300ms"}
    daemon = manager(pool(app, tmp_path, **given))
    before = set(daemon.wait_workers(4))
    daemon.rewrite({"www": pool(app, tmp_path, **{**given, "pm.max_children": 2})})
    reload_by(daemon, "reload --wait")
    left = set(daemon.wait_workers(2))
    assert left < before
    daemon.wait_log("NOTICE: pool www: `pm.max_children` changed, applied to its workers")
    daemon.rewrite({"www": pool(app, tmp_path, **{**given, "pm.max_children": 6, "post_response.max_children": 2})})
    reload_by(daemon, "reload --wait")
    assert left < set(daemon.wait_workers(6))
    assert totals(daemon)["generation"] == 1
    daemon.rewrite({"www": pool(app, tmp_path, **{**given, "pm.max_children": 9})})
    reload_by(daemon, "reload --wait")
    assert not left & set(daemon.wait_workers(9)), "there are no slots for so many"
    assert totals(daemon)["generation"] == 2


def test_limits_apply_to_requests_that_run(manager, app, tmp_path, journal):
    given = {"hard_timeout": "100ms", "pm.max_children": 2}
    daemon = manager(pool(app, tmp_path, **given))
    with Held(daemon, journal) as held:
        pid, job = held.begin("a"), held.begin("b", "text=x&finish")
        daemon.rewrite({"www": pool(app, tmp_path, **{
            **given, "request_terminate_timeout": "300ms", "post_response.terminate_timeout": "1h"})})
        reload_by(daemon, "reload --wait")
        daemon.wait_log(rf"worker {pid} .*is ended while running .*request_terminate_timeout` = 300 ms")
        wait_until(lambda: not process.alive(pid), "the end of the worker")
        assert process.alive(job)
        held.release()


def test_kinds_change_while_running(manager, app, tmp_path):
    given = {"pm.max_children": 4, "pm.process_idle_timeout": "200ms"}
    daemon = manager(pool(app, tmp_path, **given))
    daemon.wait_workers(4)
    daemon.rewrite({"www": pool(app, tmp_path, **given, pm="ondemand")})
    reload_by(daemon, "reload --wait")
    wait_none(daemon)
    assert served_by(daemon.address) > 0
    daemon.rewrite({"www": pool(app, tmp_path, **given, pm="dynamic", **{"pm.min_spare_servers": 2})})
    reload_by(daemon, "reload --wait")
    wait_until(lambda: len(daemon.workers()) >= 2, "spare workers")
    daemon.rewrite({"www": pool(app, tmp_path, **given)})
    reload_by(daemon, "reload --wait")
    daemon.wait_workers(4)


def test_what_needs_a_restart_is_named(manager, app, tmp_path):
    daemon = manager(pool(app, tmp_path))
    before = daemon.workers()
    daemon.rewrite({"www": pool(app, tmp_path)}, settings={"control.mode": "0660", "pid": tmp_path / "pid"})
    answer = daemon.control("reload")
    assert answer.returncode == 0
    for text in (answer.stdout, daemon.log()):
        assert "`control.mode` was 0600 and is 0660 in the file: it stays as it was until" in text
        assert f"`pid` was not set and is {tmp_path}/pid in the file" in text
    assert not (tmp_path / "pid").exists() and daemon.workers() == before


# Sockets

@pytest.mark.parametrize("kinds", ["unix-unix", "tcp-tcp", "unix-tcp", "tcp-unix"])
def test_another_socket(manager, app, tmp_path, journal, kinds):
    """Connections to the old socket, accepted or queued, are served by the old workers, which then exit."""
    first, second = kinds.split("-")
    old, new = Address.make(first, tmp_path, "old"), Address.make(second, tmp_path, "new")
    daemon = manager(pool(app, tmp_path, listen=old))
    with Held(daemon, journal) as held:
        worker = held.begin("a", "text=whole", address=old)
        with fastcgi.Connection(old) as queued:
            queued.send_request(fastcgi.cgi_params("id=q&text=queued"))
            daemon.rewrite({"www": pool(app, tmp_path, listen=new)})
            daemon.control("reload", check=True)
            assert served_by(new) != worker
            if old.is_unix:
                assert not os.path.exists(old.path)
            assert process.alive(worker)
            assert held.end("a")[0].text == "whole"
            response = queued.read_response(wait_eof=True)
            assert response.text == "queued", response
    daemon.wait_log("reload: done")
    assert not process.alive(worker)
    with pytest.raises(OSError):
        old.connect(1)


def test_mode_and_backlog_change_in_place(manager, app, tmp_path):
    daemon = manager(pool(app, tmp_path, **{"listen.mode": "0666", "listen.backlog": 77}))
    before = daemon.workers()
    inode = os.stat(daemon.address.path).st_ino
    daemon.rewrite({"www": pool(app, tmp_path, **{"listen.mode": "0640", "listen.backlog": 33})})
    reload_by(daemon, "reload --wait")
    found = os.stat(daemon.address.path)
    assert (found.st_ino, stat.S_IMODE(found.st_mode)) == (inode, 0o640)
    assert daemon.workers() == before
    wait_total(daemon, listen_backlog=33)


def test_a_renamed_pool_keeps_its_socket(manager, app, tmp_path, journal):
    """No connection in its listen queue is lost."""
    listen = Address.make("unix", tmp_path, "shared")
    daemon = manager(pools={"old": pool(app, tmp_path, listen=listen)})
    inode = os.stat(listen.path).st_ino
    with Held(daemon, journal) as held, contextlib.ExitStack() as stack:
        worker = held.begin("a", "text=whole")
        queued = [stack.enter_context(fastcgi.Connection(listen)) for _ in range(3)]
        for number, connection in enumerate(queued):
            connection.send_request(fastcgi.cgi_params(f"id=q{number}&text=queued{number}"))
        daemon.rewrite({"new": pool(app, tmp_path, listen=listen)})
        daemon.control("reload", check=True)
        for number, connection in enumerate(queued):
            assert connection.read_response(wait_eof=True).text == f"queued{number}"
        assert process.alive(worker), "the reload did not wait for it"
        assert os.stat(listen.path).st_ino == inode
        assert held.end("a")[0].text == "whole"
    daemon.wait_log("NOTICE: pool old: removed")
    assert os.stat(listen.path).st_ino == inode
    assert served_by(listen) in daemon.wait_workers(1, without=[worker])


def test_two_pools_swap_their_sockets(manager, app, tmp_path):
    one, two = Address.make("unix", tmp_path, "one"), Address.make("tcp", tmp_path)

    def pools(first, second):
        return {"a": pool(app, tmp_path, listen=first, **{"env[NAME]": "a"}),
                "b": pool(app, tmp_path, listen=second, **{"env[NAME]": "b"})}

    def name_at(address):
        with open(f"/proc/{served_by(address)}/environ", "rb") as file:
            return [word for word in file.read().split(b"\0") if word.startswith(b"NAME=")]

    daemon = manager(pools=pools(one, two))
    assert (name_at(one), name_at(two)) == ([b"NAME=a"], [b"NAME=b"])
    inode = os.stat(one.path).st_ino
    for first, second in ((two, one), (one, two)):
        daemon.rewrite(pools(first, second))
        reload_by(daemon, "reload --wait")
        assert (name_at(first), name_at(second)) == ([b"NAME=a"], [b"NAME=b"])
        assert os.stat(one.path).st_ino == inode
        assert len(daemon.wait_workers(2)) == 2


def test_added_and_removed(manager, app, tmp_path, journal):
    daemon = manager(pools={"a": pool(app, tmp_path), "b": pool(app, tmp_path)})
    a, b = daemon.addresses["a"], daemon.addresses["b"]
    stays_on = served_by(b)
    with Held(daemon, journal) as held:
        worker = held.begin("r", "text=whole", address=a)
        daemon.rewrite({"b": pool(app, tmp_path), "c": pool(app, tmp_path)})
        with Waiting(daemon) as waiting:
            daemon.wait_log("NOTICE: pool a: no longer in the file, ends when its 1 worker is done")
            wait_until(lambda: not os.path.exists(a.path), "the end of its socket")
            assert served_by(daemon.addresses["c"]) != worker
            assert served_by(b) == stays_on
            assert waiting.running and process.alive(worker)
            assert held.end("r")[0].text == "whole"
            code, out, _ = waiting.result()
            assert (code, "1 added, 1 removed, 1 as they were" in out) == (0, True), out
    daemon.wait_log("NOTICE: pool a: removed")
    assert not process.alive(worker)
    answer = daemon.control("status", "a")
    assert answer.returncode == 1 and 'no pool "a"' in answer.stderr


def test_removed_and_added_again_before_it_is_gone(manager, app, tmp_path, journal):
    both = {"a": pool(app, tmp_path), "b": pool(app, tmp_path)}
    daemon = manager(pools=both)
    a = daemon.addresses["a"]
    with Held(daemon, journal) as held:
        worker = held.begin("r", "text=whole", address=a)
        daemon.rewrite({"b": both["b"]})
        daemon.control("reload", check=True)
        daemon.rewrite(both)
        daemon.control("reload", check=True)
        assert served_by(a) != worker
        assert held.end("r")[0].text == "whole"
    daemon.wait_log("pool a: removed")
    daemon.wait_workers(2, without=[worker])
    assert os.path.exists(a.path) and served_by(a) in daemon.workers()


# Files that cannot be used

@pytest.mark.parametrize("how", ["USR2", "reload --wait"])
def test_a_bad_file_changes_nothing(manager, app, tmp_path, how):
    daemon = manager(pool(app, tmp_path, **{"pm.max_children": 2}))
    before = daemon.workers()
    good = daemon.ini_path.read_text()
    lines = good.splitlines()
    at = lines.index("pm.max_children = 2") + 1
    daemon.write("\n".join(lines + ["pm.max_childern = 4", "hard_timeout = soon", "[other]", "listen = 9", ""]))
    if how == "USR2":
        daemon.send_signal(signal.SIGUSR2)
        told = daemon
        daemon.wait_log("reload: nothing has changed")
        texts = [daemon.log()]
    else:
        told = daemon.control(*how.split())
        assert told.returncode == 1
        texts = [told.stderr, daemon.log()]
    if how != "USR2":
        assert told.stderr.endswith("\nnothing has changed\n")
    for text in texts:
        for line, word in ((len(lines) + 1, "pm.max_childern"), (len(lines) + 2, "hard_timeout = soon"),
                           (len(lines) + 3, "command")):
            assert f"{daemon.ini_path}:{line}: " in text and word in text, text
    assert at and daemon.workers() == before and served_by(daemon.address) in before
    daemon.write(good)
    reload_by(daemon, "reload --wait")
    assert daemon.workers() == before


def test_a_missing_file(manager, app, tmp_path):
    daemon = manager(pool(app, tmp_path))
    before = daemon.workers()
    daemon.ini_path.rename(tmp_path / "away")
    answer = daemon.control("reload")
    assert answer.returncode == 1 and str(daemon.ini_path) in answer.stderr and "No such file" in answer.stderr
    (tmp_path / "away").rename(daemon.ini_path)
    assert daemon.workers() == before


def test_a_socket_that_cannot_be_made(manager, app, tmp_path):
    """Other pools of the same file do not change either, and no descriptor is left open."""
    pools = {"a": pool(app, tmp_path), "b": pool(app, tmp_path)}
    daemon = manager(pools=pools)
    before = daemon.workers()
    descriptors = daemon.descriptor_count()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        elsewhere = Address.make("unix", tmp_path, "elsewhere")
        daemon.rewrite({
            "a": {**pools["a"], "listen": elsewhere}, "c": pool(app, tmp_path),
            "b": {**pools["b"], "listen": f"127.0.0.1:{port}", "env[NEW]": "1"},
        })
        answer = daemon.control("reload", "--wait")
    assert answer.returncode == 1
    assert f"pool b: `listen = 127.0.0.1:{port}`" in answer.stderr and "in use" in answer.stderr, answer.stderr
    assert daemon.workers() == before
    assert not os.path.exists(elsewhere.path)
    assert not os.path.exists(daemon.addresses["c"].path)
    assert os.path.exists(tmp_path / "a.sock")
    wait_until(lambda: daemon.descriptor_count() == descriptors, "no descriptor more than before")
    daemon.rewrite(pools)
    reload_by(daemon, "reload --wait")
    assert daemon.workers() == before


def test_a_command_that_dies(manager, app, tmp_path):
    """The old workers go on serving; a correct file repairs it."""
    good = {"a": pool(app, tmp_path, **{"pm.max_children": 2}), "b": pool(app, tmp_path)}
    daemon = manager(pools=good)
    old = daemon.workers()
    daemon.rewrite({**good, "a": {**good["a"], "command": script(tmp_path, "exit 3")}})
    answer = daemon.control("reload", "--wait")
    assert answer.returncode == 1
    for words in ("pool a: workers end soon after their start", "its older workers keep serving"):
        assert words in answer.stderr, answer.stderr
    assert set(old) <= set(daemon.workers())
    for name in good:
        assert served_by(daemon.addresses[name]) in old
    assert json_state(daemon) == "reloading"
    daemon.rewrite(good)
    reload_by(daemon, "reload --wait")
    assert len(daemon.wait_workers(3)) == 3
    assert served_by(daemon.addresses["a"]) in daemon.workers()
    assert json_state(daemon) == "running"


def json_state(daemon):
    words = daemon.control("ping", check=True).stdout
    return "reloading" if "reloading" in words else "running" if "running" in words else words


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_a_pool_in_a_crash_loop_is_no_success(manager, app, tmp_path, kind):
    """It has not changed, and it has no worker: the reload reports that."""
    pools = {"bad": {"command": script(tmp_path, "exit 3"), "pm": kind}, "good": pool(app, tmp_path)}
    daemon = manager(pools=pools)
    daemon.wait_log("pool bad: workers end soon after their start, .*; next start in")
    for words in ([], ["--all"]):
        answer = daemon.control("reload", "--wait", *words)
        assert answer.returncode == 1, answer
        assert "pool bad: workers end soon after their start" in answer.stderr and "keeps trying" in answer.stderr, answer
    pools["bad"]["command"] = pools["good"]["command"]
    daemon.rewrite(pools)
    reload_by(daemon, "reload --wait")
    assert served_by(daemon.addresses["bad"]) in daemon.workers()


def test_a_program_that_cannot_be_executed(manager, app, tmp_path):
    good = pool(app, tmp_path)
    daemon = manager(good)
    old = daemon.workers()
    broken = tmp_path / "broken"
    broken.write_text("#!/nonexistent/interpreter\n")
    broken.chmod(0o755)
    daemon.rewrite({"www": {**good, "command": broken}})
    answer = daemon.control("reload", "--wait")
    assert answer.returncode == 1 and "pool www: cannot start worker: " in answer.stderr
    assert served_by(daemon.address) in old
    daemon.rewrite({"www": good})
    reload_by(daemon, "reload --wait")


def test_a_reload_does_not_wait_for_a_pool_that_never_started(manager, app, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/nonexistent/interpreter\n")
    broken.chmod(0o755)
    pools = {"bad": {"command": broken}, "good": pool(app, tmp_path)}
    daemon = manager(pools=pools)
    pools["good"]["env[NEW]"] = "1"
    daemon.rewrite(pools)
    with Waiting(daemon) as waiting:
        code, _, err = waiting.result()
    assert code == 1 and "pool bad: cannot start worker" in err, err
    daemon.wait_log("pool good: the workers of generation 2 serve")


# Time

def test_a_reload_does_not_wait_for_post_response_work(manager, app, tmp_path, journal):
    pools = {"a": pool(app, tmp_path), "b": pool(app, tmp_path)}
    daemon = manager(pools=pools)
    before = daemon.workers()
    with Held(daemon, journal) as held:
        job = held.begin("job", "text=early&finish", address=daemon.addresses["a"])
        assert held.connections["job"].read_response(wait_eof=True).text == "early"
        held.connections.pop("job")
        for settings in pools.values():
            settings["env[NEW]"] = "1"
        daemon.rewrite(pools)
        with Waiting(daemon) as waiting:
            for name in pools:
                daemon.wait_log(f"pool {name}: the workers of generation 2 serve")
                # An older worker may accept what comes before it is asked to stop.
                wait_until(lambda name=name: served_by(daemon.addresses[name]) not in before, "a new worker's answer")
            wait_until(lambda: set(before) & set(daemon.workers()) == {job}, "the others' end")
            stays(lambda: waiting.running and process.alive(job), 0.3, "the job")
            assert json_state(daemon) == "reloading"
            held.release("job")
            code, _, err = waiting.result()
            assert code == 0, err
    journal.wait("end", "job")
    assert "is killed" not in daemon.log()


def test_work_that_takes_too_long_is_cut_off_and_logged(manager, app, tmp_path, journal):
    settings = {"process_control_timeout": "400ms"}
    daemon = manager(pool(app, tmp_path), settings=settings)
    with Held(daemon, journal) as held:
        job = held.begin("job", "label=mail%203&text=early&finish")
        daemon.rewrite({"www": pool(app, tmp_path, **{"env[NEW]": "1"})}, settings)
        reload_by(daemon, "reload --wait")
        assert not process.alive(job)
        line = daemon.wait_log(rf"^.*worker {job} \(slot \d\) is killed .*$")[0]
        for word in ("WARNING: pool www", "in post-response work of GET /?id=job", "mail",
                     "a newer generation took over", "see `process_control_timeout`"):
            assert word in line, line
        assert served_by(daemon.address) in daemon.workers()
    assert totals(daemon)["ended_by"]["reload"] >= 1


def test_during_the_start(manager, app, tmp_path):
    pools = {"www": pool(app, tmp_path, **{"pm.max_children": 40, "env[N]": "0"})}
    daemon = manager(pools=pools)
    daemon.stop()
    daemon.start(wait=False)
    wait_until(lambda: len(daemon.workers()) > 0, "the first worker")
    for number in range(1, 4):
        pools["www"]["env[N]"] = str(number)
        daemon.rewrite(pools)
        daemon.send_signal(signal.SIGUSR2)
        daemon.wait_log("SIGUSR2: reload of", count=number)
    daemon.wait_ready()

    def settled():
        found = []
        for pid in daemon.workers():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
                found.append(b"\0N=3\0" in b"\0" + file.read())
        return found == [True] * 40

    wait_until(settled, lambda: f"40 workers of the last file; the log:\n{daemon.log()}")
    served_by(daemon.address)
    answer = daemon.control("reload", "--wait")
    assert answer.returncode == 0, answer


def listens(path):
    """A file alone does not: it is there between bind and listen, too."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("words", [[], ["--all"]], ids=["changed", "all"])
def test_waiting_during_the_start(manager, app, tmp_path, words):
    """The answer comes when the start is over, and with it the reload that was requested meanwhile."""
    workers = 40
    daemon = manager({"command": app("load_worker"), "pm.max_children": workers})
    daemon.stop()
    daemon.start(wait=False)
    wait_until(lambda: listens(daemon.control_path), "the control socket")
    with stopped(daemon.pid):
        waiting = Waiting(daemon, *words)
        wait_until(lambda: waiting.asleep or not waiting.running, "the question")
    with waiting:
        code, out, err = waiting.result()
        assert code == 0, (code, out, err)
    assert daemon.log().count("NOTICE: ready: 1 pool") == 2
    assert len(daemon.wait_workers(workers)) == workers
    assert json_state(daemon) == "running"


def test_many_wait_at_once(manager, app, tmp_path):
    """Each is answered, although the file changes meanwhile."""
    pools = {"www": pool(app, tmp_path, **{"pm.max_children": 3})}
    daemon = manager(pools=pools)
    answers = []

    def ask():
        answers.append(daemon.control("reload", "--wait", "--all"))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.returncode for answer in answers] == [0] * 6, answers
    assert len(daemon.wait_workers(3)) == 3
    wait_total(daemon, idle=3, older=0)


def test_a_stop_answers_waiting_clients(manager, app, tmp_path, journal):
    daemon = manager(pool(app, tmp_path))
    with Held(daemon, journal) as held:
        held.begin("a", "text=whole")
        daemon.rewrite({"www": pool(app, tmp_path, **{"env[NEW]": "1"})})
        with Waiting(daemon) as waiting:
            daemon.wait_log("the workers of generation 2 serve")
            daemon.send_signal(signal.SIGQUIT)
            code, _, err = waiting.result()
            assert code == 1 and "the manager stops" in err
            answer = daemon.control("reload")
            assert answer.returncode == 1 and "the manager stops" in answer.stderr
        assert held.end("a")[0].text == "whole"
    daemon.stop()


# The log

def test_the_log_follows(manager, app, tmp_path):
    pools = {"www": pool(app, tmp_path)}
    daemon = manager(pools=pools, settings={"log_level": "notice"})
    daemon.control("ping")
    assert "DEBUG" not in daemon.log()
    daemon.rewrite(pools, settings={"log_level": "debug"})
    daemon.control("reload", check=True)
    daemon.control("ping")
    daemon.wait_log("DEBUG: control: ping")
    other = tmp_path / "other.log"
    daemon.rewrite(pools, settings={"error_log": other, "log_format": "json"})
    daemon.control("reload", check=True)
    wait_until(lambda: other.exists() and "reload: done" in other.read_text(), "the new log")
    assert all(line.startswith("{") for line in other.read_text().splitlines())
    before = daemon.log_path.stat().st_size
    daemon.control("reload", check=True)
    assert daemon.log_path.stat().st_size == before
    daemon.rewrite(pools, settings={"error_log": "/proc/nowhere/log"})
    daemon.control("reload")
    wait_until(lambda: "/proc/nowhere" in other.read_text(), "a line on what could not be done")
    assert served_by(daemon.address) in daemon.workers()
