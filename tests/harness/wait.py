"""Waiting for events. The one place where the harness sleeps.

A test never sleeps to give something time: it waits for an event, with a limit so generous that only a
real fault reaches it.
"""

import os
import time

# Seconds. Reached only when something is broken; a sanitizer build is a few times slower.
LIMIT = float(os.environ.get("OVERTIME_TEST_LIMIT", "30"))


def now():
    """Monotonic seconds."""
    return time.monotonic()


def wait_until(condition, what="condition", limit=None):
    """Polls condition() until it is true and returns its value; fails with `what` at the limit.

    `what` may be a function: it is called only on failure, to describe the state.
    """
    end = now() + (LIMIT if limit is None else limit)
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if now() >= end:
            text = what() if callable(what) else what
            raise AssertionError(f"gave up waiting for: {text}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def stays(condition, seconds, what="condition"):
    """Asserts that condition() holds now and at every check during `seconds`.

    For events that must not happen. A later fault goes unseen; a slow machine never makes it fail.
    """
    end = now() + seconds
    while now() < end:
        assert condition(), f"did not stay: {what}"
        time.sleep(0.01)
