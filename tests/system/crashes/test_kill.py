"""A static pool under kill -9: only requests in the killed workers fail, and all are replaced."""

import os
import random
import signal
import threading

from harness import fastcgi, process
from harness.wait import wait_until

WORKERS, CLIENTS, KILLS = 4, 4, 12


class Load:
    """Clients that send one request after the other until they are stopped."""

    def __init__(self, address):
        self.address = address
        self.served = 0
        self.failed = []  # ids
        self._halt = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._client, args=(n,)) for n in range(CLIENTS)]

    def _client(self, number):
        turn = 0
        while not self._halt.is_set():
            turn += 1
            name = f"c{number}.{turn}"
            try:
                fine = fastcgi.request(self.address, query=f"id={name}&sleep=2&text={name}").text == name
            except OSError:
                fine = False
            with self._lock:
                self.served += fine
                if not fine:
                    self.failed.append(name)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._halt.set()
        for thread in self._threads:
            thread.join()


def test_random_workers(manager, app, listen, tmp_path, journal):
    daemon = manager(
        {"command": f"{app('worker')} -m run {tmp_path}", "listen": listen, "pm.max_children": WORKERS}
    )
    choose = random.Random(20260101)
    killed = []
    daemon.wait_workers(WORKERS)
    with Load(listen) as load:
        for _ in range(KILLS):
            before = load.served
            wait_until(lambda: load.served > before + 20, "requests between two kills")
            victim = choose.choice(daemon.workers())
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)
            daemon.wait_workers(WORKERS, without=killed)
        before = load.served
        wait_until(lambda: load.served > before + 100, "requests after the last kill")
    # A worker may hold more than the request it runs: connections whose header is not complete yet.
    assert len(load.failed) < KILLS * CLIENTS, "every client failed at every kill"
    for name in load.failed:
        pids = {event.pid for event in journal.events(name)}
        assert pids <= set(killed), f"request {name} failed in a worker that was not killed"
    for pid in killed:
        assert daemon.wait_log(rf"\b{pid}\b.*(?:signal|SIG|KILL|9)")
    assert process.alive(daemon.pid)


def test_the_log_says_what_a_dead_worker_was_doing(manager, app, listen, tmp_path, journal):
    """One line: pool, pid, signal, requests served, state, method and URI."""
    daemon = manager({"command": f"{app('worker')} -m run {tmp_path}", "listen": listen})
    assert fastcgi.request(listen, query="id=a&text=x").text == "x"
    with fastcgi.Connection(listen) as connection:
        connection.send_request(fastcgi.cgi_params("id=b&text=x&finish&wait=never"))
        connection.read_response(wait_eof=True)
        pid = journal.wait("wait", "b").pid
        os.kill(pid, signal.SIGKILL)
    line = daemon.wait_log(rf"^.*\b{pid}\b.*KILL.*$")[0]
    for word in ("www", "post", "GET", "/?id=b&text=x&finish&wait=never"):
        assert word in line, f"{word!r} is missing in: {line}"
    daemon.wait_workers(1, without=[pid])
    assert fastcgi.request(listen, query="id=c&text=again").text == "again"


def test_siblings_and_other_pools_do_not_notice(manager, app, tmp_path, journal):
    """A request in another worker, in the same pool or in another, ends well while a worker dies."""
    command = f"{app('worker')} -m run {tmp_path}"
    daemon = manager(
        pools={"one": {"command": command, "pm.max_children": 2}, "two": {"command": command}}
    )
    held = []
    for pool, name in (("one", "a"), ("two", "b")):
        connection = fastcgi.Connection(daemon.addresses[pool])
        connection.send_request(fastcgi.cgi_params(f"id={name}&text=fine&wait=go"))
        journal.wait("wait", name)
        held.append(connection)
    busy = {journal.events(name, "wait")[0].pid for name in ("a", "b")}
    (idle,) = set(daemon.workers()) - busy
    os.kill(idle, signal.SIGKILL)
    daemon.wait_workers(3, without=[idle])
    journal.signal("go")
    for connection in held:
        with connection:
            assert connection.read_response(wait_eof=True).text == "fine"
