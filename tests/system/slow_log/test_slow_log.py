"""The slow log: which requests are entered, once, with the stack, without delaying others."""

import os
import re
import signal
import subprocess

import pytest

from harness import build, fastcgi, process
from harness.address import Address
from harness.slowlog import SlowLog, can_trace
from harness.wait import wait_until

FAST = "20ms"


@pytest.fixture
def listen(tmp_path):
    return Address.make("unix", tmp_path)


@pytest.fixture
def log(tmp_path):
    return SlowLog(tmp_path / "slow")


@pytest.fixture
def pool(manager, app, listen, log, tmp_path):
    """Starts a manager with the slow log on."""
    def start(arguments="-m run", wrapper=(), settings=None, **directives):
        given = {"command": f"{app('worker')} {arguments} {tmp_path}", "listen": listen, "slowlog": log.path}
        given.update({key.replace("__", "."): value for key, value in directives.items()})
        return manager(given, wrapper=wrapper, settings=settings)

    return start


def send(listen, query, **variables):
    connection = fastcgi.Connection(listen)
    connection.send_request(fastcgi.cgi_params(query, **variables))
    return connection


def frames_of(entry):
    assert "none:" not in entry.stack, entry.text
    return entry.frames


# Which requests are entered

def test_a_slow_request(pool, listen, log, journal):
    daemon = pool(request_slowlog_timeout=FAST)
    with send(listen, "id=a&label=page+3&wait=go&text=x") as connection:
        pid = journal.wait("wait", "a").pid
        (entry,) = log.wait(1)
        journal.signal("go")
        assert connection.read_response().text == "x"
    assert entry.head["pool"] == "www" and int(entry.head["pid"]) == pid and entry.head["slot"] == "0"
    assert entry.head["state"] == "running" and entry.head["why"] == "request_slowlog_timeout = 20 ms"
    assert entry.fields["request"].startswith("GET /?id=a&label=")
    assert entry.fields["label"] == "page+3"
    assert re.match(r"\S+ m?s since it was accepted, the thread's request number 1$", entry.fields["age"])
    fastcgi.request(listen, query="id=b&text=y")
    assert len(log.entries()) == 1
    if can_trace():
        assert entry.fields["stack"].startswith("stopped for ")
        frames = frames_of(entry)
        assert frames.index("wait_for_file") < frames.index("main"), entry.text
        assert re.search(r"wait_for_file +.*steps\.h:\d+", entry.stack), entry.text
    status = daemon.control("--json", "status").stdout
    assert '"slow_requests": 1' in status, status


def test_work_after_the_response(pool, listen, log, journal):
    """Only the work, not the request, which was fast; once."""
    pool(request_slowlog_timeout="10s", post_response__slowlog_timeout=FAST)
    response = fastcgi.request(listen, query="id=a&text=x&finish&label=mail&wait=go&wait=on")
    assert response.text == "x"
    (entry,) = log.wait(1)
    assert entry.head["state"] == "post-response"
    assert entry.head["why"] == "post_response.slowlog_timeout = 20 ms"
    assert "since its response" in entry.fields["age"] and entry.fields["label"] == "mail"
    journal.signal("go")
    journal.wait("wait", "a", count=2)
    if can_trace():
        assert "wait_for_file" in frames_of(entry)
    journal.signal("on")
    fastcgi.request(listen, query="id=b&text=x")
    assert len(log.entries()) == 1


def test_both_phases_of_one_request(pool, listen, log, journal):
    pool(request_slowlog_timeout=FAST, post_response__slowlog_timeout=FAST)
    with send(listen, "id=a&wait=one&text=x&finish&wait=two") as connection:
        log.wait(1)
        journal.signal("one")
        connection.read_response()
        entries = log.wait(2)
        journal.signal("two")
    assert [entry.head["state"] for entry in entries] == ["running", "post-response"]


def test_shutdown_functions(pool, listen, log, journal):
    pool(request_slowlog_timeout="10s", post_response__slowlog_timeout=FAST, shutdown_functions__time_limit="10s")
    fastcgi.request(listen, query="id=a&text=x&shutdown-wait=go&finish")
    (entry,) = log.wait(1)
    journal.signal("go")
    assert entry.head["state"] == "shutdown" and "in shutdown functions" in entry.fields["age"]
    if can_trace():
        assert "on_shutdown_wait" in frames_of(entry)


