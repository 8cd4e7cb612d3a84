"""What a worker says in its slot is not believed where the manager would act on it."""

import json
import os

import pytest

from harness import process
from harness.bystander import Bystander
from harness.wait import now, wait_until


def spawned(daemon):
    answer = daemon.control("--json", "status", "evil", check=True)
    return json.loads(answer.stdout)["pools"][0]["spawned"]


@pytest.mark.unsanitized  # sanitized programs start too slowly to reach the rate
def test_a_worker_that_says_that_it_served_and_dies_is_replaced_at_a_rate(manager, app, tmp_path):
    daemon = manager(pools={
        "evil": {"command": f"{app('evil')} lie", "pm.max_children": 4},
        "good": {"command": f"{app('worker')} {tmp_path}"},
    })
    with Bystander(daemon, daemon.addresses["good"]) as bystander:
        daemon.wait_log("at most 100 a second are replaced")
        before, begin = spawned(daemon), now()
        bystander.see(100)
        wait_until(lambda: now() - begin > 1, "a second")
        count, seconds = spawned(daemon) - before, now() - begin
    assert count <= 110 * seconds + 20, f"{count} starts in {seconds:.1f} s"


def test_many_descriptors_do_not_make_looks_long(manager, app, tmp_path):
    """Looks at workers without the library are bounded, however many descriptors these hold."""
    begin = now()
    daemon = manager(pools={
        "evil": {
            "command": f"{app('box_plain')} {tmp_path} 10000",
            "pm.max_children": 16,
            "rlimit_files": 20000,
        },
        "good": {"command": f"{app('worker')} {tmp_path}"},
    })
    with Bystander(daemon, daemon.addresses["good"]) as bystander:
        bystander.see(100)
        wait_until(lambda: now() - begin > 1, "a second")
        used = process.cpu_ticks(daemon.pid) / os.sysconf("SC_CLK_TCK")
    print(f"{used:.2f} s in {now() - begin:.1f} s")
    assert used < 1.5
    assert bystander.slowest < 2
