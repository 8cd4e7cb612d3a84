"""Prints what a test measured: on standard output, and into a file for tests/bench/shown.

Tests with figures run short by default, with bounds that hold on a busy machine and under sanitizers.
With OVERTIME_LONG set they run in full length and must keep the promised figures.
"""

import json
import os

from . import build

LONG = bool(os.environ.get("OVERTIME_LONG"))
_FILE = os.environ.get("OVERTIME_SHOWN")


def pick(short, full):
    """`full` in the long run, otherwise `short`."""
    return full if LONG else short


def bound(promised, short=None):
    """Milliseconds that a test may take: the promised ones in the long run; otherwise `short` (by default
    5 times that); ten times as many under sanitizers."""
    if build.SANITIZED:
        return 10 * (short or 5 * promised)
    return promised if LONG else short or 5 * promised


def show(case, measured):
    """Records what was measured for a case; `case` is a key of the table in tests/bench/shown."""
    print(f"shown: {case}: {measured}")
    if _FILE:
        with open(_FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps({"case": case, "measured": measured}) + "\n")


def best_of(tries, attempt, good):
    """Calls attempt() up to `tries` times until good(result): other load spoils one attempt, not all. What
    must always hold attempt() asserts itself. Each result is printed. Returns the last one."""
    for number in range(1, tries + 1):
        result = attempt()
        print(f"shown: attempt {number} of {tries}: {result}")
        if good(result):
            break
    return result