def test_fast_requests_are_not_entered(pool, listen, log):
    pool(request_slowlog_timeout="30s", post_response__slowlog_timeout="30s")
    for number in range(50):
        fastcgi.request(listen, query=f"id=r{number}&text=x&finish")
    assert log.entries() == []


def test_each_worker_has_its_own_clock(pool, listen, log, journal):
    """An entered request, and one with a distant limit, do not hide the next one."""
    pool(pm__max_children=3, request_slowlog_timeout=FAST, request_terminate_timeout="60s")
    connections = []
    for name in ("a", "b", "c"):
        connections.append(send(listen, f"id={name}&wait=go&text=x"))
        journal.wait("wait", name)
        entries = log.wait(len(connections))
    journal.signal("go")
    for connection in connections:
        assert connection.read_response().text == "x"
        connection.close()
    asked = [re.search(r"id=(\w+)", entry.fields["request"])[1] for entry in entries]
    assert asked == ["a", "b", "c"]


def test_a_distant_limit_of_one_hides_no_near_one_of_another(pool, listen, journal):
    """Post-response work with a long limit leaves the limit of requests in force."""
    daemon = pool(
        pm__max_children=2, request_terminate_timeout="100ms", post_response__terminate_timeout="1h",
        max_execution_time="0", hard_timeout="100ms", slowlog=None,
        post_response__max_children=0,  # no worker is started in place of the first one, which would ring the doorbell
    )
    fastcgi.request(listen, query="id=a&text=x&finish&wait=go")
    daemon.wait_log("(1 worker is|[2-9] workers are) in post-response work, more than")
    with send(listen, "id=b&wait=never"):
        daemon.wait_log("is ended while running GET /.id=b.*request_terminate_timeout")
    journal.signal("go")


def test_a_stop_gives_no_more_time_to_one_over_its_limit(pool, listen):
    """It is killed when hard_timeout is over, not process_control_timeout."""
    daemon = pool(
        request_terminate_timeout="100ms", max_execution_time="0", hard_timeout="300ms", slowlog=None,
        settings={"process_control_timeout": "10m"},
    )
    with send(listen, "id=b&wait=never"):
        daemon.wait_log("is ended while running GET /.id=b")
        daemon.stop()


def test_two_pools(manager, app, tmp_path, journal):
    """Each has its own limits and file; a third has none."""
    logs = {name: SlowLog(tmp_path / f"{name}.slow") for name in ("quick", "calm")}
    command = f"{app('worker')} -m run {tmp_path}"
    at = {name: Address.make("unix", tmp_path, name) for name in ("quick", "calm", "none")}
    daemon = manager(pools={
        "quick": {"command": command, "listen": at["quick"], "request_slowlog_timeout": FAST,
                  "slowlog": f"{tmp_path}/$pool.slow"},
        "calm": {"command": command, "listen": at["calm"], "request_slowlog_timeout": "60s",
                 "slowlog": f"{tmp_path}/$pool.slow"},
        "none": {"command": command, "listen": at["none"]},
    })
    connections = [send(at[name], f"id={name}&wait=go&text=x") for name in at]
    (entry,) = logs["quick"].wait(1)
    journal.signal("go")
    for connection in connections:
        connection.read_response()
        connection.close()
    assert entry.head["pool"] == "quick" and logs["calm"].entries() == []
    assert len(daemon.workers()) == 3


def test_threads(pool, listen, log, journal):
    """The slow request's thread stands first; each of several slow ones has its entry."""
    daemon = pool("-m run -t 3", request_slowlog_timeout=FAST)
    daemon.wait_workers(1)
    first = send(listen, "id=a&wait=go&text=x")
    (entry,) = log.wait(1)
    second = send(listen, "id=b&sleep=1&wait=go&text=x")
    entries = log.wait(2)
    journal.signal("go")
    for connection in (first, second):
        assert connection.read_response().text == "x"
        connection.close()
    assert [re.search(r"id=(\w)", one.fields["request"])[1] for one in entries] == ["a", "b"]
    if can_trace():
        threads = entry.threads
        assert len(threads) >= 3
        assert "wait_for_file" in threads[0] and "wait_for_file" not in " ".join(threads[1:]), entry.text
        assert "thread" not in entry.head or entry.head["thread"] in threads[0]


