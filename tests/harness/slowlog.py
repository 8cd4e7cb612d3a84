"""A pool's slow log, parsed."""

import functools
import os
import re
import subprocess

from . import build
from .wait import wait_until

HEAD = re.compile(
    r"\[(?P<time>[^\]]+)\] \[pool (?P<pool>[^\]]+)\] worker (?P<pid>\d+) \(slot (?P<slot>\d+)\)"
    r"(, thread (?P<thread>\d+))?: (?P<state>\S+) for (?P<age>.*?), (?P<why>\S+ = .*)"
)


@functools.lru_cache(maxsize=None)
def can_trace():
    """True if this user may trace its own processes and overtime-trace was built with libdw."""
    with subprocess.Popen(["sleep", "60"]) as other:
        done = subprocess.run(
            [build.BUILD / "overtime-trace", str(other.pid)], capture_output=True, text=True, timeout=60,
            check=False, env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"),
        )
        other.kill()
    return done.returncode == 0


class Entry:
    """One entry: `head` by name, `fields` by the word in front, `stack` as text."""

    def __init__(self, text):
        self.text = text
        lines = text.split("\n")
        match = HEAD.fullmatch(lines[0])
        assert match, f"no head of an entry: {lines[0]!r}"
        self.head = {key: value for key, value in match.groupdict().items() if value is not None}
        self.fields = {}
        for line in lines[1:]:
            found = re.fullmatch(r"  (request|label|age|note|stack) +(.*)", line)
            if not found:
                break
            self.fields[found[1]] = found[2]
        self.stack = text[text.index("\n  stack "):]

    @property
    def threads(self):
        """The stacks, one text per thread."""
        return re.split(r"^thread ", self.stack, flags=re.MULTILINE)[1:]

    @property
    def frames(self):
        """Function names of the first thread."""
        return re.findall(r"^  #\d+ +(\S+)", self.threads[0], flags=re.MULTILINE)


class SlowLog:
    """The file that `slowlog` names."""

    def __init__(self, path):
        self.path = path

    def entries(self):
        """All whole entries so far."""
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return []
        return [Entry(part) for part in text.split("\n\n")[:-1]]

    def wait(self, count=1):
        """Waits until there are at least `count` entries; returns all."""
        return wait_until(
            lambda: self.entries() if len(self.entries()) >= count else None,
            lambda: f"{count} entries in the slow log:\n" + "\n".join(one.text for one in self.entries()),
        )
