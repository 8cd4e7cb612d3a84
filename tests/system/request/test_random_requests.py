"""A great number of random requests: no leak, no double end, and the counters add up exactly.

Clients that leave, abort, leave bodies unread, keep connections; requests that time out, have
post-response work, register shutdown functions. The sanitizer build checks for leaks and all else.
"""

import os
import re
import subprocess

import pytest

from harness import build, process
from harness.totals import totals, wait_totals
from harness.wait import wait_until

# Requests for each kind of worker; 100,000 in all on unix sockets, a tenth of it on TCP, and a tenth
# of either under sanitizers.
KINDS = {
    "run": (60000, "-m run", {}),
    "loop": (20000, "-m loop", {}),
    "threads": (20000, "-m run -t 4", {"pm.max_requests": 1500}),
}
SEED = int(os.environ.get("OVERTIME_TEST_SEED", "20260101"))
WORKERS, CLIENTS = 4, 8


def count_events(journal):
    """How often each event is in the journal, which is too long for a list."""
    counts = {}
    with open(journal.path, encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split(" ", 4)
            name = words[2].strip() + (" " + words[3].strip() if words[2] == "finish" else "")
            counts[name] = counts.get(name, 0) + 1
    return counts


@pytest.mark.parametrize("kind", KINDS)
def test_random_requests(manager, app, listen, kind, tmp_path, journal):
    count, arguments, directives = KINDS[kind]
    if not listen.is_unix:
        count //= 10
    if build.SANITIZED:
        count //= 10
    daemon = manager({
        "command": f"{app('life')} {arguments} {tmp_path}", "listen": listen, "pm.max_children": WORKERS,
        "max_execution_time": "100ms", "hard_timeout": "60s", "shutdown_functions.time_limit": "60s",
        **directives,
    })
    daemon.wait_workers(WORKERS)
    target = f"unix:{listen.path}" if listen.is_unix else f"tcp:{listen.port}"
    client = subprocess.run(
        [build.app("life_client_plain"), target, str(count), str(CLIENTS), str(SEED)],
        capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, **build.sanitizer_environment(tmp_path)},
    )
    assert client.returncode == 0, f"seed {SEED}: {client.stdout}\n{client.stderr}"
    sent = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", client.stdout)}
    print(sent)

    def settled():
        found = totals(daemon)
        return found["requests"] + found["dropped"] == sent["sent"] and found["idle"] == WORKERS

    wait_until(settled, lambda: f"all {sent} to be over; found {totals(daemon)}\n{daemon.log()[-3000:]}")
    found = totals(daemon)
    print(found)
    assert found["shutdown_run"] == sent["functions"], (sent, found)
    assert found["shutdown_late"] == found["shutdown_lost"] == 0
    assert found["timed_out"] == sent["time_outs"] > 0
    assert 0 < found["aborted"] <= sent["left"] + sent["aborts"]
    assert found["dropped"] <= sent["aborts"]
    assert sent["answered"] + sent["left"] == sent["sent"]
    counts = count_events(journal)
    assert counts["begin"] == found["requests"]
    assert counts["finish 1"] == found["post_response_requests"] and "finish 0" not in counts
    assert counts["shutdown"] == found["shutdown_run"]
    for pid in daemon.workers():
        sockets = [target for target in process.descriptors(pid).values() if target.startswith("socket:")]
        assert len(sockets) <= 1 + 64 + 64, f"worker {pid} holds {len(sockets)} sockets"
