"""The time in the listen queue is counted if the web server passes the time at which it took the request."""

import concurrent.futures
import time
import urllib.request

import pytest

from harness import build
from harness.totals import totals, wait_totals
from harness.wait import wait_until
from harness.web import Apache

APACHE = (build.ROOT / "conf" / "apache.conf").read_text()
NGINX = (build.ROOT / "conf" / "nginx.conf").read_text()


def sample_lines(text, words):
    """The lines of a sample configuration with this beginning."""
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith(words)]
    assert lines, words
    return "\n".join(lines)


def get(web, query):
    with urllib.request.urlopen(f"http://127.0.0.1:{web.port}/?{query}", timeout=60) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("name", ["nginx", "apache"])
def test_the_lines_of_the_samples(request, name, manager, app, tmp_path, journal):
    """One request holds the only worker; the wait of another one is as long as it waited."""
    server = request.getfixturevalue(name)
    daemon = manager({"command": f"{app('worker')} {tmp_path}"})
    if name == "nginx":
        web = server(daemon.address, location=sample_lines(NGINX, "fastcgi_param OVERTIME_START"))
    else:
        lines = sample_lines(APACHE, ("RequestHeader", "SetEnvIf"))
        web = server(daemon.address, server=f"LoadModule headers_module {Apache.modules}/mod_headers.so\n{lines}")
    with concurrent.futures.ThreadPoolExecutor(2) as clients:
        first = clients.submit(get, web, "id=a&text=x&wait=go")
        journal.wait("wait", "a")
        second = clients.submit(get, web, "id=b&text=y&param=OVERTIME_START")
        wait_until(lambda: totals(daemon)["listen_queue"] == 1, "one that waits")
        time.sleep(0.3)  # it waits at least that long
        journal.signal("go")
        assert (first.result(), second.result()) == ("x", "y")
    wait_totals(daemon, requests=2)
    assert 300 <= totals(daemon)["histograms"]["queue_wait"]["sum_ms"] < 30000
    assert journal.wait("param", "b").detail != "OVERTIME_START=(none)"