def test_depth(pool, listen, log, journal):
    if not can_trace():
        pytest.skip("no stack: not allowed to trace, or built without libdw")
    pool(request_slowlog_timeout=FAST, request_slowlog_trace_depth=2)
    with send(listen, "id=a&wait=go&text=x") as connection:
        (entry,) = log.wait(1)
        journal.signal("go")
        connection.read_response()
    assert len(entry.frames) == 2 and "deeper frames are left out" in entry.stack


# What does not work

def test_a_worker_that_is_killed_meanwhile(pool, listen, log, journal, tmp_path):
    """While its stack is read: the entry is written, the next worker serves."""
    script = tmp_path / "look"
    script.write_text(f"#!/bin/sh\necho looking at $1\ntouch {tmp_path}/looks\n"
                      f"while [ ! -e {tmp_path}/seen ]; do sleep 0.01; done\n")
    script.chmod(0o755)
    daemon = pool(request_slowlog_timeout=FAST, slowlog__command=str(script))
    connection = send(listen, "id=a&wait=go")
    pid = journal.wait("wait", "a").pid
    wait_until(lambda: (tmp_path / "looks").exists(), "the look")
    os.kill(pid, signal.SIGKILL)
    daemon.wait_workers(2, without=[pid])  # the next one, and the look
    connection.close()
    (tmp_path / "seen").touch()
    (entry,) = log.wait(1)
    assert f"looking at {pid}" in entry.stack and "the request has ended meanwhile" in entry.fields["note"]
    assert fastcgi.request(listen, query="id=b&text=x").text == "x"


def test_a_worker_that_dies_while_traced(pool, listen, log, journal):
    """At any moment: there is an entry, and no harm."""
    daemon = pool(request_slowlog_timeout=FAST)
    for number in range(5):
        name = f"r{number}"
        connection = send(listen, f"id={name}&wait=go{number}")
        pid = journal.wait("wait", name).pid
        wait_until(
            lambda: len(log.entries()) > number or any(
                process.name(child) == "overtime-trace" for child in process.children(daemon.pid)),
            "the look",
        )
        os.kill(pid, signal.SIGKILL)
        connection.close()
        log.wait(number + 1)
        daemon.wait_workers(1, without=[pid])


def test_a_helper_that_hangs_delays_no_other(manager, app, tmp_path, journal):
    """Nor does it keep the entry out of the log."""
    log, other = SlowLog(tmp_path / "a.slow"), SlowLog(tmp_path / "b.slow")
    at = {name: Address.make("unix", tmp_path, name) for name in ("a", "b")}
    base = {"command": f"{app('worker')} -m run {tmp_path}", "request_slowlog_timeout": FAST, "pm.max_children": 2,
            "slowlog": f"{tmp_path}/$pool.slow"}
    daemon = manager(pools={
        "a": {**base, "listen": at["a"], "slowlog.command": "/bin/sleep 60 %p"},
        "b": {**base, "listen": at["b"], "slowlog.command": "/bin/echo stack of"},
    })
    connections = [send(at["a"], f"id=a{n}&wait=go&text=x") for n in range(2)]
    for n in range(2):
        journal.wait("wait", f"a{n}")
    connections.append(send(at["b"], "id=b&wait=go&text=x"))
    (entry,) = other.wait(1)
    assert re.fullmatch(r"stack of \d+", entry.fields["stack"])
    assert log.entries() == [], "b's trace came after a's"
    assert "running" in daemon.control("ping", check=True).stdout
    entries = log.wait(2)
    assert all("sleep took more than 3 s and was killed" in entry.stack for entry in entries)
    journal.signal("go")
    for connection in connections:
        assert connection.read_response().text == "x"
        connection.close()
    wait_until(lambda: len(daemon.workers()) == 4, "the end of the helpers")


def test_more_than_can_be_traced(pool, listen, log, journal):
    daemon = pool(pm__max_children=24, request_slowlog_timeout=FAST, slowlog__command="/bin/sleep 60 %p")
    connections = [send(listen, f"id=a{n}&wait=go&text=x") for n in range(24)]
    for n in range(24):
        journal.wait("wait", f"a{n}")
    daemon.wait_log("more requests are slow at once than can be traced: entries of .* are written without a stack")
    wait_until(lambda: '"slow_requests": 24' in daemon.control("--json", "status").stdout, "24 slow requests")
    journal.signal("go")
    for connection in connections:
        connection.read_response()
        connection.close()
    entries = log.wait(24)
    said = [entry.fields["stack"] for entry in entries]
    assert sum("other traces wait already" in text for text in said) > 0
    assert sum("was over before its turn came" in text for text in said) > 0


