"""`overtimectl request`: one request directly to a pool, and when the worker had completed it."""

import json
import os
import re
import socket
import subprocess
import threading

import pytest

from harness import build, fastcgi, process
from harness.address import Address
from harness.journal import pattern
from harness.wait import wait_until
from harness.worker_script import sleeper

ENDLESS = ("--timeout", "0")


def ask(daemon, *words, pool="www", **more):
    """Sends a request and returns the JSON object."""
    answer = daemon.control("--json", "request", pool, *words, **more)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def begin(daemon, *words):
    """A request in the background."""
    return subprocess.Popen(
        [str(build.OVERTIMECTL), "-s", str(daemon.control_path), "--json", "request", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=daemon.environment,
    )


def result(popen, status=0):
    """Its output."""
    out, complaint = popen.communicate(timeout=60)
    assert popen.returncode == status, complaint
    return json.loads(out) if status == 0 else complaint


def www(app, tmp_path, *arguments, **directives):
    words = [app("worker"), *arguments, tmp_path]
    return {"command": " ".join(map(str, words)), **directives}


def test_the_answer_and_the_times(manager, app, listen, tmp_path):
    daemon = manager(www(app, tmp_path, listen=listen))
    answer = daemon.control("request", "www", "/a/b?id=a&text=hello&finish&sleep=50")
    assert answer.returncode == 0
    head, _, body = answer.stdout.partition("\n\n")
    assert head.startswith("Content-Type: text/plain") and body == "hello"
    said = dict(line.split(": ", 1) for line in answer.stderr.splitlines())
    assert said["status"] == "200" and int(said["worker"]) == daemon.workers()[0]
    to_answer, to_done = (float(said[name].split(" ms")[0]) for name in ("answer", "done"))
    assert 0 < to_answer and to_done >= 50 and to_done >= to_answer
    assert said["done"].endswith(" ms")


def test_the_usual_parameters(manager, app, tmp_path, journal):
    daemon = manager(www(app, tmp_path))
    names = ("REQUEST_METHOD", "SCRIPT_NAME", "SCRIPT_FILENAME", "QUERY_STRING", "REQUEST_URI", "SERVER_PROTOCOL",
             "GATEWAY_INTERFACE", "REMOTE_ADDR", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_HOST", "X", "EMPTY")
    query = "id=a&" + "&".join(f"param={name}" for name in names)

    def params(*words):
        ask(daemon, f"/dir/page?{query}", *words)
        return dict(event.detail.split("=", 1) for event in journal.events(name="param")[-len(names):])

    got = params()
    assert got == {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/dir/page", "SCRIPT_FILENAME": "/dir/page", "QUERY_STRING": query,
        "REQUEST_URI": f"/dir/page?{query}", "SERVER_PROTOCOL": "HTTP/1.1", "GATEWAY_INTERFACE": "CGI/1.1",
        "REMOTE_ADDR": "127.0.0.1", "CONTENT_LENGTH": "", "CONTENT_TYPE": "", "HTTP_HOST": "localhost",
        "X": "(none)", "EMPTY": "(none)",
    }
    got = params("-d", "a=b", "-p", "REQUEST_METHOD=DELETE", "-p", "REQUEST_METHOD=PUT", "-p", "X=1=2", "--param",
                 "EMPTY=", "-p", "HTTP_HOST=example.org")
    assert (got["REQUEST_METHOD"], got["X"], got["EMPTY"], got["HTTP_HOST"]) == ("PUT", "1=2", "", "example.org")
    assert got["CONTENT_LENGTH"] == "3" and got["CONTENT_TYPE"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 3_000_000])
def test_bodies_both_ways(manager, app, tmp_path, size):
    """A large body is read and answered at the same time: neither side waits for the other."""
    daemon = manager(www(app, tmp_path))
    body = pattern(size)
    words = [str(build.OVERTIMECTL), "-s", str(daemon.control_path), "request", "www", "/?id=a&echo", "-d", "-"]
    answer = subprocess.run(words, input=body, capture_output=True, timeout=60, check=True, env=daemon.environment)
    assert answer.stdout.partition(b"\r\n\r\n")[2] == body


def test_many_long_parameters(manager, app, tmp_path, journal):
    """More than one record of them."""
    daemon = manager(www(app, tmp_path))
    words = [word for number in range(30) for word in ("-p", f"X_{number}={'y' * 4000}")]
    ask(daemon, "/?id=a&param=FIRST&param=LAST", "-p", "FIRST=1", *words, "-p", "LAST=2")
    assert [event.detail for event in journal.events(name="param")] == ["FIRST=1", "LAST=2"]


def test_a_response_that_is_not_text(manager, app, tmp_path):
    daemon = manager(www(app, tmp_path))
    words = [str(build.OVERTIMECTL), "-s", str(daemon.control_path), "--json", "request", "www", "/?id=a&echo", "-d", "-"]
    answer = subprocess.run(words, input=b"\xff\0\x01", capture_output=True, timeout=60, check=True, env=daemon.environment)
    got = json.loads(answer.stdout)
    assert got["body"] is None and got["body_base64"] == "/wAB"
    assert ["Content-Type", "text/plain"] in got["headers"] and got["done"] == "ended"


# ---- the true end ----


def test_done_is_when_the_worker_is_done(manager, app, tmp_path, journal):
    """The end of exactly that worker's request, while the pool serves others."""
    daemon = manager(www(app, tmp_path, **{"pm.max_children": 2, "post_response.max_children": 2}))
    mine = begin(daemon, "www", "/?id=mine&text=x&finish&wait=go&note=worked&shutdown=late", *ENDLESS)
    worker = journal.wait("wait", "mine").pid
    for number in range(50):
        assert ask(daemon, f"/?id=o{number}&text=y")["worker"] != worker
    assert mine.poll() is None
    journal.signal("go")
    got = result(mine)
    assert (got["done"], got["worker"], got["body"]) == ("ended", worker, "x")
    assert got["done_ms"] >= got["answer_ms"] > 0
    assert journal.names("mine")[-1].startswith("shutdown late")


def test_many_at_once_in_one_worker(manager, app, tmp_path):
    """Each learns of its own end, although the next request begins at once."""
    daemon = manager(www(app, tmp_path, **{"post_response.max_children": 0}))
    asked = [begin(daemon, "www", f"/?id=r{n}&text={n}&finish&sleep=20", *ENDLESS) for n in range(8)]
    got = [result(popen) for popen in asked]
    assert [each["done"] for each in got] == ["ended"] * 8
    assert [each["body"] for each in got] == [str(n) for n in range(8)]
    assert all(each["done_ms"] >= max(20, each["answer_ms"]) for each in got)


def test_several_threads(manager, app, tmp_path, journal):
    daemon = manager(www(app, tmp_path, "-t", "4", "-m", "finish"))
    mine = begin(daemon, "www", "/?id=mine&text=x&finish&wait=go", *ENDLESS)
    journal.wait("wait", "mine")
    for number in range(10):
        assert ask(daemon, f"/?id=o{number}&text=y")["done"] == "ended"
    assert mine.poll() is None
    journal.signal("go")
    assert result(mine)["done"] == "ended"


def test_a_worker_that_leaves_after_it(manager, app, tmp_path):
    """Its end is known, although the worker has left its slot."""
    daemon = manager(www(app, tmp_path, **{"pm.max_requests": 1}))
    for number in range(5):
        got = ask(daemon, f"/?id=r{number}&text=x&finish&sleep=10")
        assert got["done"] == "ended" and got["done_ms"] >= 10


def test_a_worker_that_dies_in_it(manager, app, tmp_path, journal):
    daemon = manager(www(app, tmp_path))
    mine = begin(daemon, "www", "/?id=mine&text=x&finish&wait=go", *ENDLESS)
    worker = journal.wait("wait", "mine").pid
    os.kill(worker, 9)
    got = result(mine)
    assert (got["done"], got["worker"], got["body"]) == ("died", worker, "x")
    assert got["done_ms"] >= got["answer_ms"] and "log" in got["remark"]


def test_a_reload_meanwhile(manager, app, tmp_path, journal):
    daemon = manager(www(app, tmp_path))
    mine = begin(daemon, "www", "/?id=mine&text=x&finish&wait=go", *ENDLESS)
    worker = journal.wait("wait", "mine").pid
    assert daemon.control("reload", "--all").returncode == 0
    daemon.wait_log("reload: in force")
    journal.signal("go")
    got = result(mine)
    assert (got["done"], got["worker"]) == ("ended", worker)


def test_without_the_library(manager, app, tmp_path):
    daemon = manager({"command": f"{app('worker_plain')} {tmp_path}"})
    got = ask(daemon, "/?id=a&text=x")
    assert (got["body"], got["done"], got["done_ms"], got["worker"]) == ("x", "unknown", None, None)
    assert "library" in got["remark"] and got["answer_ms"] > 0


def test_what_the_application_does_not_answer(manager, app, tmp_path):
    """The library answers it and records nothing: the worker is not reported as one without the library."""
    daemon = manager(www(app, tmp_path, **{"pm.status_path": "/status", "ping.path": "/ping"}))
    for path in ("/status", "/ping"):
        got = ask(daemon, path)
        assert (got["done"], got["worker"]) == ("unknown", None) and got["body"]
        assert "in place of the application, as for the status and ping" in got["remark"]


def test_not_done_in_time(manager, app, tmp_path, journal):
    """The response counts; the worker goes on."""
    daemon = manager(www(app, tmp_path))
    got = ask(daemon, "/?id=a&text=x&finish&wait=go", "-t", "0.5")
    assert (got["body"], got["done"], got["done_ms"]) == ("x", "running", None)
    assert got["worker"] == journal.wait("wait", "a").pid
    journal.signal("go")


# ---- failures ----


def test_http_statuses_are_no_failures(manager, app, tmp_path):
    daemon = manager(www(app, tmp_path, **{"max_execution_time": "100ms", "hard_timeout": "100ms"}))
    assert ask(daemon, "/?id=a&sleep=100000")["status"] == 504


def test_no_answer_in_time(manager, app, tmp_path, journal):
    daemon = manager(www(app, tmp_path, ignore_user_abort="yes"))
    answer = daemon.control("request", "www", "/?id=a&wait=go", "-t", "0.2")
    assert answer.returncode == 1 and "--timeout" in answer.stderr and "0.2 s" in answer.stderr
    journal.signal("go")


def test_a_worker_that_crashes(manager, app, tmp_path):
    daemon = manager(www(app, tmp_path))
    worker = daemon.workers()[0]
    answer = daemon.control("request", "www", "/?id=a&crash")
    assert answer.returncode == 1 and "no answer" in answer.stderr
    told = answer.stderr.split("; worker ")[1:]  # if the manager knows it by then
    assert not told or re.match(r"\d+ ended before it had answered: see the manager's log$", told[0]), answer.stderr
    answer = daemon.control("request", "www", "/?id=b&text=half&flush&crash")
    assert answer.returncode == 1 and "broke off" in answer.stderr
    assert "half" in answer.stdout and str(worker) not in answer.stderr


class Wrong(threading.Thread):
    """Answers every connection with these bytes, and closes or resets it."""

    def __init__(self, address, data):
        super().__init__(daemon=True)
        self.listener = socket.create_server((address.host, address.port))
        self.data = data
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                client.recv(65536)
                client.sendall(self.data)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass


END = fastcgi.record(fastcgi.END_REQUEST, bytes(8))


@pytest.mark.parametrize("data, complaint", [
    (b"", "no answer"),
    (b"HTTP/1.1 200 OK\r\n\r\n", "not FastCGI"),
    (fastcgi.record(fastcgi.STDOUT, b"Status: 200\r\n\r\nx"), "broke off"),
    (fastcgi.record(fastcgi.STDOUT, b"Content-Length: 9\r\n\r\nx") + END, "too short"),
    (fastcgi.record(fastcgi.END_REQUEST, b"\0\0\0\0\x02\0\0\0"), "overloaded"),
    (fastcgi.record(fastcgi.END_REQUEST, b"\0\0"), "malformed"),
    (fastcgi.record(fastcgi.STDOUT, b"x", request_id=7), "another request"),
    (fastcgi.record(fastcgi.PARAMS, b"x"), "no answer has"),
    (fastcgi.record(fastcgi.STDOUT, b"x" * 100)[:50], "broke off"),
])
def test_malformed_responses(manager, tmp_path, data, complaint):
    """Whatever the other side sends is not taken for a response."""
    address = Address.make("tcp", tmp_path)
    daemon = manager({"command": sleeper(tmp_path), "listen": address})
    (worker,) = daemon.workers()
    wrong = Address.make("tcp", tmp_path)
    server = Wrong(wrong, data)
    relay = relayed(daemon, tmp_path, wrong)
    try:
        answer = subprocess.run(
            [str(build.OVERTIMECTL), "-s", str(relay), "request", "www", "/", "-t", "20"],
            capture_output=True, text=True, timeout=60, check=False, env=daemon.environment,
        )
    finally:
        server.listener.close()
    assert answer.returncode == 1 and complaint in answer.stderr, answer.stderr
    assert process.alive(worker)


def relayed(daemon, tmp_path, address):
    """A control socket that answers for every pool that it listens at `address`."""
    path = tmp_path / "relay"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(8)

    def serve():
        with listener:
            for _ in range(2):
                client, _ = listener.accept()
                with client:
                    line = client.recv(4096)
                    said = f"ok\n12345 tcp {address.host} {address.port}\n" if line.count(b" ") == 2 else "ok\nunseen\n"
                    client.sendall(said.encode())
        path.unlink()

    threading.Thread(target=serve, daemon=True).start()
    return path


def test_refusals(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path)})
    answer = daemon.control("request", "nope", "/")
    assert answer.returncode == 1 and 'no pool "nope"' in answer.stderr and "overtimectl status" in answer.stderr
    for words in (["www"], ["www", "/", "x"], ["www", "page"], ["www", "/", "-p", "x"], ["www", "/", "-p", "=x"],
                  ["www", "/", "-p", "OVERTIME_MARK=1"], ["www", "/", "-t", "soon"], ["www", "/", "-t", "-1"],
                  ["www", "/", "--wait"]):
        answer = daemon.control("request", *words)
        assert answer.returncode == 64 and answer.stderr, words
    os.unlink(daemon.address.path)
    answer = daemon.control("request", "www", "/")
    assert answer.returncode == 1 and str(daemon.address.path) in answer.stderr


