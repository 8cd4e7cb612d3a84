"""The live page drawn from made-up answers, with unknown and missing values."""

import contextlib
import copy
import http.server
import json
import threading

import pytest

from harness import browser as chromium, build

pytestmark = pytest.mark.unsanitized

PAGE = (build.ROOT / "sapi-shim" / "status" / "status_page.html").read_text()
POLICY = ("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
          "connect-src 'self'; img-src data:")
BOUNDS = sorted({*[factor * 10.0**power for power in range(-1, 7) for factor in (1, 2, 5)][:23],
                 1500.0, 3000.0, 4000.0, 6000.0, 8000.0})
POOL = {
    "pool": "www", "process_manager": "static", "listen": "/run/www.sock", "start_time": 1700000000,
    "uptime_ms": 7384000, "generation": 2, "max_children": 4, "post_response_max_children": 2,
    "workers": 6, "starting": 0, "idle": 2, "serving": 1, "post_response": 3, "shutdown": 0, "exiting": 0,
    "unknown": 0, "active": 4, "listen_queue": 7, "max_listen_queue": 9, "requests": 1000, "post_response_requests": 30,
    "over_budget_now": 1, "over_budget": 5, "backoff_ms": 2500, "died": 2, "start_failures": 1,
    "ended_by": {"crash": 2, "max_requests": 40},
    "histograms": {"bounds_ms": BOUNDS, **{
        name: {"count": 0, "sum_ms": 0, "buckets": [0] * (len(BOUNDS) + 1)} for name in ("queue_wait", "answer", "post_response")
    }},
}
WORKER = {
    "pool": "www", "pid": 100, "slot": 0, "generation": 2, "process": "running", "uptime_ms": 60000,
    "state": "idle", "state_ms": 5000, "request_ms": 0, "method": "", "uri": "", "label": "", "user": "",
    "requests": 3, "last_answer_ms": 12.5, "last_post_response_ms": None, "threads": 1, "cpu_ms": 100,
    "memory_bytes": 3 << 20, "each": [{"thread": 0}],
}


class Site:
    """Serves the page, with a short time limit, and `report` as its JSON; can be made silent."""

    def __init__(self):
        self.report, self.answers = {}, threading.Event()
        self.answers.set()
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                body = PAGE.replace("PATIENCE = 5000", "PATIENCE = 300").replace("TROUBLE = 2000", "TROUBLE = 200")
                if "json" in self.path:
                    site.answers.wait(5)
                    body = site.report if isinstance(site.report, str) else json.dumps(site.report)
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Security-Policy", POLICY)
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # its time limit has passed
                    self.wfile.write(body.encode())

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/status?html"

    def stop(self):
        self.answers.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def site(tmp_path):
    del tmp_path  # the browser's; made first and checked last
    started = Site()
    yield started
    started.stop()


@pytest.fixture
def browser(tmp_path):
    if chromium.program() is None:
        pytest.skip("Chromium is not installed (packaging/install-deps browser)")
    started = chromium.Browser(tmp_path).start()
    yield started
    started.stop()


def cells(page, row=1):
    return page.value(f"[...document.querySelectorAll('#workers tbody tr:nth-child({row}) td')]"
                      ".map((cell) => cell.textContent)")


