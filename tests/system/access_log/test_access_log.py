"""The access log: one line for every request, for every outcome."""

import os
import re
import signal
import subprocess
import time

import pytest

from harness import build, fastcgi, scoreboard
from harness.access import AccessLog
from harness.wait import wait_until


@pytest.fixture
def log(tmp_path):
    return AccessLog(tmp_path / "access")


@pytest.fixture
def pool(manager, app, listen, log, tmp_path):
    """pool(pm__max_children=2, ...) -> a Manager of the application `worker`."""
    def start(mode="run", program="worker", arguments=None, **directives):
        directives = {name.replace("__", "."): value for name, value in directives.items()}
        words = f"-m {mode} {tmp_path}" if arguments is None else arguments
        return manager(
            {"command": f"{app(program)} {words}", "listen": listen, **log.directives, **directives}
        )

    return start


def send(listen, query, **more):
    connection = fastcgi.Connection(listen)
    connection.send_request(fastcgi.cgi_params(query, **more))
    return connection


KEYS = (
    "time pool pid remote user method path query status outcome aborted timed_out request_bytes "
    "response_bytes discarded_bytes duration_ms answer_ms post_response_ms shutdown_ms label"
).split()


# Times

def test_one_time_zone(manager, app, tmp_path):
    """Lines of workers, and of the manager for dead ones, are in the manager's zone."""
    log = tmp_path / "access"
    daemon = manager(
        {"command": f"{app('worker')} {tmp_path}", "access.log": log, "access.format": '"%s %{%z %Z %H}t"',
         "env[TZ]": "BBB+3"},
        env={"TZ": "AAA-5"},
    )
    began = int(time.time())
    fastcgi.request(daemon.address, query="text=x")
    (worker,) = daemon.workers()
    with send(daemon.address, "touch=begun&sleep=60000"):
        wait_until((tmp_path / "begun").exists, "the request")
        os.kill(worker, signal.SIGKILL)
    lines = wait_until(lambda: len(found := log.read_text().splitlines()) == 2 and found, "two lines")
    hours = {str((moment // 3600 + 5) % 24).zfill(2) for moment in range(began, int(time.time()) + 1)}
    for line in lines:
        assert line.split()[1:3] == ["+0500", "AAA"] and line.split()[3] in hours, lines


def test_time_zone_with_changes(manager, app, tmp_path):
    """The zone's rules come from the manager, too."""
    log = tmp_path / "access"
    zone = "AAA-1BBB,0/0,364/23"  # summer time, all the year
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "access.log": log, "access.format": '"%{%z %Z}t"'},
                     env={"TZ": zone})
    fastcgi.request(daemon.address, query="text=x")
    assert wait_until(lambda: log.read_text().splitlines(), "a line") == ["+0200 BBB"]


# What clients send

@pytest.mark.parametrize("length", ["-1", "99999999999999999999", "9223372036854775807", "1e3", "x"])
def test_an_absurd_length_is_unknown(pool, listen, log, length):
    pool()
    with fastcgi.Connection(listen) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=x", CONTENT_LENGTH=length))
        assert connection.read_response().text == "x"
    assert log.one("a")["request_bytes"] is None


def test_of_a_parameter_that_comes_twice_the_first_counts(manager, app, tmp_path, journal):
    """In log and status as in the application."""
    log = tmp_path / "access"
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "access.log": log,
                      "access.format": '"%m %r %R %{REMOTE_ADDR}e"'})
    first = fastcgi.cgi_params("id=a&param=REMOTE_ADDR&wait=go&text=x", REQUEST_METHOD="PUT", REMOTE_ADDR="192.0.2.1")
    second = fastcgi.pairs({"REQUEST_METHOD": "GET", "REQUEST_URI": "/second", "REMOTE_ADDR": "192.0.2.2"})
    with fastcgi.Connection(daemon.address) as connection:
        connection.send(fastcgi.begin() + fastcgi.stream(4, fastcgi.pairs(first) + second) + fastcgi.stream(5, b""))
        journal.wait("wait", "a")
        assert journal.events("a", "param")[0].detail == "REMOTE_ADDR=192.0.2.1"
        shown = daemon.control("workers").stdout
        assert re.search(r"PUT +/\?id=a", shown) and "second" not in shown
        journal.signal("go")
        assert connection.read_response().text == "x"
    (line,) = wait_until(lambda: log.read_text().splitlines(), "a line")
    assert line.startswith("PUT /") and line.endswith("192.0.2.1 192.0.2.1") and "second" not in line


