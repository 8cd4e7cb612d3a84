"""A real terminal: a private tmux server, keys in, screen out."""

import os
import shlex
import shutil
import subprocess

from . import build, process
from .wait import wait_until


def program():
    """tmux's path, or None when it is not installed."""
    return shutil.which("tmux")


class Terminal:
    """Runs one command in a shell in a terminal of its own; `start`, then keys() and screen()."""

    def __init__(self, directory, command, columns=132, lines=30, term=None):
        self.directory = directory
        self.socket = directory / "tmux.sock"
        self.status = directory / "terminal.status"
        self.columns, self.lines = columns, lines
        words = shlex.join(map(str, command))
        setting = f"TERM={term} " if term else ""
        # The shell stays, so that the state in which the command left the terminal can be checked.
        self.script = (
            f"trap : INT; {setting}{words}; echo $? >{self.status}.new; stty -a >{directory}/terminal.stty; "
            f"mv {self.status}.new {self.status}; exec cat"
        )
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(directory), "SHELL": "/bin/sh", "LC_ALL": "C.UTF-8",
            **build.sanitizer_environment(directory),
        }

    def tmux(self, *words, check=True):
        return subprocess.run(
            [program(), "-u", "-S", str(self.socket), "-f", "/dev/null", *map(str, words)],
            capture_output=True, text=True, timeout=60, check=check, env=self.environment,
        ).stdout

    def start(self):
        self.tmux("new-session", "-d", "-x", self.columns, "-y", self.lines, self.script)
        self.server = int(self.tmux("display-message", "-p", "#{pid}"))
        return self

    def keys(self, *keys):
        """Names as tmux has them: "q", "Down", "PPage", "Enter"."""
        self.tmux("send-keys", *keys)

    def resize(self, columns, lines):
        self.tmux("resize-window", "-x", columns, "-y", lines)

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def wait(self, condition, what="the screen"):
        """Waits until condition(screen) is true, or the screen has that text; returns the screen.

        The screen must be the same twice: the first time it may be half drawn.
        """
        seen = None

        def look():
            nonlocal seen
            seen, before = self.screen(), seen
            if seen != before:
                return None
            found = condition in seen if isinstance(condition, str) else condition(seen)
            return seen if found else None

        wanted = condition if isinstance(condition, str) else what
        return wait_until(look, lambda: f"{wanted!r} on the terminal:\n{self.screen()}")

    def wait_status(self):
        """The command's exit status, once it has ended."""
        wait_until(self.status.exists, lambda: f"the command's end; the terminal:\n{self.screen()}")
        return int(self.status.read_text())

    def settings(self):
        """The output of `stty -a` after the command's end."""
        return (self.directory / "terminal.stty").read_text()

    def log(self):
        return self.tmux("capture-pane", "-p", check=False)

    def stop(self):
        sessions = {str(pid) for pid in [self.server, *process.children(self.server)]}
        self.tmux("kill-server", check=False)
        wait_until(lambda: not process.alive(self.server), "tmux's end")

        def left():
            """Orphans that became our children; those that have ended are reaped."""
            found = {pid: process.stat_fields(pid) for pid in process.children(os.getpid())}
            return [pid for pid, fields in found.items()
                    if fields and fields[3] in sessions and not process.reap(pid)]

        wait_until(lambda: not [process.kill_and_reap(pid) for pid in left()], "the terminal's processes to end")
        self.socket.unlink(missing_ok=True)

    kill = stop
