"""The live page (`?html`) in headless Chromium, behind nginx and under load."""

import contextlib

import pytest

from harness import browser as chromium, fastcgi
from harness.load import Kind, Run
from harness.wait import wait_until

pytestmark = pytest.mark.unsanitized

HOSTILE = "<img src=x onerror=hacked()><script>hacked()</script>"
ENTER = ("Enter", 13, "\r")
PIDS = "[...document.querySelectorAll('#workers td.pid')].map((cell) => Number(cell.textContent))"
NUMBER = """(name) => [...document.querySelectorAll('#numbers div')]
    .find((box) => box.firstChild.textContent === name).lastChild.firstChild.textContent"""


@pytest.fixture
def browser(tmp_path):
    if chromium.program() is None:
        pytest.skip("Chromium is not installed (packaging/install-deps browser)")
    started = chromium.Browser(tmp_path).start()
    yield started
    started.stop()


@pytest.fixture
def site(manager, nginx, app, tmp_path):
    """A pool behind nginx."""
    pool = manager({
        "command": f"{app('worker')} {tmp_path}", "pm.max_children": 4, "post_response.max_children": 4,
        "pm.status_path": "/status", "listen.backlog": 128,
    })
    server = nginx(pool.address)
    return pool, server, f"http://127.0.0.1:{server.port}/status?html"


def row_with(text):
    return f"[...document.querySelectorAll('#workers tbody tr')].find((row) => row.textContent.includes({text!r}))"


def counted(page):
    """How many requests the page knows of."""
    return int(page.value("samples.findLast((one) => one.pool).pool.requests"))


def test_under_load(site, browser, journal):
    """It shows post-response work as text; it updates, sorts by keyboard, filters and pauses."""
    pool, server, url = site
    with fastcgi.Connection(pool.address) as connection:
        params = fastcgi.cgi_params("id=a&label=mail 340 of 1000&text=x&finish&wait=go", REQUEST_URI="/newsletter")
        connection.send_request(params)
        connection.read_response()
        journal.wait("finish", "a")
    with fastcgi.Connection(pool.address) as connection, Run(
        pool.address, [Kind(query="text=hello", text="hello")], rate=40, seconds=30
    ) as load:
        params = fastcgi.cgi_params(f"id=b&label={HOSTILE.replace('=', '%3D')}&text=x&flush&wait=go")
        params["REQUEST_URI"] = "/evil?" + HOSTILE + "\u202e"
        connection.send_request(params)
        journal.wait("wait", "b")
        page = browser.page(url)
        page.wait(row_with("mail 340 of 1000") + " !== undefined")
        text = page.value(row_with("/newsletter") + ".innerText")
        assert "post-response" in text
        text = page.value(row_with("/evil") + ".innerText")
        assert "<img src=x onerror=hacked()>" in text and "\\u202e" in text and text.count("<script>") == 2
        assert page.value("document.querySelectorAll('main img, main script').length") == 0
        page.wait(f"JSON.stringify({PIDS}.sort()) === JSON.stringify(last.workers.map((one) => one.pid).sort())")
        assert set(page.value(PIDS)) == set(pool.workers())

        before = counted(page)
        page.wait(f"Number(({NUMBER})('Requests/s')) > 20", "the rate of requests")
        wait_until(lambda: counted(page) > before, "more requests")
        page.wait("document.querySelector('.fill-post_response').getAttribute('d') !== ''")

        page.value("document.querySelector('#workers th:last-child button').focus()")
        page.press(*ENTER)
        assert page.value("document.querySelector('#workers th[aria-sort]').textContent") == "PID"
        pids = page.value(PIDS)
        assert pids == sorted(pids, reverse=True)
        page.press(*ENTER)
        assert page.value("document.querySelector('#workers th[aria-sort]').ariaSort") == "ascending"
        assert page.value(PIDS) == sorted(page.value(PIDS))

        page.value("$('filter').focus()")
        page.call("Input.insertText", text="340 MAIL")
        assert page.value(PIDS + ".length") == 1 and "1 of " in page.value("$('more').textContent")
        page.value("$('filter').value = ''; document.querySelector('[data-group=post_response]').click()")
        assert page.value(PIDS + ".length") == page.value("last.pool.post_response")

        page.value("$('pause').click()")
        asked = page.wait("!asking && samples.length")
        assert page.value("new Promise((done) => setTimeout(() => done(samples.length), 1500))") == asked
        page.value("$('pause').click()")
        page.wait(f"samples.length > {asked}")
        load.stop()
        journal.signal("go")
    assert page.complaints == []
    assert {url.rsplit("?", 1)[0] for url in page.requests} == {f"http://127.0.0.1:{server.port}/status"}


