"""A pool's counts as `overtimectl status` prints them, those of dead workers included."""

import json

from .wait import wait_until


def totals(manager, pool="www"):
    """The pool's numbers by name."""
    answer = json.loads(manager.control("--json", "status", pool, check=True).stdout)
    (found,) = [entry for entry in answer["pools"] if entry["pool"] == pool]
    return found


def wait_totals(manager, pool="www", **expected):
    """Waits until these numbers are as expected."""
    def reached():
        found = totals(manager, pool)
        return {name: found[name] for name in expected} == expected

    wait_until(reached, lambda: f"{expected}; found {totals(manager, pool)}; the log:\n{manager.log()}")
