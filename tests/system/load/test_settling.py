"""Kept connections that were handed over settle: short requests do not move them between workers."""

import contextlib
import itertools

import pytest

from harness import build, fastcgi
from harness.wait import wait_until

pytestmark = pytest.mark.alone


def test_short_requests_settle_after_a_reload(manager, app, listen, tmp_path, journal):
    """The worker that took them all gives some away for a few seconds; then each stays where it is."""
    if build.SANITIZED:
        pytest.skip("requests are short only without a sanitizer")
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}", "listen": listen, "pm.max_children": 2,
    })
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(fastcgi.Connection(listen)) for _ in range(4)]
        turns = itertools.count()

        def owners():
            turn = next(turns)
            for number, connection in enumerate(kept):
                connection.send_request(fastcgi.cgi_params(f"id={turn}.{number}&text=x"), keep=True)
                assert connection.read_response().text == "x"
            return tuple(journal.wait("begin", f"{turn}.{number}").pid for number in range(len(kept)))

        owners()
        daemon.control("reload", "--all", "--wait", check=True)
        wait_until(lambda: len({owners() for _ in range(20)}) == 1, "the same owners for a while", 120)