# How requests end

def test_ok(pool, listen, log):
    daemon = pool()
    (pid,) = daemon.wait_workers(1)
    params = fastcgi.cgi_params("id=a&text=hello", REMOTE_ADDR="192.0.2.7", REMOTE_USER="ann")
    answer = fastcgi.request(listen, params)
    entry = log.one("a")
    assert list(entry) == KEYS
    assert entry["pid"] == pid and entry["pool"] == "www"
    assert (entry["remote"], entry["user"], entry["method"]) == ("192.0.2.7", "ann", "GET")
    assert (entry["path"], entry["query"]) == ("/", "id=a&text=hello")
    assert (entry["status"], entry["outcome"]) == (200, "ok")
    assert not entry["aborted"] and not entry["timed_out"]
    assert entry["response_bytes"] == len(answer.stdout)
    assert entry["request_bytes"] == entry["discarded_bytes"] == 0
    assert 0 < entry["answer_ms"] <= entry["duration_ms"]
    assert entry["label"] is None


def test_phases(pool, listen, log, journal):
    """The line comes after the shutdown functions, and each phase has its time."""
    pool()
    query = "id=a&text=x&label=mail&finish&text=later&wait=go&shutdown=first&shutdown-wait=done"
    fastcgi.request(listen, query=query)
    journal.wait("finish", "a")
    journal.signal("go")
    journal.wait("shutdown", "a", count=2)
    assert log.entries() == []
    journal.signal("done")
    entry = log.one("a")
    assert entry["label"] == "mail"
    assert entry["discarded_bytes"] == len("later")
    phases = [entry[name] for name in ("answer_ms", "post_response_ms", "shutdown_ms")]
    assert all(ms > 0 for ms in phases)
    assert sum(phases) <= entry["duration_ms"] + 0.01


def test_aborted(pool, listen, log, journal):
    daemon = pool(abort_detection="instant", ignore_user_abort="yes")
    connection = send(listen, "id=a&wait=go&text=x&flush")
    journal.wait("wait", "a")
    connection.close()
    wait_until(lambda: scoreboard.record(daemon).status == 1, "the bit")
    journal.signal("go")
    entry = log.one("a")
    assert (entry["outcome"], entry["status"]) == ("aborted", 499)
    assert entry["aborted"] and entry["answer_ms"] is None and entry["response_bytes"] == 0


def test_timeout_at_a_safe_point(pool, listen, log):
    pool(max_execution_time="100ms")
    fastcgi.request(listen, query="id=a&poll=100000")
    entry = log.one("a")
    assert (entry["outcome"], entry["timed_out"]) == ("timeout", True)
    assert entry["duration_ms"] >= 100


def test_hard_timeout(pool, listen, log):
    pool(max_execution_time="100ms", hard_timeout="100ms")
    assert fastcgi.request(listen, query="id=a&sleep=60000").status == 504
    entry = log.one("a")
    assert (entry["outcome"], entry["status"]) == ("timeout", 504)
    assert entry["timed_out"] and entry["duration_ms"] >= 200


