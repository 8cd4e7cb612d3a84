"""Fixtures of the system tests, and the check that no test leaves anything behind."""

import collections
import os
import pathlib
import shutil
import signal
import tempfile
import zlib

import pytest

from harness import build, process
from harness.address import Address
from harness.journal import Journal
from harness.manager import Manager
from harness.spawner import Spawner
from harness.web import Apache, Nginx

process.become_subreaper()
# A shell that starts us in the background ignores SIGINT, and shells that we start could not trap it then.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--keep", action="store_true", help="keep the tests' directories")


LARGE = 12  # cells of a matrix


def thin(items):
    """Every second cell of large matrices, always the same ones: to shorten a run."""
    cells = collections.Counter((item.path, item.originalname) for item in items)
    return [
        item for item in items
        if cells[item.path, item.originalname] > LARGE and zlib.crc32(item.name.encode()) % 2
    ]


def pytest_collection_modifyitems(config, items):
    """Under sanitizers, leaves out tests/check and the tests marked `unsanitized`."""
    if build.SANITIZED:
        left_out = {
            item for item in items
            if item.get_closest_marker("unsanitized") or item.path.parent.name == "check"
        }
        if os.environ.get("OVERTIME_THIN"):
            left_out.update(thin(items))
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=list(left_out))


LEAKS_EVERY = 4


def pytest_runtest_setup(item):
    """The leak check takes longer than most processes run, so only every fourth cell of a matrix does it,
    chosen by its name."""
    build.check_leaks = not hasattr(item, "callspec") or zlib.crc32(item.name.encode()) % LEAKS_EVERY == 0


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Lets fixtures know whether the test failed."""
    outcome = yield
    setattr(item, f"report_{call.when}", outcome.get_result())


def _failed(request):
    report = getattr(request.node, "report_call", None)
    return report is None or report.failed


@pytest.fixture
def tmp_path(request):
    """A directory with a short name, so that unix sockets fit, open to web servers' users.

    At the end it checks that no process and no socket is left, and that no sanitizer reported anything.
    """
    directory = pathlib.Path(tempfile.mkdtemp(prefix="ot-", dir="/tmp"))
    directory.chmod(0o755)
    before = set(process.children(os.getpid()))
    yield directory
    problems = []
    for pid in process.strays(before):
        problems.append(f"process left behind: {pid} {process.command_line(pid)}")
        process.kill_and_reap(pid)
    for path in sorted(directory.rglob("*")):
        if path.is_socket() and not _failed(request):
            problems.append(f"socket left behind: {path}")
        elif path.name.startswith("sanitizer."):
            problems.append(f"sanitizer report:\n{path.read_text(errors='replace')}")
    if not request.config.getoption("--keep"):
        shutil.rmtree(directory)
    assert not problems, "\n".join(problems)


def _factory(request, make):
    """A fixture that starts things and ends them in reverse order, whatever happens.

    After a failed test they are killed and their logs are shown; otherwise stop() asserts that they
    end well.
    """
    started = []

    def start(*arguments, **keywords):
        thing = make(*arguments, **keywords)
        started.append(thing)
        return thing.start() if hasattr(thing, "start") else thing

    yield start
    failed = _failed(request)
    problems = []
    for thing in reversed(started):
        if failed:
            print(f"--- log of {type(thing).__name__}\n{thing.log()[-8000:]}")
        try:
            if failed and hasattr(thing, "kill"):
                thing.kill()
            else:
                thing.stop()
        except AssertionError as error:
            problems.append(str(error))
            if hasattr(thing, "kill"):
                thing.kill()
    assert not problems, "\n".join(problems)


@pytest.fixture
def manager(request, tmp_path):
    """manager(pool, ...) -> a started Manager; arguments as the class has them."""
    yield from _factory(request, lambda *a, **k: Manager(tmp_path, *a, **k))


@pytest.fixture
def spawner(request, tmp_path):
    """spawner(command, listen, ...) -> workers under a plain spawner."""
    yield from _factory(request, lambda *a, **k: Spawner(tmp_path, *a, **k))


def _web(request, tmp_path, kind):
    if kind.path() is None:
        pytest.skip(f"{kind.program} is not installed (packaging/install-deps test)")
    yield from _factory(request, lambda *a, **k: kind(tmp_path, *a, **k))


@pytest.fixture
def nginx(request, tmp_path):
    """nginx(backend, keep=False, ...) -> a started Nginx."""
    yield from _web(request, tmp_path, Nginx)


@pytest.fixture
def apache(request, tmp_path):
    """apache(backend, keep=False, ...) -> a started Apache."""
    yield from _web(request, tmp_path, Apache)


@pytest.fixture(params=["nginx", "apache"])
def web(request, tmp_path):
    """Both web servers in turn: web(backend, keep=...)."""
    yield from _web(request, tmp_path, {"nginx": Nginx, "apache": Apache}[request.param])


@pytest.fixture(params=["unix", "tcp"])
def listen(request, tmp_path):
    """Where the pool listens: a unix socket and a TCP port in turn."""
    return Address.make(request.param, tmp_path)


@pytest.fixture(params=[False, True], ids=["closed", "kept"])
def keep(request):
    """Connections between web server and application: closed after each request, then kept."""
    return request.param


@pytest.fixture(params=["managed", "plain"])
def serve(request, listen, app, tmp_path):
    """serve("-m", "run", count=2) -> the application `worker` on `listen`, two processes of it.

    Once by `overtime`, once by a plain spawner: the application behaves the same. The returned
    object has workers(), send_signal() and stop().
    """
    start = request.getfixturevalue("manager" if request.param == "managed" else "spawner")

    def run(*arguments, count=1, program="worker", **directives):
        words = [app(program), *arguments, tmp_path]
        if request.param == "plain":
            return start(words, listen, count=count)
        pool = {
            "command": " ".join(map(str, words)),
            "listen": listen,
            "pm.max_children": count,
            "post_response.max_children": 0,  # no more processes than the plain spawner has
        }
        return start({**pool, **directives})

    run.managed = request.param == "managed"
    return run


@pytest.fixture
def journal(tmp_path):
    """What the test applications write; give them `tmp_path` as their directory."""
    return Journal(tmp_path)


@pytest.fixture
def app():
    """app("worker") -> the path of a test application; skips if it was not built."""
    def find(name):
        path = build.app(name)
        if not path.exists():
            pytest.skip(f"{path} is not built")
        return path

    return find