def test_a_full_queue(manager, tmp_path):
    """The listen queue is full: the client gives up after its time limit."""
    daemon = manager({"command": sleeper(tmp_path), "listen.backlog": 1})
    waiting = []
    try:
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            waiting.append(client)
            client.connect(str(daemon.address.path))
    except BlockingIOError:
        pass
    answer = daemon.control("request", "www", "/", "-t", "0.2")
    for client in waiting:
        client.close()
    assert answer.returncode == 1 and "queue is full" in answer.stderr


def test_a_client_that_may_not(manager, app, tmp_path):
    """No answer comes to a client that listen.allowed_clients does not list, be it from the kernel or the worker."""
    address = Address.make("tcp", tmp_path)
    daemon = manager(www(app, tmp_path, listen=address, **{"listen.allowed_clients": "192.0.2.1"}))
    answer = daemon.control("request", "www", "/?id=a&text=x", "-t", "0.3")
    assert answer.returncode == 1 and "listen.allowed_clients" in answer.stderr


def test_the_tracking_id_stays_inside(manager, app, tmp_path, journal):
    """HTTP clients cannot set it, and invalid values do no harm."""
    daemon = manager(www(app, tmp_path))
    for mark in ("", "0", "x", "-1", "9" * 400):
        params = fastcgi.cgi_params("id=a&text=x", OVERTIME_MARK=mark)
        assert fastcgi.request(daemon.address, params).text == "x"
    wait_until(lambda: len(journal.events("a", "begin")) == 5, "five requests")
    assert ask(daemon, "/?id=b&text=x")["done"] == "ended"