@pytest.mark.parametrize(
    "number, outcome", [(signal.SIGKILL, "killed"), (signal.SIGABRT, "crashed")], ids=["KILL", "ABRT"]
)
def test_death(pool, listen, log, journal, number, outcome):
    daemon = pool()
    params = fastcgi.cgi_params("id=a&text=x&label=l&flush&wait=go", REMOTE_USER="ann")
    with fastcgi.Connection(listen) as connection:
        connection.send_request(params)
        pid = journal.wait("wait", "a").pid
        os.kill(pid, number)
        entry = log.one("a")
    daemon.wait_workers(1, without=[pid])
    assert list(entry) == KEYS
    assert (entry["outcome"], entry["pid"], entry["status"]) == (outcome, pid, 200)
    assert (entry["remote"], entry["user"], entry["label"]) == ("127.0.0.1", "ann", "l")
    assert entry["path"] == "/" and entry["response_bytes"] > 0
    assert entry["answer_ms"] is None and entry["duration_ms"] > 0


@pytest.mark.parametrize("steps", ["", "block-signals&"], ids=["obeys", "ignores"])
@pytest.mark.parametrize("phase", ["request", "work"])
def test_terminated_over_a_limit(pool, listen, log, journal, phase, steps):
    """By TERM or by KILL, in a request or in post-response work: the manager writes the line."""
    directive = {"request": "request_terminate_timeout", "work": "post_response__terminate_timeout"}[phase]
    daemon = pool(max_execution_time=0, hard_timeout="200ms", **{directive: "400ms"})
    finish = "finish&" if phase == "work" else "flush&"
    with send(listen, f"id=late&text=x&label=import-3&{steps}{finish}wait=go"):
        pid = journal.wait("wait", "late").pid
        entry = log.one("late")
    daemon.wait_workers(1, without=[pid])
    assert list(entry) == KEYS
    assert (entry["outcome"], entry["pid"], entry["status"], entry["label"]) == ("killed", pid, 200, "import-3")
    assert entry["path"] == "/" and entry["duration_ms"] >= 400
    if phase == "work":
        assert entry["answer_ms"] is not None and entry["post_response_ms"] >= 400
    else:
        assert entry["answer_ms"] is None and not entry["post_response_ms"]
    assert len(log.entries("late")) == 1


def test_exit_inside_a_request(pool, listen, log):
    """exit() ends the request like a return, _exit() does not."""
    pool()
    fastcgi.request(listen, query="id=a&text=x&exit=0")
    assert log.one("a")["outcome"] == "ok"
    fastcgi.request(listen, query="id=b&crash")
    assert log.one("b")["outcome"] == "crashed"


def test_killed_after_the_response(pool, listen, log, journal):
    pool()
    fastcgi.request(listen, query="id=a&text=x&finish&wait=go")
    os.kill(journal.wait("wait", "a").pid, signal.SIGKILL)
    entry = log.one("a")
    assert (entry["outcome"], entry["status"]) == ("killed", 200)
    assert 0 < entry["answer_ms"] and 0 < entry["post_response_ms"] < entry["duration_ms"]


def test_lines_of_the_manager_escape_as_those_of_workers(manager, app, tmp_path, journal):
    """Quotes, backslashes and control characters in what the manager writes for a dead worker."""
    log = tmp_path / "access"
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "access.log": log,
                      "access.format": '"%m %r%Q%q %u %R"'})
    odd = "a\x01\x1b[31mb\"c\\\\d\x7f"
    params = fastcgi.cgi_params("id=a&text=x", REMOTE_USER=odd, REMOTE_ADDR="1\t2", REQUEST_URI=f"/{odd}?q={odd}")
    assert fastcgi.request(daemon.address, params).text == "x"
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request({**params, "QUERY_STRING": "id=b&text=x&flush&wait=never"})
        os.kill(journal.wait("wait", "b").pid, signal.SIGKILL)
        connection.read_response(wait_eof=True)
    lines = wait_until(lambda: len(found := log.read_text().splitlines()) == 2 and found, "two lines")
    shown = "a\\x01\\x1b[31mb\\\"c\\\\\\\\d\\x7f"
    assert lines[1] == f"GET /{shown}?q={shown} {shown} 1\\t2", lines
    assert lines[0].startswith(f"GET /{shown}?q=") and lines[0].endswith(f" {shown} 1\\t2"), lines


