"""How late the terminate limits act."""

import re
import statistics

import pytest

from harness import fastcgi
from harness.shown import best_of, bound, pick, show

pytestmark = pytest.mark.alone

LIMIT = 150


@pytest.mark.parametrize("phase", ["request", "post_response"])
def test_terminate_limits_are_kept_to_the_millisecond(manager, app, tmp_path, phase):
    """How far the request's age in the log is above the limit."""
    directive = {"request": "request_terminate_timeout", "post_response": "post_response.terminate_timeout"}[phase]
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}", "pm.max_children": 8, "max_execution_time": 0,
        "hard_timeout": "10ms", directive: f"{LIMIT}ms"})
    finish = "text=x&finish&" if phase == "post_response" else ""
    ended = []

    def late(ident):
        with fastcgi.Connection(daemon.address) as connection:
            connection.send_request(fastcgi.cgi_params(f"id={ident}&block-signals&{finish}wait=never"))
            line = daemon.wait_log(rf"is ended .*id={ident}&.*?, (\d+) ms old")
            return int(line[1]) - LIMIT

    def attempt():
        found = []
        for _ in range(pick(5, 40)):
            ended.append(late(f"r{len(ended)}x"))
            found.append(ended[-1])
        return found

    def median(found):
        return statistics.median(found)

    found = best_of(3, attempt, lambda found: median(found) < bound(5, 100))
    show(f"limit, {phase}", f"p50 {median(found):.0f} ms, most {max(found)} ms after it, of {len(found)}")
    assert min(found) >= 0, found
    assert median(found) < bound(5, 100), found
    assert not re.search("ERROR|ALERT", daemon.log())
