"""Fire and forget: the client sends its request and leaves; the application runs to its end.

As triggers in PHP applications do it: connect, write an HTTP request, close at once, read nothing.
Through nginx and Apache on unix sockets, with `ignore_user_abort = on`: every request that the web server
has accepted reaches the application and runs to its end.
"""

import concurrent.futures
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import urllib.parse
import urllib.request

import pytest

from harness import build, process
from harness.address import Address, free_port
from harness.wait import LIMIT, wait_until
from harness.web import Apache, Nginx

COUNT = 30 if build.SANITIZED else 300
WORKERS = 6  # as many connections as a browser opens to one host


class Front:
    """A web server that logs which requests it has accepted."""

    def __init__(self, kind, directory, listen, start):
        self.path = directory / "access.log"
        if kind is Nginx:
            self.server = start(listen, location=f"access_log {self.path};")
        else:
            self.server = start(listen, server=f'CustomLog "{self.path}" "\\"%r\\""')

    def taken(self):
        """Ids of the requests in the access log."""
        text = self.path.read_text() if self.path.exists() else ""
        return re.findall(r'"GET /\?id=(\w+)&', text)


@pytest.fixture
def front(request, web, manager, app, tmp_path):
    """The pool and the web server in front of it."""
    listen = Address.make("unix", tmp_path)
    manager({
        "command": f"{app('life')} {tmp_path}", "listen": listen, "pm.max_children": WORKERS,
        "ignore_user_abort": "on", "listen.backlog": 511,
    })
    kind = Nginx if "nginx" in request.node.callspec.id else Apache
    return Front(kind, tmp_path, listen, web)


def query(name, work=""):
    """Work with safe points, output that will not be read, and a shutdown function."""
    return f"id={name}&later=:end&{work}text=nobody&flush&checkpoint&status&write=20000&note=worked"


def check(journal, names):
    """Each of them began once and ran to its end."""
    def missing():
        ended = {event.id for event in journal.events(name="shutdown")}
        return [name for name in names if name not in ended]

    wait_until(lambda: not missing(), lambda: f"{len(missing())} of {len(names)} requests: {missing()[:9]}")
    for name in ("begin", "note", "end", "shutdown"):
        found = [event.id for event in journal.events(name=name)]
        assert len(found) == len(set(found)), f"{name} twice"
        assert set(names) <= set(found)


@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
def test_write_and_close(front, reset, journal):
    """Nothing is read. All of them arrive: the whole request was written before the end."""
    names = [f"t{number}" for number in range(COUNT)]
    for name in names:
        with socket.create_connection(("127.0.0.1", front.server.port), LIMIT) as sock:
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            head = "Host: localhost\r\nConnection: Close\r\n\r\n"
            sock.sendall(f"GET /?{query(name)} HTTP/1.1\r\n{head}".encode())
    check(journal, names)


def test_curl_with_a_timeout_of_1_ms(front, journal):
    """cURL gives up before, while or after it sends: requests that the web server has accepted count."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed (packaging/install-deps test)")
    names = [f"c{number}" for number in range(COUNT)]

    def trigger(name):
        url = f"http://127.0.0.1:{front.server.port}/?{query(name, 'sleep=10&')}"
        return subprocess.run(
            [curl, "-s", "-o", "/dev/null", "-m", "0.001", url],
            stdin=subprocess.DEVNULL, check=False, timeout=60,
        ).returncode

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(trigger, names))
    # After one complete request by a client that waits, the web server has seen all earlier ones.
    assert front.server.request(f"/?{query('last')}").complete
    wait_until(lambda: "last" in front.taken(), "the last line of the access log")
    taken = [name for name in front.taken() if name != "last"]
    assert statuses.count(28) > COUNT // 2, "cURL's time-out did not work"
    assert len(taken) > 0, "no request got as far as the web server"
    check(journal, taken)


class Browser:
    """Headless Chromium, controlled through its HTTP interface."""

    def __init__(self, program, directory):
        self.port = free_port()
        with open(directory / "browser.log", "ab") as output:
            self.popen = subprocess.Popen(
                [
                    program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                    "--no-first-run", "--disable-extensions", "--disable-background-networking",
                    "--no-proxy-server", f"--remote-debugging-port={self.port}",
                    f"--user-data-dir={directory}/browser", "about:blank",
                ],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={"HOME": str(directory), "PATH": "/usr/bin:/bin", "TMPDIR": str(directory)},
            )
        wait_until(self._answers, "the browser")

    def _call(self, path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=LIMIT) as answer:
            return answer.read()

    def _answers(self):
        assert self.popen.poll() is None, "the browser ended at once"
        try:
            return self._call("/json/version")
        except OSError:
            return False

    def open(self, url):
        """Opens a tab; returns its id."""
        return json.loads(self._call(f"/json/new?{url}", "PUT"))["id"]

    def close_tab(self, tab):
        self._call(f"/json/close/{tab}")

    def stop(self):
        self.popen.terminate()
        try:
            self.popen.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


@pytest.fixture
def browser(request, tmp_path):
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium is installed")
    before = set(process.children(os.getpid()))
    started = Browser(program, tmp_path)
    yield started
    started.stop()
    # Its helpers lost their parent and are our children now.
    for pid in process.strays(before):
        process.kill_and_reap(pid)
    for path in [*tmp_path.glob("browser/Singleton*"), *tmp_path.rglob("SingletonSocket")]:
        path.unlink(missing_ok=True)


def test_tab_is_closed(front, browser, journal):
    """The user closes the tab while the application works; the work is still completed."""
    names = [f"b{number}" for number in range(COUNT)]
    for at in range(0, COUNT, WORKERS):
        group = names[at : at + WORKERS]
        tabs = []
        for name in group:
            steps = f"id={name}&wait=go-{at}&later=:end&look=10&write=20000&note=worked"
            url = f"http://127.0.0.1:{front.server.port}/?{steps}"
            tabs.append(browser.open(urllib.parse.quote(url, safe="")))
        for name in group:
            journal.wait("wait", name)
        for tab in tabs:
            browser.close_tab(tab)
        journal.signal(f"go-{at}")
    check(journal, names)