def test_dropped(pool, listen, log, journal):
    """Requests dead on arrival, and refused ones."""
    pool(drop_dead_on_arrival="yes")
    first = send(listen, "id=a&wait=go")
    journal.wait("wait", "a")
    send(listen, "id=b&text=x", REMOTE_ADDR="192.0.2.9").close()
    journal.signal("go")
    first.read_response()
    first.close()
    entry = log.one("b")
    assert (entry["outcome"], entry["status"], entry["remote"]) == ("dropped", 499, "192.0.2.9")
    assert fastcgi.request(listen, fastcgi.cgi_params("x" * 2000000)).status == 431
    refused = log.wait(3)[-1]
    assert (refused["outcome"], refused["status"], refused["path"]) == ("dropped", 431, None)


def test_stop_cuts_off(manager, app, listen, log, tmp_path, journal):
    """Requests that are cut off when the manager stops have their line before it exits."""
    pool = {"command": f"{app('worker')} -m run {tmp_path}", "listen": listen, **log.directives}
    daemon = manager(pool, settings={"process_control_timeout": "200ms"})
    with send(listen, "id=a&wait=never"):
        journal.wait("wait", "a")
        daemon.stop(signal.SIGTERM)
    (entry,) = log.entries("a")
    assert entry["outcome"] == "killed"


# What is in a line

STATUSES = {
    b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nx": 404,
    b"Content-Type: text/plain\n\nhello": 200,
    b"Location: /elsewhere\r\n\r\n": 302,
    b"X: " + b"y" * 20000 + b"\r\nStatus: 500\r\n\r\n": 500,
    b"Status: 501\r\nX: " + b"y" * 70000 + b"\r\n\r\n": 501,
    b"X: " + b"y" * 70000 + b"\r\nStatus: 500\r\n\r\n": None,
}


@pytest.mark.parametrize("piece", ["", "1", "7"])
def test_status(pool, listen, log, piece):
    pool(program="raw", arguments="", max_execution_time=0)
    for count, (body, status) in enumerate(STATUSES.items(), 1):
        fastcgi.request(listen, query=piece, body=body)
        entry = log.wait(count)[-1]
        assert (entry["status"], entry["request_bytes"]) == (status, len(body))
        assert entry["response_bytes"] == len(body)


def test_text(pool, listen, log):
    pool(**{
        "program": "raw",
        "arguments": "",
        "access__format": '"%R %u [%m] \\"%r%Q%q\\" %s %{X-Up}o %{HTTP_AGENT}e %C %{mega}M %n %O %X %L"',
    })
    body = b"X-Up:  to date \r\n\r\nx"
    params = fastcgi.cgi_params("a=b", "POST", body, REQUEST_URI='/"\\\x1b[31m\n?a=b', HTTP_AGENT="\xff")
    fastcgi.request(listen, params, body)
    (line,) = wait_until(log.lines, "a line")
    begin, rest = line.split(" [POST] ")
    assert begin == "127.0.0.1 -"
    assert rest.startswith(r'"/\"\\\x1b[31m\x0a?a=b" 200 to date ' + "\xff ")
    cpu, memory, *end = rest.split("\xff ")[1].split(" ")
    assert float(cpu) >= 0 and int(memory) > 0 and end == ["www", "ok", "0", "-"]


def test_suppressed(pool, listen, log):
    pool(**{"access__suppress_path[]": "/ping"})
    for uri in ("/ping", "/ping?id=a", "/pin", "/ping"):
        fastcgi.request(listen, fastcgi.cgi_params("", REQUEST_URI=uri))
    fastcgi.request(listen, fastcgi.cgi_params("", "HEAD", REQUEST_URI="/ping"))
    fastcgi.request(listen, fastcgi.cgi_params("id=z", REQUEST_URI="/last?id=z"))
    log.one("z")
    assert [(e["path"], e["query"]) for e in log.entries()] == [
        ("/ping", "id=a"), ("/pin", None), ("/last", "id=z"),
    ]


