"""`?openmetrics`, read by independent parsers."""

import re
import shutil
import subprocess
import time

import pytest

from harness import fastcgi
from harness.totals import totals
from harness.wait import wait_until


@pytest.fixture
def scene(manager, app, tmp_path, journal):
    """A pool that has served and still does, and its metrics; `look()` reads them again."""
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}", "pm.max_children": 3, "pm.status_path": "/status",
        "pm.process_idle_timeout": "50ms",
    })
    for number in range(4):
        fastcgi.request(daemon.address, query=f"id=r{number}&text=x" + ("&finish" if number % 2 else ""))
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params("id=busy&label=a%22%0Ab%5C&wait=go&text=x"))
        journal.wait("wait", "busy")
        # And no more than these: an extra worker may have served while others were in post-response work.
        wait_until(lambda: totals(daemon)["idle"] == 2 == totals(daemon)["workers"] - 1, "the other two idle again")
        daemon.look = lambda query="openmetrics&full": fastcgi.request(
            daemon.address, params=fastcgi.cgi_params(query, SCRIPT_NAME="/status")
        )
        yield daemon
        journal.signal("go")
        connection.read_response()


def test_openmetrics_parser(scene):
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    answer = scene.look()
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in parser.text_string_to_metric_families(answer.text)}

    def value(family, sample=None):
        return next(s.value for s in families[family].samples if s.name == (sample or family))

    assert value("overtime_requests", "overtime_requests_total") == 5
    assert value("overtime_post_response_requests", "overtime_post_response_requests_total") == 2
    assert value("overtime_workers") == 3 == len(families["overtime_worker_threads"].samples)
    answers = families["overtime_request_answer_seconds"]
    assert answers.type == "histogram" and value(answers.name, answers.name + "_count") == 4
    assert value("overtime_start_time_seconds") == totals(scene)["start_time"]
    for family in families.values():
        assert family.samples and re.match(r"[A-Z]\w+ \S", family.documentation), "says what it counts"
        assert all(sample.labels["pool"] == "www" for sample in family.samples)
    workers = [s.labels["pid"] for s in families["overtime_worker"].samples]
    assert sorted(map(int, workers)) == sorted(scene.workers())
    short = parser.text_string_to_metric_families(scene.look("openmetrics").text)
    assert not any(family.name.startswith("overtime_worker_") for family in short)


def test_promtool(scene, tmp_path):
    """promtool stores what it reads, so each sample gets a time; the rest of the text is not changed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (packaging/install-deps metrics)")
    text = scene.look().text
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    stamped = re.sub(r"^([^#\n].*)$", rf"\1 {int(time.time())}", text, flags=re.MULTILINE)
    (tmp_path / "metrics").write_text(stamped)
    ran = subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", tmp_path / "metrics", tmp_path / "blocks"],
        capture_output=True, text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    stored = subprocess.run(
        [promtool, "tsdb", "list", tmp_path / "blocks"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[1].split()
    assert str(len(samples)) in stored, "every sample is stored"
