"""The journal that test applications write: one line per event, in order.

A line is `PID ID EVENT [DETAIL]`; ID is the request's name for itself (`id=NAME` in its query).
"""

from collections import namedtuple

from .wait import wait_until

Event = namedtuple("Event", "pid id name detail")


def pattern(size):
    """The body that the step `write=SIZE` sends."""
    block = bytes(ord("!") + at % 94 for at in range(94))
    return (block * (size // 94 + 1))[:size]


class Journal:
    def __init__(self, directory):
        """`directory` is the application's first argument."""
        self.directory = directory
        self.path = directory / "journal"

    def events(self, request_id=None, name=None):
        """All events so far, or those of one request, or of one name."""
        try:
            lines = self.path.read_text(errors="replace").split("\n")
        except FileNotFoundError:
            return []
        found = []
        for line in lines[:-1]:
            pid, ident, event, detail = (line.split(" ", 3) + ["", "", ""])[:4]
            found.append(Event(int(pid), ident, event, detail))
        return [
            event
            for event in found
            if request_id in (None, event.id) and name in (None, event.name)
        ]

    def names(self, request_id=None):
        """The events as `name` or `name detail`, for a comparison as a whole."""
        return [f"{e.name} {e.detail}".strip() for e in self.events(request_id)]

    def wait(self, name, request_id=None, count=1, limit=None):
        """Waits until `count` events of that name are there and returns the last of them."""
        return wait_until(
            lambda: self.events(request_id, name)[count - 1 : count],
            lambda: f"{count} x {name!r} of {request_id!r} in the journal, which holds:\n{self.text}",
            limit,
        )[0]

    def signal(self, name):
        """Makes the file that a step `wait=NAME` waits for."""
        (self.directory / name).touch()

    @property
    def text(self):
        try:
            return self.path.read_text(errors="replace")
        except FileNotFoundError:
            return "(no journal yet)"