def test_long_values_are_cut_visibly(pool, listen, log, journal):
    daemon = pool()
    long = "id=a&wait=go&text=x" + "&note=y" * 3000
    connection = send(listen, long, REMOTE_USER="ann")
    journal.wait("wait", "a")
    journal.signal("go")
    connection.read_response()
    connection.close()
    (line,) = wait_until(log.lines, "a line")
    assert 1000 < len(line) <= 4000
    entry = log.one("a")
    assert entry["query"].endswith("[...]") and long.startswith(entry["query"][:-5])
    assert entry["user"] == "ann" and entry["label"] is None
    fastcgi.request(listen, query="id=l&text=x&label=" + "\u00e9" * 100)
    assert log.one("l")["label"] == "\u00e9" * 61 + "[...]", "127 bytes, and cut between two characters"
    connection = send(listen, long.replace("id=a", "id=b").replace("go", "never"))
    (pid,) = daemon.workers()
    journal.wait("wait", "b")
    os.kill(pid, signal.SIGKILL)
    entry = log.one("b")
    connection.close()
    assert entry["query"].endswith("[...]"), "the manager knows less about it, and the line shows that"


def test_threads(manager, app, listen, log, tmp_path, journal):
    """Each thread's request has its own line, also those that end together with their worker."""
    command = f"{app('worker')} -m run -t 4 {tmp_path}"
    daemon = manager({"command": command, "listen": listen, **log.directives})
    (pid,) = daemon.wait_workers(1)
    connections = [send(listen, f"id=t{n}&wait=go{n}&text=x") for n in range(4)]
    for n in range(4):
        journal.wait("wait", f"t{n}")
    journal.signal("go0")
    assert log.one("t0")["outcome"] == "ok"
    os.kill(pid, signal.SIGKILL)
    entries = log.wait(4)
    for connection in connections:
        connection.close()
    daemon.wait_workers(1, without=[pid])
    assert sorted(entry["query"][3:5] for entry in entries) == ["t0", "t1", "t2", "t3"]
    assert [entry["outcome"] for entry in entries] == ["ok"] + 3 * ["killed"]
    assert len(log.entries()) == 4


def test_none_without_the_directive(manager, app, listen, tmp_path):
    daemon = manager({"command": f"{app('worker')} -m run {tmp_path}", "listen": listen})
    fastcgi.request(listen, query="id=a&text=x")
    assert daemon.writer() is None
    (pid,) = daemon.wait_workers(1)
    assert len([to for to in os.listdir(f"/proc/{pid}/fd") if "pipe" in os.readlink(f"/proc/{pid}/fd/{to}")
                and int(to) > 2]) == 1, "for the library's messages"


# Configuration

@pytest.mark.parametrize(
    "directive, value, said",
    [
        ("access.format", '"%R %x"', r"access.format = %R %x: has %x, which is no code; codes are %% %A"),
        ("access.format", '"%{hours}d"', "in its braces may stand seconds"),
        ("access.suppress_path[]", "ping", "must be a path that begins with /"),
        ("access.log", "/nonexistent/access", "the folder /nonexistent does not exist"),
        ("access.log", "access", "must be an absolute path"),
    ],
)
def test_errors_are_reported(tmp_path, app, directive, value, said):
    ini = tmp_path / "bad.ini"
    ini.write_text(
        f"[global]\nerror_log = {tmp_path}/log\ncontrol.listen = {tmp_path}/ctl\n"
        f"[www]\ncommand = {app('worker')}\nuser = {os.geteuid()}\nlisten = {tmp_path}/s\n"
        f"pm = static\npm.max_children = 1\n{directive} = {value}\n"
    )
    done = subprocess.run(
        [build.OVERTIME, "-t", "-R", "-c", ini], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 78
    assert f"{ini}:10: [www] {directive} = " in done.stderr and said in done.stderr, done.stderr