def test_a_command_that_is_no_help(pool, listen, log, journal, tmp_path):
    """Its output is bounded and escaped, its status logged."""
    script = tmp_path / "loud"
    script.write_text("#!/bin/sh\nprintf 'a\\033[31mb\\n'\nyes 0123456789 | head -c 1000000\nexit 3\n")
    script.chmod(0o755)
    pool(request_slowlog_timeout=FAST, slowlog__command=str(script))
    with send(listen, "id=a&wait=go&text=x") as connection:
        (entry,) = log.wait(1)
        journal.signal("go")
        connection.read_response()
    assert "wrote more than 65535 bytes" in entry.stack and r"a\x1b[31mb" in entry.stack
    assert len(entry.text) < 80000


def test_hostile_words(pool, listen, log, journal):
    pool(request_slowlog_timeout=FAST, slowlog__command="/bin/echo")
    params = fastcgi.cgi_params("id=a&label=x\x1b[2Jy&wait=go", REQUEST_URI="/\n[pool www] worker 1\x1b[31m")
    with fastcgi.Connection(listen) as connection:
        connection.send_request(params)
        (entry,) = log.wait(1)
        journal.signal("go")
        connection.read_response()
    assert "\x1b" not in entry.text and len(log.entries()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_without_permission(tmp_path, listen):
    """A process of another user, without the right to trace it: the helper says what to grant."""
    with subprocess.Popen(["sleep", "60"]) as other:
        done = subprocess.run(
            [build.BUILD / "overtime-trace", str(other.pid)], capture_output=True, text=True, timeout=60,
            check=False, user=65534, group=65534, extra_groups=[], cwd="/",
            env={"ASAN_OPTIONS": "detect_leaks=0", "PATH": "/bin"},
        )
        other.kill()
    assert done.returncode == 1
    if "built without" not in done.stdout:
        assert "CAP_SYS_PTRACE" in done.stdout and "--cap-add SYS_PTRACE" in done.stdout, done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up a capability")
def test_entry_without_permission(pool, app, listen, log, journal, tmp_path):
    """A manager of root without the right: the entry has everything but the stack, and says what to grant."""
    if not can_trace():
        pytest.skip("no stack: not allowed to trace, or built without libdw")
    tmp_path.chmod(0o777)
    wrapper = ["/usr/bin/setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]
    daemon = pool(request_slowlog_timeout=FAST, user="nobody", wrapper=wrapper)
    with send(listen, "id=a&wait=go&text=x") as connection:
        pid = journal.wait("wait", "a").pid
        (entry,) = log.wait(1)
        told = daemon.control("trace", pid)
        journal.signal("go")
        connection.read_response()
    assert entry.fields["stack"].startswith("none: not allowed to look into process"), entry.text
    assert "CAP_SYS_PTRACE" in entry.fields["stack"]
    assert told.returncode == 1 and "CAP_SYS_PTRACE" in told.stderr


# The file

@pytest.mark.parametrize("how", ["USR1", "reopen-logs", "reload"])
def test_moved_away(pool, listen, log, journal, how):
    daemon = pool(request_slowlog_timeout=FAST, slowlog__command="/bin/echo")
    with send(listen, "id=a&wait=one&text=x") as connection:
        log.wait(1)
        journal.signal("one")
        connection.read_response()
    log.path.rename(log.path.with_suffix(".1"))
    if how == "USR1":
        daemon.send_signal(signal.SIGUSR1)
    else:
        daemon.control(how, check=True)
    wait_until(log.path.exists, "another file")
    with send(listen, "id=b&wait=two&text=x") as connection:
        (entry,) = log.wait(1)
        journal.signal("two")
        connection.read_response()
    assert "id=b" in entry.fields["request"]
    assert len(SlowLog(log.path.with_suffix(".1")).entries()) == 1


def test_a_reload_changes_limits_for_living_workers(pool, listen, log, journal):
    daemon = pool(request_slowlog_timeout="60s")
    (worker,) = daemon.wait_workers(1)
    daemon.write(daemon.ini_path.read_text().replace("= 60s", "= 20ms"))
    with send(listen, "id=a&wait=go&text=x") as connection:
        assert journal.wait("wait", "a").pid == worker
        daemon.control("reload", check=True)
        log.wait(1)
        journal.signal("go")
        connection.read_response()


def test_work_that_begins_in_an_older_generation(pool, listen, log, journal):
    """Its response was open when the new workers took over."""
    daemon = pool(post_response__slowlog_timeout=FAST)
    with send(listen, "id=a&wait=go&text=x&finish&wait=done") as connection:
        pid = journal.wait("wait", "a").pid
        daemon.control("reload", "--all", check=True)
        daemon.wait_log("the workers of generation 2 serve")
        daemon.control("ping", check=True)
        journal.signal("go")
        (entry,) = log.wait(1)
        journal.signal("done")
        connection.read_response()
    assert int(entry.head["pid"]) == pid and entry.head["why"] == "post_response.slowlog_timeout = 20 ms"


def test_an_upgrade(pool, listen, log, journal):
    """Traces under way are given up and reported; the next program continues the clocks."""
    daemon = pool(pm__max_children=2, request_slowlog_timeout=FAST, slowlog__command="/bin/sleep 60 %p")
    first = send(listen, "id=a&wait=go&text=x")
    journal.wait("wait", "a")
    wait_until(lambda: any(process.name(pid) == "sleep" for pid in process.children(daemon.pid)), "the look")
    daemon.write(daemon.ini_path.read_text().replace("/bin/sleep 60 %p", "/bin/echo"))
    daemon.control("upgrade", "--wait", check=True)
    assert "is being upgraded" in log.wait(1)[0].fields["stack"]
    second = send(listen, "id=b&wait=go&text=x")
    wait_until(lambda: any("id=b" in entry.fields["request"] for entry in log.entries()), "the entry")
    journal.signal("go")
    for connection in (first, second):
        assert connection.read_response().text == "x"
        connection.close()


def test_waiting_entries_are_written_at_the_end(pool, listen, log, journal):
    daemon = pool(
        request_slowlog_timeout=FAST, slowlog__command="/bin/sleep 60 %p",
        settings={"process_control_timeout": "100ms"},
    )
    connection = send(listen, "id=a&wait=never")
    journal.wait("wait", "a")
    wait_until(lambda: any(process.name(pid) == "sleep" for pid in process.children(daemon.pid)), "the look")
    daemon.stop()
    connection.close()
    (entry,) = log.entries()
    assert "the manager stops" in entry.fields["stack"]


@pytest.mark.parametrize("reason", ["no file", "not a folder", "no program", "no path"])
def test_errors_are_reported(tmp_path, app, reason):
    given, said = {
        "no file": ("post_response.slowlog_timeout = 1s", "post_response.slowlog_timeout: there is no slow log to write "
                    "to; name a file, as in slowlog = /var/log/overtime/$pool.slow, or remove the line"),
        "not a folder": ("slowlog = /nonexistent/slow", "slowlog = /nonexistent/slow: the folder /nonexistent does not"),
        "no program": ("slowlog.command = /nonexistent/stack -p", "must begin with the absolute path of a program"),
        "no path": ("slowlog.command = stack -p", "must begin with the absolute path of a program"),
    }[reason]
    ini = tmp_path / "bad.ini"
    ini.write_text(
        f"[global]\nerror_log = {tmp_path}/log\ncontrol.listen = {tmp_path}/ctl\n"
        f"[www]\ncommand = {app('worker')}\nuser = {os.geteuid()}\nlisten = {tmp_path}/s\n"
        f"pm = static\npm.max_children = 1\n{given}\n"
    )
    done = subprocess.run(
        [build.OVERTIME, "-t", "-R", "-c", ini], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 78
    assert f"{ini}:10: [www] " in done.stderr and said in done.stderr, done.stderr


def test_where_the_process_number_goes(pool, listen, log, journal):
    """Each %p of `slowlog.command` is the worker's; then none is appended."""
    pool(request_slowlog_timeout=FAST, slowlog__command="/bin/echo %p and --pid=%p")
    with send(listen, "id=a&wait=go&text=x") as connection:
        pid = journal.wait("wait", "a").pid
        (entry,) = log.wait(1)
        journal.signal("go")
        connection.read_response()
    assert entry.fields["stack"] == f"{pid} and --pid={pid}"
