"""The tables and files beside the pages: directives, alert rules and dashboard name what exists."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest

from harness import build, document, fastcgi

DIRECTIVES = set(re.findall(r'^(?:GLOBAL|POOL)\("([^"]+)"', (build.ROOT / "fpm/config/directives.def").read_text(), re.MULTILINE))
FPM = [pathlib.Path("/etc/php/8.2/fpm/php-fpm.conf"), pathlib.Path("/etc/php/8.2/fpm/pool.d/www.conf")]


def table(page):
    """The rows of a page's tables: lists of cells."""
    text = (document.PAGES / page).read_text()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]


def names(cell):
    return [re.sub(r"\[\w*\]$", "[]", name) for name in re.findall(r"`([a-z_.]+(?:\[\w*\])?)`", cell)]


@pytest.mark.skipif(not all(path.exists() for path in FPM), reason="needs Debian's configuration of php-fpm 8.2")
def test_every_directive_of_php_fpm_has_a_row():
    listed = {name for row in table("from-php-fpm.md") for name in names(row[0])}
    text = "\n".join(path.read_text() for path in FPM)
    known = {re.sub(r"\[\w*\]$", "[]", name) for name in re.findall(r"^;?([a-z_.]+(?:\[\w*\])?) ?= ?", text, re.MULTILINE)}
    assert len(known) > 50 and known - listed == set()


def test_those_called_the_same_exist():
    own = {re.sub(r"\[\w*\]$", "[]", name) for name in DIRECTIVES}
    for row in table("from-php-fpm.md"):
        if row[1].startswith("the same") and not row[0].startswith("`kill"):
            assert set(names(row[0])) <= own, row[0]


def test_directives_that_pages_name_exist():
    """Words with a dot or an underscore that look like a directive of a pool."""
    for page in document.PAGES.glob("*.md"):
        for name in re.findall(r"`((?:(?:pm|post_response|listen|access|slowlog)\.|request_|keepalive_)[a-z_.]+)`", page.read_text()):
            if not name.endswith("."):
                assert name in DIRECTIVES or page.stem in ("from-php-fpm", "security"), f"{page.name}: {name}"


def metrics(text):
    return {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in re.findall(r"\b(overtime_[a-z_]+)\b", text)}


@pytest.fixture
def known(manager, app, tmp_path):
    """The metrics that a pool shows."""
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "pm.status_path": "/status"})
    text = fastcgi.request(daemon.address, fastcgi.cgi_params("openmetrics", SCRIPT_NAME="/status")).text
    return metrics(text)


@pytest.mark.parametrize("name", ["alerts.yml", "grafana.json"])
def test_metrics_exist(known, name):
    found = metrics((document.PAGES / name).read_text())
    assert len(found) > 8 and found - known == set()


def test_the_dashboard():
    """What Grafana needs of a dashboard: panels that do not overlap, with a unique number, a query and a data source."""
    board = json.loads((document.PAGES / "grafana.json").read_text())
    assert board["title"] and board["schemaVersion"] >= 36 and board["uid"]
    variables = {entry["name"] for entry in board["templating"]["list"]}
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["targets"] and all(target["expr"] and target["refId"] for target in panel["targets"])
        used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(panel)))
        assert used <= variables, panel["title"]
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_the_alerts():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (packaging/install-deps metrics)")
    done = subprocess.run([promtool, "check", "rules", document.PAGES / "alerts.yml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "9 rules found" in done.stdout, done.stdout + done.stderr