def test_numbers(site, browser):
    """Bars with their limits, percentiles of new requests, threads, and units."""
    several = {**WORKER, "pid": 101, "slot": 1, "threads": 2, "state": "running", "each": [
        {"thread": 0, "state": "idle", "request_ms": 0, "method": "", "uri": "", "label": "", "requests": 1},
        {"thread": 1, "state": "running", "state_ms": 65000, "request_ms": 3700000, "method": "GET",
         "uri": "/t", "label": "two", "requests": 2},
    ]}
    stopping = {**WORKER, "pid": 102, "slot": 2, "process": "stopping", "state": "post-response"}
    site.report = {"overtime": POOL, "workers": [WORKER, several, stopping]}
    page = browser.page(site.url)
    page.wait("!document.querySelector('main').hidden")
    bars = page.value("[...document.querySelectorAll('.bar')].map((bar) => bar.lastChild.textContent)")
    assert bars == ["2 of 4 (1 over budget)", "2 of 2"], "work above the budget takes a request's place"
    assert page.value("document.querySelector('.parts .over').textContent") == "1"
    assert page.value("[...document.querySelectorAll('.room')].map((room) => room.style.width)") == ["100%", "50%"]
    labels = page.value("[...document.querySelectorAll('.track')].map((track) => track.ariaLabel)")
    assert labels == [
        "Requests: 1 serving, 1 post-response over budget, 2 idle; limit 4", "Post-response: 2 post-response; limit 2",
    ]
    numbers = page.value("$('numbers').innerText")
    for part in ("7peak 9", "15 times", "2.5 s1 failed start", "22 crash"):
        assert part in numbers.replace("\n", "").replace(" " * 2, " "), numbers
    assert page.value("document.title") == "www: 1 serving, 3 post-response"
    assert "up 2 h 03 m" in page.value("$('facts').textContent")

    assert cells(page)[:6] == ["running · thread 1", "1 m 05 s", "1 h 01 m", "GET", "/t", "two"]
    assert page.value("document.querySelectorAll('#workers tbody tr').length") == 4
    assert "post-response · stopping" in page.value("document.querySelector('#workers tbody').textContent")
    assert cells(page, 2)[6:11] == ["12.5 ms", "–", "3", "–", "3.0 MiB"]

    later = copy.deepcopy(site.report)
    buckets = later["overtime"]["histograms"]["answer"]["buckets"]
    buckets[6] = 98  # 5 to 10 ms
    buckets[-1] = 2  # above all bounds
    later["workers"][0].update(uptime_ms=61000, cpu_ms=350)
    site.report = later
    page.wait("document.querySelectorAll('#times tbody tr')[1].cells[3].textContent === '100'")
    texts = page.value("[...document.querySelectorAll('#times tbody tr')[1].cells].map((cell) => cell.textContent)")
    assert texts == ["Time to answer", "10.0 ms", "over all", "100", "10.0 ms", "over all"]
    page.wait("document.querySelector('#workers td.cpu').parentNode.parentNode.textContent.includes('25 %')")
    assert page.complaints == []


def test_what_is_not_known(site, browser):
    """null, missing and unknown values: dashes. No answer, no JSON, no status: the page says which."""
    site.report = {"overtime": {"pool": "<b>", "new": [1]}, "workers": [
        {"pid": 7, "state": "unknown", "method": None, "uri": None, "label": None, "cpu_ms": None},
        {"pid": 8, "state": "constructor"},
    ]}
    page = browser.page(site.url)
    page.wait("!document.querySelector('main').hidden")
    assert page.value("$('name').textContent") == "<b>"
    for bad in ("NaN", "undefined", "null", "Infinity"):
        assert bad not in page.value("document.querySelector('main').innerText")
    assert cells(page, 2)[-1] == "8"
    for report, words in (("<html>", "not JSON"), ({"pool": "www"}, "not the status of a pool"), ("null", "No status")):
        site.report = report
        page.wait(f"!$('trouble').hidden && $('trouble').textContent.includes({words!r})")
    site.answers.clear()
    page.wait("$('trouble').textContent.includes('pm.status_listen')")
    site.report = {"overtime": POOL, "workers": []}
    site.answers.set()
    page.wait("$('trouble').hidden && $('name').textContent === 'www'")
    # The pool restarts: its rates must not include earlier values.
    site.report = {"overtime": {**POOL, "requests": 1, "start_time": 1700000009}, "workers": []}
    page.wait("last.pool.requests === 1")
    assert page.value("samples.every((one) => !one.pool || one.rate === null || one.rate >= 0)")


def test_many(site, browser):
    """Two thousand workers: the table is cut off and says so; the page stays fast."""
    workers = [{**WORKER, "pid": 1000 + n, "slot": n, "request_ms": n, "uri": f"/{n}"} for n in range(2000)]
    site.report = {"overtime": {**POOL, "idle": 2000, "workers": 2000}, "workers": workers}
    page = browser.page(site.url)
    page.wait("!document.querySelector('main').hidden")
    assert page.value("$('more').textContent") == "the first 400 of 2,000 of 2,000 shown"
    assert cells(page)[4] == "/1999"
    page.value("$('filter').value = '/17'; $('filter').dispatchEvent(new Event('input'))")
    assert page.value("$('more').textContent") == "111 of 2,000 shown"
    print("drawing 2000 workers takes", page.value("(() => { const t = performance.now(); draw(); return performance.now() - t })()"), "ms")
    assert page.complaints == []
