"""The demo: `make demo` with both web servers; it leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

from harness import build, process
from harness.address import free_port
from harness.wait import wait_until
from harness.web import Apache, Nginx

pytestmark = pytest.mark.unsanitized

DEMO = build.ROOT / "packaging" / "demo"


@pytest.fixture(params=[Nginx, Apache], ids=["nginx", "apache"])
def web(request):
    if request.param.path() is None:
        pytest.skip(f"{request.param.program} is not installed")
    return {"nginx": "nginx", "apache2": "apache"}[request.param.program]


@pytest.fixture
def environment(tmp_path):
    """The demo's folder is made in the test's own, which must be empty again in the end."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o755)
    yield dict(os.environ, TMPDIR=str(folder), **build.sanitizer_environment(tmp_path))
    left = list(folder.iterdir())
    assert not left, f"left behind: {left}"


def strays(folder):
    """Processes that have the demo's folder on their command line."""
    return [
        pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
        if str(folder) in process.command_line(pid) and process.alive(pid)
    ]


def test_once(web, environment):
    done = subprocess.run(
        [DEMO, build.BUILD, web, str(free_port()), "50", "1"],
        env=environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^time to answer +\d+ ms$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^time to done +\d+ ms$", done.stdout, re.MULTILINE), done.stdout
    assert done.stdout.endswith("messages        50 of 50\n")
    assert not strays(environment["TMPDIR"])


def fetch(url, data=None):
    """(status, body)"""
    try:
        with urllib.request.urlopen(url, data, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_until_it_is_told_to_end(web, number, environment):
    """The page, a newsletter, wrong input; then the signal while a newsletter is being sent."""
    port = free_port()
    with subprocess.Popen(
        [DEMO, build.BUILD, web, str(port)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    ) as demo:
        try:
            line = demo.stdout.readline().decode()
            assert f"http://127.0.0.1:{port}/" in line, line
            line = demo.stdout.readline().decode()
            assert f"Watch it: http://127.0.0.1:{port}/status?html" in line, line
            watch(f"http://127.0.0.1:{port}/status")
            use(f"http://127.0.0.1:{port}")
            demo.send_signal(number)
            output = demo.communicate(timeout=60)[0].decode()
            assert demo.returncode == 128 + number, output
        finally:
            if demo.poll() is None:
                demo.terminate()  # not killed: it must end its own processes
                demo.wait(60)
    assert not strays(environment["TMPDIR"])


def test_a_manager_that_is_killed(environment):
    """The demo ends too, and ends the workers that no manager is left for."""
    if Nginx.path() is None:
        pytest.skip("nginx is not installed")
    with subprocess.Popen(
        [DEMO, build.BUILD, "nginx", str(free_port())],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    ) as demo:
        try:
            line = demo.stdout.readline().decode()
            assert "http://127.0.0.1:" in line, line
            (manager,) = (
                pid for pid in process.children(demo.pid) if "overtime.ini" in process.command_line(pid)
            )
            workers = process.children(manager)
            assert workers
            os.kill(manager, signal.SIGKILL)
            output = demo.communicate(timeout=60)[0].decode()
            assert demo.returncode == 1 and "ended by itself" in output, output
        finally:
            if demo.poll() is None:
                demo.terminate()
                demo.wait(60)
    left = strays(environment["TMPDIR"])
    for pid in left:
        process.kill_and_reap(pid)
    assert not left


def watch(page):
    """The status is there, and moves by itself: newsletters are sent, and end."""
    status, text = fetch(f"{page}?html")
    assert status == 200 and "<html" in text
    assert json.loads(fetch(f"{page}?json")[1])["pool"] == "www"
    wait_until(lambda: json.loads(fetch(f"{page}?json")[1])["overtime"]["post_response"] > 0, "a newsletter")
    wait_until(lambda: json.loads(fetch(f"{page}?json")[1])["overtime"]["post_response_requests"] > 4, "more newsletters")


def use(site):
    status, page = fetch(f"{site}/")
    assert status == 200 and "<form" in page
    assert not re.search(r"(src|href)='(https?:)?//", page), "the page asks another site"
    status, text = fetch(f"{site}/send", b"n=20")
    job = json.loads(text)
    assert (status, job["status"], job["total"]) == (202, "accepted", 20)
    question = f"{site}/progress?job={urllib.parse.quote(job['job'])}"
    wait_until(lambda: json.loads(fetch(question)[1])["done"], "the newsletter")
    for path, data, expected in (
        ("/send", b"n=0", 400),
        ("/send", b"n=100001", 400),
        ("/send", b"n=-1", 400),
        ("/send", b"n=+5", 400),
        ("/send", b"n=5x", 400),
        ("/send", b"m=5", 400),
        ("/send", b"n=" + b"1" * 2000, 413),
        ("/send", None, 405),
        ("/", b"n=5", 405),
        ("/nothing", None, 404),
        ("/progress?job=../../etc/passwd", None, 400),
        ("/progress?job=abc", None, 404),
        ("/progress", None, 400),
    ):
        assert fetch(site + path, data)[0] == expected, (path, data)
    assert fetch(f"{site}/send", b"n=5000")[0] == 202


def test_errors_are_reported(environment, tmp_path):
    """Wrong arguments, and a build without programs: exit 1, a sentence, nothing left."""
    for arguments, sentence in (
        (("lighttpd",), "neither nginx nor apache"),
        (("nginx", "80"), "above 1024"),
        (("nginx", "", "0"), "1 to 100000"),
    ):
        done = subprocess.run(
            [DEMO, build.BUILD, *arguments], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1 and sentence in done.stderr
    done = subprocess.run(
        [DEMO, tmp_path, "nginx"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
