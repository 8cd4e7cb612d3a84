"""`overtimectl top` in a real terminal."""

import re

import pytest

from harness import build, fastcgi
from harness.held import Held
from harness.terminal import Terminal, program
from harness.wait import wait_until


@pytest.fixture
def terminal(request, tmp_path):
    """terminal(daemon, *arguments) -> `overtimectl top` in a started Terminal."""
    if program() is None:
        pytest.skip("tmux is not installed (packaging/install-deps test)")
    started = []

    def start(daemon, *arguments, **options):
        command = [build.OVERTIMECTL, "-s", daemon.control_path, "top", *arguments]
        started.append(Terminal(tmp_path, command, **options).start())
        return started[-1]

    yield start
    for one in started:
        one.stop()


def live(terminal, *arguments, **options):
    one = terminal(*arguments, **options)
    one.wait("overtime: process")
    return one


def pair(manager, app, tmp_path):
    command = f"{app('worker')} {tmp_path}"
    return manager(pools={
        "www": {"command": command, "pm.max_children": 2},
        "api": {"command": command, "pm.max_children": 1},
    })


def rows(screen):
    """The pids of the workers from top to bottom; none if the screen is not complete yet."""
    _, *below = re.split(r"^POOL +PID.*$", screen, maxsplit=1, flags=re.MULTILINE)
    return [int(pid) for pid in re.findall(r"^\S+ +(\d+) ", "".join(below), re.MULTILINE)]


def needs_ncurses():
    if b"built without ncurses" in build.OVERTIMECTL.read_bytes():
        pytest.skip("overtimectl is built without ncurses")


def test_once(manager, app, tmp_path, journal):
    daemon = pair(manager, app, tmp_path)
    with fastcgi.Connection(daemon.addresses["www"]) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=x&label=mail%1b[31m%203&finish&wait=go"))
        journal.wait("wait", "a")
        bar = re.compile(r"^www +\[\+\.\. *\] +0/2 +1/2", re.MULTILINE)
        result = wait_until(
            lambda: (got := daemon.control("top", "--once")) and bar.search(got.stdout) and got,
            lambda: daemon.control("top", "--once").stdout,
        )
        journal.signal("go")
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.startswith(f"overtime: process {daemon.pid}, running, up ")
    assert all(character.isprintable() or character == "\n" for character in result.stdout)
    assert re.search(r"^www +\d+ post-response .*GET /\?id=a", result.stdout, re.MULTILINE)
    assert len(rows(result.stdout)) >= 3
    only = daemon.control("top", "--once", "api").stdout
    assert "www" not in only and len(rows(only)) == 1


def test_work_above_its_budget(manager, app, tmp_path, journal):
    """It takes the place of requests, and is shown so."""
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}", "pm.max_children": 3, "post_response.max_children": 1,
    })
    with Held(daemon, journal) as held:
        for ident in ("a", "b", "c"):
            held.begin(ident, "text=x&finish")
        held.begin("d")
        row = re.compile(r"^www +\[#%%\+ *\] +1\+2/3 +1/1 ", re.MULTILINE)
        wait_until(lambda: row.search(daemon.control("top", "--once").stdout),
                   lambda: daemon.control("top", "--once").stdout)
        held.end()


def test_refusals(manager, app, tmp_path):
    daemon = pair(manager, app, tmp_path)
    json = daemon.control("--json", "top")
    assert json.returncode == 64 and "takes no --json" in json.stderr
    assert "--json status" in daemon.control("help", "top").stdout
    pipe = daemon.control("top")
    assert pipe.returncode == 1 and "--once" in pipe.stderr and pipe.stdout == ""
    unknown = daemon.control("top", "--once", "nope")
    assert unknown.returncode == 1 and "nope" in unknown.stderr
    assert daemon.control("top", "--interval", "-1s").returncode == 64
    daemon.stop()
    gone = daemon.control("top", "--once")
    assert gone.returncode == 69 and "no manager" in gone.stderr


