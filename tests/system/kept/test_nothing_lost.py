"""No close of a kept connection meets a request: many connections, workers that leave, and nginx in front.

A POST that meets a close is answered 502. Short runs by default, with OVERTIME_LONG as many requests as promised.
"""

import contextlib
import http.client
import os
import re
import threading

import pytest

from harness import fastcgi, process, scoreboard
from harness.shown import pick
from harness.wait import wait_until
from harness.web import Nginx

MANY = 500  # more than fit into a socket's buffer of the default size


def ask(connection, query, text):
    connection.send_request(fastcgi.cgi_params(query, "POST", b"b" * 20), b"b" * 20, keep=True)
    response = connection.read_response()
    assert response.text == text and response.complete, response


def kept(daemon):
    """Idle kept connections of each worker."""
    return [record.kept for record in scoreboard.records(daemon)]


@pytest.fixture
def pool(manager, app, listen, tmp_path):
    def start(**directives):
        return manager({"command": f"{app('load_worker')} run", "listen": listen, "pm.max_children": 8, **directives})

    return start


@pytest.fixture
def connections(listen):
    """connections(n): so many, each after its first request."""
    with contextlib.ExitStack() as stack:
        def opened(count):
            found = [stack.enter_context(fastcgi.Connection(listen)) for _ in range(count)]
            for connection in found:
                ask(connection, "", "hello")
            return found

        yield opened


def test_they_are_spread(pool, connections):
    """One client after the other, so that the kernel would give all to one worker."""
    daemon = pool()
    found = connections(400)
    wait_until(lambda: sum(kept(daemon)) == 400, lambda: f"400 kept connections: {kept(daemon)}")
    assert max(kept(daemon)) <= 64, kept(daemon)
    for connection in found:
        ask(connection, "", "hello")
    assert not any(connection.at_eof for connection in found)


def test_a_reload_loses_none(pool, connections):
    daemon = pool()
    found = connections(MANY)
    for _ in range(2):
        before = daemon.workers()
        assert daemon.control("reload", "--all").returncode == 0
        for connection in found:  # while they change hands
            ask(connection, "", "hello")
        daemon.wait_workers(8, without=before)
    for connection in found:
        ask(connection, "", "hello")


def test_workers_that_are_replaced_lose_none(pool, connections):
    daemon = pool(**{"pm.max_requests": 60})
    found = connections(MANY)
    for query in ("", "write=5&finish&sleep=1"):
        for connection in found:
            connection.send_request(fastcgi.cgi_params(query, "POST", b"b" * 20), b"b" * 20, keep=True)
        for connection in found:
            response = connection.read_response()
            assert response.complete and len(response.text) == 5, response
    assert "lost" not in daemon.log()


def test_a_worker_alone_hands_them_to_its_successor(pool, connections):
    daemon = pool(**{"pm.max_children": 1, "pm.max_requests": 20, "post_response.max_children": 0})
    for _ in range(3):
        found = connections(20)
        for connection in found:
            ask(connection, "", "hello")
    assert "lost" not in daemon.log()


@pytest.mark.parametrize(("count", "query", "text"), [(20, "write=5&finish&sleep=1", "!\"#$%"), (250, "", "hello")],
                         ids=["finish", "many"])
def test_the_manager_is_killed(pool, connections, count, query, text):
    """Its workers serve on, and still hand connections to each other."""
    daemon = pool(**{"pm.max_children": 4})
    found = connections(count)
    workers = daemon.workers()
    daemon.popen.kill()
    daemon.popen.wait()
    try:
        for _ in range(2):
            for connection in found:
                ask(connection, query, text)
    finally:
        for pid in workers:
            process.kill_and_reap(pid)
        for path in [daemon.control_path] + [daemon.address.path] * daemon.address.is_unix:
            os.unlink(path)
        daemon.popen = None


# nginx in front

CLIENTS = 16
NGINX = {
    "finish": ({}, "write=5&finish&sleep=20", 200000),
    "keepalive_max": ({"pm.max_children": 2, "keepalive_max": 1}, "write=5", 50000),
    "locations": ({}, "write=5&finish&sleep=2", 50000),
    "unread-9k": ({}, "write=5", 50000),
    "unread-64k": ({}, "write=5", 50000),
    "unread-1m": ({}, "write=5", 5000),
    "finished-64k": ({}, "write=5&finish&sleep=2", 50000),
}
BODIES = {"9k": 9 * 1024, "64k": 64 * 1024, "1m": 1024 * 1024}  # the application reads none of it


def with_locations(server, count):
    """Gives nginx so many locations, each with connections of its own."""
    path = server.directory / "nginx.conf"
    text = path.read_text()
    upstream = re.search(r"upstream application \{.*?\n    \}\n", text, re.S)[0]
    location = re.search(r"location / \{.*?\n        \}\n", text, re.S)[0]
    text = text.replace(upstream, "".join(upstream.replace("application", f"app{n}") for n in range(count)))
    text = text.replace(location, "".join(
        location.replace("location /", f"location /{n}/").replace("pass application", f"pass app{n}")
        for n in range(count)))
    path.write_text(text)


@pytest.mark.parametrize("case", NGINX)
def test_behind_nginx(pool, listen, tmp_path, case):
    if Nginx.path() is None:
        pytest.skip("nginx is not installed (packaging/install-deps test)")
    directives, query, full = NGINX[case]
    body = b"b" * BODIES.get(case.rpartition("-")[2], 20)
    pool(**directives)
    server = Nginx(tmp_path, listen, keep=True)
    if case == "locations":
        with_locations(server, 20)
    server.start()
    wrong = []

    def client(number):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for turn in range(pick(min(1600, full // 10), full) // CLIENTS):
            connection.request("POST", f"/{(number + turn) % 20}/?{query}", body)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200 or len(text) != 5:
                wrong.append((number, turn, answer.status))
        connection.close()

    try:
        threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong, f"{len(wrong)} failed: {wrong[:5]}; nginx:\n{server.log()[-2000:]}"
    finally:
        server.stop()
