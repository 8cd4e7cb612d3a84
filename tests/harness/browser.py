"""Headless Chromium, controlled by its debugging protocol over a pair of pipes; see `Page`."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess

from . import process
from .wait import LIMIT, now, wait_until


def program():
    """Chromium's path, or None when it is not installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


class Browser:
    """One private browser with nothing in it. page() opens tabs; stop() leaves no process behind."""

    def __init__(self, directory):
        self.directory = directory
        self.popen = None
        self._numbers = itertools.count(1)
        self._received = b""
        self._pages = {}  # session -> Page

    def start(self):
        its_input, self._to = os.pipe()
        self._from, its_output = os.pipe()
        words = [
            program(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-extensions", "--disable-dev-shm-usage", "--no-proxy-server",
            "--remote-debugging-pipe", f"--user-data-dir={self.directory}/browser", "about:blank",
        ]
        with open(self.directory / "browser.log", "ab") as output:
            # It expects the pipes as descriptors 3 and 4, which the test may use for something else.
            self.popen = subprocess.Popen(
                ["bash", "-c", f'exec "$@" 3<&{its_input} 4>&{its_output}', "browser", *words],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=(its_input, its_output),
                env={"HOME": str(self.directory), "PATH": "/usr/bin:/bin", "TMPDIR": str(self.directory)},
            )
        os.close(its_input)
        os.close(its_output)
        self.call("Browser.getVersion")
        return self

    def call(self, method, session=None, **parameters):
        """Calls a method of the protocol; its result. Events that come meanwhile go to their pages."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            if answer.get("sessionId") in self._pages:
                self._pages[answer["sessionId"]].note(answer)

    def _next(self):
        end = now() + LIMIT
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._from], [], [], max(0, end - now()))
            assert ready, f"the browser does not answer; its log:\n{self.log()}"
            data = os.read(self._from, 1 << 20)
            assert data, f"the browser has ended; its log:\n{self.log()}"
            self._received += data
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)

    def page(self, url, width=1280, height=900, dark=False):
        """Opens a tab of this size and loads the address: a Page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._pages[session] = page = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.look(width, height, dark)
        page.call("Page.navigate", url=url)
        page.wait("document.readyState === 'complete'")
        return page

    def log(self):
        return (self.directory / "browser.log").read_text(errors="replace")

    def stop(self):
        if self.popen is None:
            return
        os.close(self._to)  # the end of the pipe makes it exit
        os.close(self._from)
        try:
            self.popen.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        # Its helpers lost their parent and are our children now.
        for pid in process.children(os.getpid()):
            if (process.name(pid) or "").startswith("chrom"):
                process.kill_and_reap(pid)
        self.popen = None
        for path in self.directory.rglob("Singleton*"):
            path.unlink(missing_ok=True)


class Page:
    """A tab: `requests` are the addresses it loaded, `complaints` the messages on its console."""

    def __init__(self, browser, session):
        self.browser, self.session = browser, session
        self.requests, self.complaints = [], []

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def note(self, event):
        name, what = event["method"], event["params"]
        if name == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        elif name == "Runtime.consoleAPICalled":
            self.complaints.append(str(what["args"]))
        elif name == "Runtime.exceptionThrown":
            self.complaints.append(str(what["exceptionDetails"]))
        elif name == "Log.entryAdded":
            self.complaints.append(what["entry"]["text"])

    def look(self, width, height, dark=False, phone=False):
        self.call("Emulation.setDeviceMetricsOverride",
                  width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call("Emulation.setScrollbarsHidden", hidden=True)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def value(self, expression):
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, expression, what=None):
        """Waits until an expression is true; its value."""
        return wait_until(
            lambda: self.value(expression),
            lambda: f"{what or expression}; the page says:\n{self.value('document.documentElement.innerText')}\n"
                    f"its console:\n{self.complaints}",
        )

    def press(self, key, code, text=""):
        """A key, for example ("Enter", 13, "\\r")."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, text=text if kind == "keyDown" else "",
                      windowsVirtualKeyCode=code)

    def screenshot(self, path, whole=False):
        options = {"captureBeyondViewport": True} if whole else {}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            options["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", **options)["data"]
        path.write_bytes(base64.b64decode(data))
