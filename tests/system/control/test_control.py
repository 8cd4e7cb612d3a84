"""The control socket and overtimectl: every command, exit statuses, and misbehaving clients."""

import json
import os
import pwd
import re
import socket
import subprocess

import pytest

from harness import build, fastcgi, process
from harness.fields import endings, rows
from harness.wait import wait_until
from harness.worker_script import is_root, script, sleeper


def raw(daemon, data, end=True):
    """Sends bytes and returns the whole answer."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(daemon.control_path))
        try:
            client.sendall(data)
            if end:
                client.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
        return answer


def test_ping(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path)})
    answer = daemon.control("ping")
    assert answer.returncode == 0 and f"process {daemon.pid}, running" in answer.stdout
    assert json.loads(daemon.control("--json", "ping").stdout)["pid"] == daemon.pid


def test_status(manager, app, tmp_path, journal):
    daemon = manager(pools={
        "www": {"command": f"{app('worker')} {tmp_path}", "pm.max_children": 3},
        "box": {"command": sleeper(tmp_path), "pm.max_children": 2},
    })
    assert fastcgi.request(daemon.addresses["www"], query="id=a&text=x").text == "x"
    with fastcgi.Connection(daemon.addresses["www"]) as connection:
        connection.send_request(fastcgi.cgi_params("id=b&text=x&label=mail%203&finish&wait=go"))
        journal.wait("wait", "b")

        def counts():
            pools = json.loads(daemon.control("--json", "status").stdout)["pools"]
            return {pool["pool"]: pool for pool in pools}

        wait_until(lambda: counts()["www"]["idle"] == 3, lambda: f"three idle workers in {counts()}")
        www, box = counts()["www"], counts()["box"]
        assert (www["workers"], www["post_response"], www["requests"], www["post_response_requests"]) == (4, 1, 2, 1)
        assert (box["workers"], box["unknown"], box["requests"]) == (2, 2, 0)
        rows = json.loads(daemon.control("workers", "www", "--json").stdout)["workers"]
        (busy,) = [row for row in rows if row["state"] == "post-response"]
        assert busy["pid"] == journal.events("b", "wait")[0].pid
        assert busy["method"] == "GET" and busy["uri"].startswith("/?id=b")
        assert busy["label"].startswith("mail") and busy["request_ms"] >= busy["state_ms"] >= 0
        text = daemon.control("workers").stdout
        assert "post-response" in text and "GET /?id=b" in text and "unknown" in text
        journal.signal("go")
    text = daemon.control("status", "box").stdout
    assert "box" in text and "www" not in text
    unknown = json.loads(daemon.control("--json", "workers", "box").stdout)["workers"][0]
    assert unknown["state"] == "unknown" and unknown["requests"] is None


def test_status_for_people(manager, app, tmp_path, journal):
    """One line per pool; all fields of one pool with dates, durations and the meaning of each."""
    command = f"{app('worker')} {tmp_path}"
    daemon = manager(pools={"www": {"command": command, "pm.max_children": 2}, "api": {"command": command}})
    with fastcgi.Connection(daemon.addresses["www"]) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=x&finish&wait=go"))
        journal.wait("wait", "a")
        row = re.compile(r"^www +0/2 +1/2 +0 +2 +0 +0 +1 +1 +0  \S+ m?s$", re.MULTILINE)
        text = wait_until(lambda: row.search(daemon.control("status").stdout) and daemon.control("status").stdout,
                          lambda: daemon.control("status").stdout)
        journal.signal("go")
    table, legend = text.split("\n\n")
    assert [line.split()[0] for line in table.splitlines()] == ["POOL", "www", "api"]
    assert max(map(len, text.splitlines())) <= 100
    assert all(f"{name}" in legend for name in ("SERVING", "POST", "SHUTD", "OTHER", "QUEUE", "POST-REQS", "DIED"))
    whole = daemon.control("status", "www").stdout
    assert re.search(r"^start_time +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  *When the pool was opened$", whole, re.MULTILINE)
    assert re.search(r"^uptime +\S+ m?s +Time since", whole, re.MULTILINE), whole
    shown = {re.split("  +", line)[0].removeprefix("ended_by ") for line in whole.splitlines()}
    headings = [line for line in whole.splitlines() if line.isupper()]
    assert headings == ["POOL", "WORKERS NOW", "LISTEN QUEUE", "REQUESTS", "STARTS AND ENDS OF WORKERS", "TIMES"]
    assert re.search(r"REQUESTS\nrequests .*(\n\w.*)*\nshutdown_lost ", whole)
    missing = {name.removesuffix("_ms") for kind in ("COUNTER", "GAUGE") for name in rows("POOL", kind)} - shown
    assert not missing and set(endings()) <= shown, "every field is there"
    assert "api" not in whole


def test_counters_outlive_workers(manager, app, tmp_path):
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "pm.max_requests": 2})
    for number in range(7):
        assert fastcgi.request(daemon.address, query=f"id=r{number}&text=x").text == "x"

    def pool():
        return json.loads(daemon.control("--json", "status").stdout)["pools"][0]

    wait_until(lambda: pool()["requests"] == 7 and pool()["ended"] == 3, lambda: f"seven requests in {pool()}")
    assert pool()["spawned"] == 4 and pool()["died"] == 0, "they had served their share"


def test_config(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path)})
    answer = daemon.control("config")
    assert answer.returncode == 0
    dump = subprocess.run(
        [str(build.OVERTIME), "-tt", "-R", "-c", str(daemon.ini_path)], capture_output=True, text=True, check=True
    )
    assert answer.stdout == dump.stdout


def test_config_of_a_pool(manager, tmp_path):
    pool = {"command": sleeper(tmp_path), "env[A]": '"b; c"', "pm.max_children": 1}
    daemon = manager(pools={"www": pool, "box": {"command": sleeper(tmp_path)}})
    whole, part = daemon.control("config").stdout, daemon.control("config", "box").stdout
    assert part.startswith("[box]") and part in whole and "\n[" not in part
    got = json.loads(daemon.control("--json", "config").stdout)
    assert got["file"] == str(daemon.ini_path) and [each["pool"] for each in got["pools"]] == ["www", "box"]
    ini = daemon.ini_path.read_text().splitlines()
    www = got["pools"][0]
    assert ini[www["line"] - 1] == "[www]"
    for name, value in (("pm.max_children", "1"), ("command", [str(pool["command"])])):
        row = www["directives"][name]
        assert row["value"] == value and row["file"] == str(daemon.ini_path)
        assert ini[row["line"] - 1].startswith(f"{name} =")
    assert www["directives"]["env"]["value"]["A"]["value"] == "b; c"
    assert www["directives"]["pm"] == {"value": "static", "file": None, "line": None}
    assert got["global"]["control.listen"]["value"] == str(daemon.control_path)
    one = json.loads(daemon.control("--json", "config", "box").stdout)
    assert one["pools"] == got["pools"][1:] and "global" not in one
    # The JSON has every directive of the text.
    names = [line.split(" = ")[0] for line in part.splitlines()[1:] if line[0] not in "[;"]
    assert {name.split("[")[0] for name in names} <= set(one["pools"][0]["directives"])


def test_json_of_what_changes_something(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path)})
    for words in (["reload"], ["reload", "--wait"], ["reload", "--all", "--wait"]):
        got = json.loads(daemon.control("--json", *words, check=True).stdout)
        assert got["done"] is True and any("pools: " in note for note in got["notes"])
    assert json.loads(daemon.control("--json", "reopen-logs", check=True).stdout) == {"done": True}
    good = daemon.ini_path.read_text()
    daemon.write(good + "nonsense = 1\n")
    answer = daemon.control("--json", "reload", "--wait")
    assert answer.returncode == 1 and "nonsense" in answer.stderr and not answer.stdout
    assert json.loads(daemon.control("--json", "quit", "--wait", check=True).stdout) == {"state": "stopped"}
    wait_until(lambda: daemon.popen.poll() is not None, "the manager's end")


def test_a_log_that_cannot_be_reopened(manager, tmp_path):
    (tmp_path / "logs").mkdir()
    daemon = manager({"command": sleeper(tmp_path), "access.log": tmp_path / "logs" / "access"})
    (tmp_path / "logs").rename(tmp_path / "moved")
    answer = daemon.control("reopen-logs")
    assert answer.returncode == 1 and "cannot open the access log" in answer.stderr
    (tmp_path / "moved").rename(tmp_path / "logs")
    assert daemon.control("reopen-logs").returncode == 0


@pytest.mark.parametrize("verb", ["stop", "quit"])
@pytest.mark.parametrize("wait", [True, False])
def test_stop_and_quit(manager, tmp_path, verb, wait):
    daemon = manager({"command": sleeper(tmp_path), "pm.max_children": 3}, settings={"pid": tmp_path / "pid"})
    workers = daemon.workers()
    answer = daemon.control(verb, *(["--wait"] if wait else []))
    assert (answer.returncode, answer.stderr) == (0, "")
    if wait:
        assert not (tmp_path / "pid").exists() and not os.path.exists(daemon.address.path)
        assert not any(process.alive(pid) for pid in workers)
    wait_until(lambda: daemon.popen.poll() is not None, "the manager's end")
    assert daemon.popen.returncode == 0


def test_status_while_stopping(manager, tmp_path):
    body = "trap '' TERM QUIT\necho ignoring\nexec sleep 100000"
    daemon = manager({"command": script(tmp_path, body)}, settings={"process_control_timeout": "1h"})
    daemon.wait_log("ignoring")
    assert daemon.control("quit").returncode == 0
    assert json.loads(daemon.control("--json", "ping").stdout)["state"] == "stopping"
    assert "(stopping)" in daemon.control("workers").stdout
    daemon.control("stop")
    daemon.send_signal(15)
    wait_until(lambda: daemon.popen.poll() is not None, "the manager's end")


def test_new_workers_for_one_pool(manager, app, tmp_path):
    """Workers of other pools stay, unless their section has changed: the file is read as a whole."""
    command = f"{app('worker')} {tmp_path}"
    daemon = manager(pools={name: {"command": command} for name in ("www", "api", "box")})

    def pids():
        workers = json.loads(daemon.control("--json", "workers").stdout)["workers"]
        return {worker["pool"]: worker["pid"] for worker in workers}

    before = pids()
    answer = daemon.control("reload", "--all", "--wait", "api")
    assert answer.returncode == 0, answer.stderr
    after = pids()
    assert {name for name in before if before[name] != after[name]} == {"api"}
    text = daemon.ini_path.read_text()
    daemon.write(text.replace("[box]", "[box]\nenv[A] = b"))
    assert daemon.control("reload", "api", "--all", "--wait").returncode == 0
    assert {name for name in before if pids()[name] != after[name]} == {"api", "box"}
    before, log = pids(), daemon.log()
    for words, part in ((["www"], "reload --all POOL"), (["--wait", "www"], "as a whole"),
                        (["--all", "ww"], 'no pool "ww"')):
        answer = daemon.control("reload", *words)
        assert answer.returncode == 1 and part in answer.stderr, answer
    assert pids() == before and daemon.log() == log


def test_refusals(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path)})
    for verb in ("status", "workers", "config"):
        answer = daemon.control(verb, "nope")
        assert answer.returncode == 1 and 'no pool "nope"' in answer.stderr and "overtimectl status" in answer.stderr
    for words in ([], ["dance"], ["status", "a", "b"], ["ping", "--wait"], ["-x", "ping"], ["status", "a b"],
                  ["-s"], ["stop", "www"], ["status", "-d", "x"], ["help", "dance"]):
        answer = daemon.control(*words)
        assert answer.returncode == 64 and answer.stderr and not answer.stdout, words
    assert daemon.control("-h").returncode == 0 and daemon.control("-v").returncode == 0
    assert daemon.control("ping").returncode == 0


@pytest.mark.parametrize("said, meant", [
    ("relaod", "reload"), ("stat", "status"), ("wrokers", "workers"), ("reopen", "reopen-logs"), ("stp", "stop"),
    ("conf", "config"), ("zzzzzz", None),
])
def test_a_misspelled_command(said, meant):
    answer = subprocess.run([str(build.OVERTIMECTL), said], capture_output=True, text=True, check=False)
    assert answer.returncode == 64 and f'unknown verb "{said}"' in answer.stderr
    assert (f'is it "{meant}"?' in answer.stderr) == (meant is not None)


def test_help(manager, tmp_path):
    """Every command has one; no line is too wide for a terminal."""
    daemon = manager({"command": sleeper(tmp_path)})
    overview = daemon.control("--help").stdout
    verbs = [line.split()[0] for line in overview.split("verbs:\n")[1].split("\n\n")[0].splitlines()]
    assert {"ping", "status", "workers", "config", "request", "reload", "reopen-logs", "quit", "stop"} <= set(verbs)
    for verb in verbs:
        text = daemon.control(verb, "--help").stdout
        assert text.startswith(f"usage: overtimectl [OPTION]... {verb}") and daemon.control("help", verb).stdout == text
        overview += text
    assert all(len(line) <= 100 for line in overview.splitlines())


def test_no_manager(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        answer = subprocess.run(
            [str(build.OVERTIMECTL), "-s", str(path), "ping"], capture_output=True, text=True, check=False
        )
        assert answer.returncode == 69 and str(path) in answer.stderr


@pytest.mark.parametrize("data", [
    b"\n", b"ping\n", b"overtime/1\n", b"overtime/2 ping\n", b"overtime/1  ping\n", b"overtime/1 ping  x\n",
    b"overtime/1 dance\n", b"overtime/1 \x1b[31mred\n", b"overtime/1 ping\0\n", b"overtime/1 ping x\n",
    b"overtime/1 status" + b" x" * 40 + b"\n", b"\xff" * 5000, b"A" * 100000, b"GET / HTTP/1.0\r\n\r\n",
])
def test_garbage_is_answered_with_an_error(manager, tmp_path, data):
    daemon = manager({"command": sleeper(tmp_path)})
    answer = raw(daemon, data)
    assert answer.startswith(b"error ") and answer.endswith(b"\n") and answer.count(b"\n") == 1
    assert b"\x1b" not in answer
    assert daemon.control("ping").returncode == 0


def test_a_line_in_pieces_and_more_than_a_line(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path)})
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(daemon.control_path))
        for byte in b"overtime/1 ping\n":
            client.send(bytes([byte]))
        assert client.recv(100).startswith(b"ok\n")
    assert raw(daemon, b"overtime/1 ping\novertime/1 stop\n", end=False).startswith(b"ok\n")
    assert daemon.control("ping").returncode == 0, "one request a connection"
    assert raw(daemon, b"") == b""


def test_many_silent_clients(manager, tmp_path):
    """More than the limit: they are disconnected one by one, and others are served."""
    daemon = manager({"command": sleeper(tmp_path)})
    before = daemon.descriptor_count()
    clients = []
    try:
        for _ in range(100):
            clients.append(socket.socket(socket.AF_UNIX))
            clients[-1].connect(str(daemon.control_path))
        assert daemon.control("ping").returncode == 0
    finally:
        for client in clients:
            client.close()
    wait_until(lambda: daemon.descriptor_count() == before, "all descriptors back")


def test_clients_that_take_nothing(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path), "pm.max_children": 50})
    clients = []
    for _ in range(10):
        client = socket.socket(socket.AF_UNIX)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(str(daemon.control_path))
        client.sendall(b"overtime/1 config\n")
        clients.append(client)
    assert daemon.control("ping").returncode == 0
    for client in clients:
        client.close()
    assert daemon.control("status").returncode == 0


@pytest.mark.skipif(not is_root(), reason="only root can pose as somebody else")
@pytest.mark.parametrize("settings, served", [
    ({}, False),
    ({"control.mode": "0666"}, True),
    ({"control.owner": "nobody"}, True),
    ({"control.mode": "0660", "control.group": "nogroup"}, True),
    ({"control.mode": "0660", "control.group": "www-data"}, False),
])
def test_the_socket_file_decides_who_is_served(manager, tmp_path, settings, served):
    daemon = manager({"command": sleeper(tmp_path)}, settings=settings)
    tool = tmp_path / "ctl"
    tool.write_bytes(build.OVERTIMECTL.read_bytes())
    tool.chmod(0o755)
    answer = subprocess.run(
        [str(tool), "-s", str(daemon.control_path), "quit", "--wait"], user="nobody", group="nogroup",
        extra_groups=[], capture_output=True, text=True, check=False,
    )
    if served:
        assert (answer.returncode, answer.stderr) == (0, "")
        wait_until(lambda: daemon.popen.poll() is not None, "the manager's end")
        assert f"control: quit, asked by uid {pwd.getpwnam('nobody').pw_uid}: stopping" in daemon.log()
    else:
        assert answer.returncode == 1
        assert f"you may not use {daemon.control_path}: be root, or a member of `control.group`" in answer.stderr
        assert daemon.control("ping").returncode == 0


def test_a_long_name_fits(manager, app, tmp_path):
    name = "a" * 40
    daemon = manager(pools={name: {"command": f"{app('worker')} {tmp_path}"}})
    lines = daemon.control("status").stdout.splitlines()
    assert lines[1].startswith("a" * 15 + "~ ") and max(map(len, lines)) <= 100


def test_a_starting_worker_has_an_age(manager, app, tmp_path):
    """A worker that has not accepted yet: FOR counts from its start."""
    daemon = manager({"command": f"/bin/sh -c 'sleep 1.5; exec {app('worker')} {tmp_path}'"})

    def worker():
        return json.loads(daemon.control("--json", "workers").stdout)["workers"][0]

    seen = wait_until(lambda: [w for w in [worker()] if w["state"] == "idle" or w["state_ms"]], "an age, or its end")
    if seen[0]["state"] == "starting":
        assert 0 < seen[0]["state_ms"] <= seen[0]["uptime_ms"] + 1
    wait_until(lambda: worker()["state"] == "idle", "its first accept")


def test_a_request_to_a_pool_in_back_off(manager, tmp_path):
    """The answer comes at once, and says why there is no worker."""
    daemon = manager({"command": "/bin/false", "pm": "static"})
    daemon.wait_log(r"next start in [\d.]+ s")
    done = daemon.control("request", "www", "/")
    assert done.returncode == 1 and "pool www has no worker and is in back-off: the next start is in " in done.stderr