def test_narrow_and_dark(site, browser, journal, tmp_path):
    """On a phone nothing overflows, light and dark differ, and the image is valid."""
    pool, _, url = site
    with fastcgi.Connection(pool.address) as connection:
        params = fastcgi.cgi_params("id=a&text=x&finish&wait=go", REQUEST_URI="/" + "long" * 60)
        connection.send_request(params)
        journal.wait("finish", "a")
        page = browser.page(url)
        page.wait(row_with("/long") + " !== undefined")
        colours = []
        for dark in (False, True):
            page.look(390, 844, dark, phone=True)
            assert page.value("document.documentElement.scrollWidth") == 390
            assert page.value("Math.max(...[...document.querySelectorAll('#workers td, #times td, button')]"
                              ".map((cell) => cell.getBoundingClientRect().right))") <= 390
            colours.append(page.value("getComputedStyle(document.body).backgroundColor"))
            page.screenshot(tmp_path / "phone.png", whole=True)
            assert (tmp_path / "phone.png").read_bytes()[:4] == b"\x89PNG"
        assert colours[0] != colours[1]
        journal.signal("go")
    assert page.complaints == []


def test_server_away(site, browser):
    """Without answers it says so and since when, marks old values, and recovers by itself."""
    _, server, url = site
    page = browser.page(url)
    page.wait("!document.querySelector('main').hidden")
    assert page.value("$('trouble').hidden") and "live" in page.value("$('news').textContent")
    server.stop()
    page.wait("$('trouble').textContent.includes('cannot be reached')")
    assert page.value("document.body.classList.contains('stale')")
    assert "What is shown is from" in page.value("$('trouble').textContent")
    assert page.value("$('news').textContent").endswith(" old")
    server.start()
    page.wait("$('trouble').hidden && !document.body.classList.contains('stale')")
    assert page.value("samples.some((one) => one.gap)"), "the timeline hides the gap"


def test_in_the_background(site, browser):
    """A hidden tab polls rarely, and at once when it is visible again."""
    _, _, url = site
    page = browser.page(url)
    page.wait("samples.length > 1")
    other = browser.page("about:blank")
    page.wait("document.hidden && !asking")
    seen = page.value("samples.length")
    slow = "new Promise((done) => setTimeout(() => done(samples.length), 2200))"
    assert page.value(slow) <= seen + 1  # one may have been due
    page.call("Page.bringToFront")
    page.wait(f"!document.hidden && samples.length > {seen}")
    assert other.complaints == page.complaints == []


def test_all_workers_are_busy(manager, nginx, app, browser, journal, tmp_path):
    """On pm.status_listen the page works while no worker can answer, and shows the listen queue."""
    pool = manager({
        "command": f"{app('worker')} {tmp_path}", "pm.max_children": 2, "post_response.max_children": 0,
        "pm.status_path": "/status", "pm.status_listen": tmp_path / "status.sock", "listen.backlog": 16,
    })
    server = nginx(tmp_path / "status.sock")
    with contextlib.ExitStack() as stack:
        for number in range(5):
            connection = stack.enter_context(fastcgi.Connection(pool.address))
            connection.send_request(fastcgi.cgi_params(f"id=r{number}&text=x&flush&wait=go"))
            if number < 2:
                journal.wait("wait", f"r{number}")
        page = browser.page(f"http://127.0.0.1:{server.port}/status?html")
        page.wait("!document.querySelector('main').hidden")
        page.wait(f"({NUMBER})('Listen queue') === '3'")
        assert page.value("document.querySelector('#numbers .alarm').firstChild.textContent") == "3"
        asked = page.value("samples.length")
        page.wait(f"samples.length > {asked}")
        assert page.value("document.querySelector('.bar').lastChild.textContent") == "2 of 2"
        assert page.value("$('trouble').hidden")
        journal.signal("go")
        page.wait(f"({NUMBER})('Listen queue') === '0' && last.pool.serving === 0")
    assert page.complaints == []
