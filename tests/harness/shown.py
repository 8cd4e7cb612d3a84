"""What a scenario measured, said aloud: on standard output, and in a file for tests/bench/shown.

Scenarios with figures run short by default, with bounds that hold on a busy machine and under
sanitizers; with OVERTIME_LONG set they run in full length and must keep what was promised.
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
    """Milliseconds a scenario may take: what was promised in the long run; `short` (by default 5
    times that) otherwise; ten times as much under sanitizers."""
    if build.SANITIZED:
        return 10 * (short or 5 * promised)
    return promised if LONG else short or 5 * promised


def show(case, measured):
    """Notes what was measured for a case; `case` is a key of the table in tests/bench/shown."""
    print(f"shown: {case}: {measured}")
    if _FILE:
        with open(_FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps({"case": case, "measured": measured}) + "\n")


def best_of(tries, attempt, good):
    """Up to `tries` times until good(result): a noisy neighbour spoils one attempt, not all. What is
    wrong is wrong in every attempt, and attempt() asserts it. Each is printed. Returns the last result."""
    for number in range(1, tries + 1):
        result = attempt()
        print(f"shown: attempt {number} of {tries}: {result}")
        if good(result):
            break
    return result
