"""An access log as programs read it: one JSON object a line."""

import json

from .wait import wait_until


class AccessLog:
    """The file that a pool's `access.log` names, with `access.format = json`."""

    def __init__(self, path):
        self.path = path

    @property
    def directives(self):
        return {"access.log": self.path, "access.format": "json"}

    def lines(self):
        """Whole lines so far, as text."""
        try:
            text = self.path.read_bytes().decode()
        except FileNotFoundError:
            return []
        return text.split("\n")[:-1]

    def entries(self, request_id=None):
        """All so far, or those of one request (`id=NAME` in its query)."""
        found = [json.loads(line) for line in self.lines()]
        return [entry for entry in found if request_id in (None, ident(entry))]

    def wait(self, count=1, request_id=None):
        """Waits until there are at least `count` entries; returns them."""
        return wait_until(
            lambda: (self.entries(request_id)[count - 1 :] or None) and self.entries(request_id),
            lambda: f"{count} entries of {request_id!r} in {self.lines()}",
        )

    def one(self, request_id):
        """The only entry of a request, once it is there."""
        (entry,) = self.wait(1, request_id)
        return entry


def ident(entry):
    """The name that a request gave itself, or None."""
    query = entry["query"] or ""
    return query[3:].split("&")[0] if query.startswith("id=") else None
