"""Output for programs does not depend on the locale that the application sets."""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as xml

import pytest

from harness import fastcgi
from harness.totals import wait_totals
from harness.wait import wait_until

LOCALE = "de_DE.UTF-8"
DAY = r"(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
MONTH = r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"


@pytest.fixture(scope="module")
def commas():
    """A folder with a locale in which fractions begin with a comma, and days are not English."""
    if shutil.which("localedef") is None:
        pytest.skip("localedef is not installed")
    with tempfile.TemporaryDirectory(prefix="ot-", dir="/tmp") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        made = subprocess.run(
            ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / LOCALE)], capture_output=True, text=True
        )
        if not (folder / LOCALE / "LC_NUMERIC").exists():
            pytest.skip(f"localedef could not make {LOCALE}: {made.stderr.strip()[-200:]}")
        yield folder


@pytest.fixture
def pool(manager, app, tmp_path, journal, commas):
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}", "env[LOCPATH]": commas, "pm.status_path": "/status",
        "post_response.max_children": 0,  # one worker, whose locale is set
        "access.log": tmp_path / "access", "access.format": '"%{%A %d/%b/%Y}t %{seconds}d %C"',
    })
    fastcgi.request(daemon.address, query=f"id=a&locale={LOCALE}&text=x")
    assert journal.wait("locale", "a").detail == LOCALE, "the worker uses the locale"
    for number in range(3):
        fastcgi.request(daemon.address, query=f"id=b{number}&text=x&finish&sleep=20")
    wait_totals(daemon, requests=4, post_response=0)
    return daemon


def page(pool, query):
    return fastcgi.request(pool.address, params=fastcgi.cgi_params(query, SCRIPT_NAME="/status")).text


BOUNDS = sorted({*[float(f"{digit}e{power}") for power in range(-1, 7) for digit in (1, 2, 5)][:23],
                 1500.0, 3000.0, 4000.0, 6000.0, 8000.0})


def test_json(pool):
    found = json.loads(page(pool, "json&full"))
    histograms = found["overtime"]["histograms"]
    assert histograms["bounds_ms"] == BOUNDS
    assert histograms["post_response"]["count"] == 3 and histograms["post_response"]["sum_ms"] >= 60
    assert 0 <= found["processes"][0]["last request cpu"] <= 100
    assert found["workers"][0]["last_post_response_ms"] >= 20


def test_openmetrics(pool):
    text = page(pool, "openmetrics&full")
    bounds = re.findall(r'overtime_request_answer_seconds_bucket\{.*le="([^"]*)"\} \d+\n', text)
    assert [float(bound) for bound in bounds[:-1]] == [pytest.approx(bound / 1000) for bound in BOUNDS]
    assert all("." in bound for bound in bounds[:-1]) and bounds[-1] == "+Inf"
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r".*\} [0-9]+(\.[0-9]+)?", line), line
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    assert list(parser.text_string_to_metric_families(text))


def test_xml(pool):
    root = xml.fromstring(page(pool, "xml&full"))
    histogram = root.find("overtime/histogram[@name='post_response']")
    assert float(histogram.get("sum-ms")) >= 60
    buckets = histogram.findall("bucket")
    assert [float(bucket.get("le-ms")) for bucket in buckets[:-1]] == BOUNDS
    assert 0 <= float(root.findtext("processes/process/last-request-cpu")) <= 100


def test_text(pool):
    text = page(pool, "full")
    means = re.findall(r"^(\w+) mean ms: +(\d+\.\d{3}) of (\d+)$", text, re.MULTILINE)
    assert [(name, count) for name, _, count in means] == [
        ("queue_wait", "4"), ("answer", "4"), ("post_response", "3")
    ]
    assert float(means[2][1]) >= 20
    assert re.search(r"^last request cpu: +\d+\.\d\d$", text, re.MULTILINE), text
    assert re.search(rf"^start time: +\d\d/{MONTH}/\d{{4}}:", text, re.MULTILINE), text


def test_access_log(pool, tmp_path):
    log = tmp_path / "access"
    lines = wait_until(lambda: log.read_text().splitlines()[3:] and log.read_text().splitlines(), "four lines")
    for line in lines[1:]:
        assert re.fullmatch(rf"{DAY} \d\d/{MONTH}/\d{{4}} \d+\.\d{{3}} \d+\.\d\d", line), line