def test_live(manager, app, tmp_path, terminal, journal):
    needs_ncurses()
    daemon = pair(manager, app, tmp_path)
    top = live(terminal, daemon, "--interval", "200ms")
    screen = top.wait(lambda text: len(rows(text)) == 3, "three workers")
    assert sorted(rows(screen)) == sorted(daemon.workers())
    with fastcgi.Connection(daemon.addresses["api"]) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=x&label=mail&finish&wait=go"))
        journal.wait("wait", "a")
        busy = journal.events("a", "wait")[0].pid
        row = re.compile(rf"^api +{busy} post-response .* mail +GET /\?id=a", re.MULTILINE)
        screen = top.wait(row.search, "the busy worker's row")
        assert rows(screen)[0] == busy
        # The worker that replaces it is shown as well.
        top.wait(lambda text: len(rows(text)) == 4, "four workers")
        # Filter by label, then none.
        top.keys("/", "M", "a", "i", "l")
        top.wait("filter: Mail_")
        top.keys("Enter")
        assert rows(top.wait(lambda text: len(rows(text)) == 1, "one worker")) == [busy]
        top.keys("/", "Escape")
        top.wait(lambda text: len(rows(text)) == 4, "all workers")
        # Nothing changes while it is paused.
        top.keys("p")
        top.wait("PAUSED")
        journal.signal("go")
        wait_until(lambda: "post-response" not in daemon.control("workers").stdout, "the work's end")
        assert "post-response" in top.screen().split("REQUEST")[1]
        top.keys("p")
        top.wait(lambda text: len(rows(text)) > 0 and "post-response" not in text.split("REQUEST")[1], "its end")
    top.keys("q")
    assert top.wait_status() == 0


def test_sorting_help_scrolling(manager, app, tmp_path, terminal):
    needs_ncurses()
    daemon = pair(manager, app, tmp_path)
    top = live(terminal, daemon)
    top.wait("AGE>")
    top.keys("<", "<", "<")
    screen = top.wait("PID>")
    assert rows(screen) == sorted(daemon.workers())
    top.keys("r")
    screen = top.wait("PID<")
    assert rows(screen) == sorted(daemon.workers(), reverse=True)
    top.keys("Down")
    assert rows(top.wait(lambda text: len(rows(text)) == 2, "two rows")) == rows(screen)[1:]
    top.keys("End")
    top.wait(lambda text: rows(text) == rows(screen)[2:], "the last")
    top.keys("Home")
    top.wait(lambda text: rows(text) == rows(screen), "all")
    top.keys("s")
    top.wait("STATE<")
    top.keys("5")
    top.wait("every 5 s")
    top.keys("?")
    top.wait("page up and down")
    top.keys("x")
    top.wait("STATE<")
    top.keys("q")
    assert top.wait_status() == 0


def test_resize(manager, app, tmp_path, terminal):
    needs_ncurses()
    daemon = pair(manager, app, tmp_path)
    top = live(terminal, daemon, "--interval", "60s")
    top.resize(60, 11)
    screen = top.wait(lambda text: len(rows(text)) == 2, "two workers on eleven lines")
    assert max(map(len, screen.splitlines())) <= 60
    top.resize(140, 30)
    top.wait(lambda text: len(rows(text)) == 3 and "REQUEST" in text, "three workers")
    top.keys("C-c")
    assert top.wait_status() == 0


def test_gives_the_terminal_back(manager, app, tmp_path, terminal):
    needs_ncurses()
    daemon = pair(manager, app, tmp_path)
    top = live(terminal, daemon)
    top.keys("q")
    assert top.wait_status() == 0
    settings = top.settings().split()
    assert "icanon" in settings and "echo" in settings and "isig" in settings
    assert top.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").split() == ["0", "1"]


def test_refuses_a_dumb_terminal(manager, app, tmp_path, terminal):
    needs_ncurses()
    daemon = pair(manager, app, tmp_path)
    top = terminal(daemon, term="dumb")
    assert top.wait_status() == 1
    assert "--once" in top.wait('"dumb"').replace("\n", "")


def test_without_colour(manager, app, tmp_path, terminal):
    needs_ncurses()
    daemon = pair(manager, app, tmp_path)
    top = terminal(daemon, term="vt100")
    top.wait(lambda text: "POOL" in text and len(rows(text)) == 3, "three workers")
    top.keys("q")
    assert top.wait_status() == 0


def test_survives_the_manager(manager, app, tmp_path, terminal):
    needs_ncurses()
    daemon = pair(manager, app, tmp_path)
    top = live(terminal, daemon, "--interval", "200ms")
    before = daemon.pid
    daemon.stop()
    screen = top.wait("no manager at")
    assert f"process {before}" in screen
    daemon.log_path.unlink()
    daemon.start()
    top.wait(f"process {daemon.pid},")
    top.wait("every 0.2 s")
    top.keys("q")
    assert top.wait_status() == 0
