"""The benchmark's table of cases, its report, and one run of it."""

import json
import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from bench import contestants, plot, report, sheet
from bench.cases import CASES
from harness import build

BENCH = build.ROOT / "tests" / "bench" / "bench"


def run(*words, **environment):
    return subprocess.run([str(BENCH), *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                          env=dict(os.environ, OVERTIME_BUILD=str(build.BUILD), **environment))


COLUMNS = (sheet.Column("rate", "1000/s", 1, 1000), sheet.Column("p50", "p50 ms"))


def case(*targets, **more):
    return sheet.Case("name", "a title", None, COLUMNS, "libfcgi", "rate", targets, **more)


def filled():
    samples = sheet.Sheet()
    for mine, theirs in ((4000, 1000), (3000, 2000), (6000, 2000)):
        samples.add("libfcgi", {"rate": theirs, "p50": 1.0})
        samples.add("linked", {"rate": mine, "p50": 0.5})
    return samples


def target(bound=2.5, **more):
    return sheet.Target("linked: throughput", ("linked", "rate"), at_least=bound, to=[("libfcgi", "rate")], **more)


def test_names_are_unique_and_every_target_is_about_a_column():
    assert len({each.name for each in CASES}) == len(CASES)
    for each in CASES:
        columns = {column.key for column in each.columns}
        for promise in each.targets:
            assert {column for _, column in (promise.of, *promise.to)} <= columns, (each.name, promise)
            assert (promise.at_least is None) != (promise.at_most is None), (each.name, promise)
        assert not each.reference or each.main in columns, each.name


def test_medians_spreads_and_ratios():
    told = sheet.summary(case(), filled())
    linked = next(row for row in told["rows"] if row["row"] == "linked")
    assert (linked["cells"]["rate"]["median"], linked["cells"]["rate"]["min"], linked["cells"]["rate"]["max"]) == (
        4000, 3000, 6000)
    assert linked["ratio"] == 3, "the median of 4, 1.5 and 3, round by round"


@pytest.mark.parametrize("bound, met", [(3, True), (3.1, False)])
def test_a_target_is_met_or_missed(bound, met):
    told = sheet.check(target(bound), filled().samples)
    assert (told["met"], told["value"]) == (met, 3)


def test_the_hardest_of_several_counts():
    samples = filled()
    for _ in range(3):
        samples.add("php", {"rate": 4000, "p50": 0.1})
    peers = [("libfcgi", "rate"), ("php", "rate"), ("uwsgi", "rate")]
    faster = sheet.Target("", ("linked", "rate"), at_least=1.5, to=peers)
    assert sheet.check(faster, samples.samples)["value"] == 1, "to PHP's; the third was not measured"
    sooner = sheet.Target("", ("linked", "p50"), at_most=1, to=[(row, "p50") for row, _ in peers])
    assert sheet.check(sooner, samples.samples)["value"] == 5


def test_what_was_not_measured_is_neither_met_nor_missed():
    assert sheet.check(target(), {("linked", "rate"): [1]})["met"] is None
    assert sheet.check(target(), {})["met"] is None


def test_the_text():
    text = report.text(sheet.summary(case(target(), target(4)), filled()), contestants.NAMES)
    assert text.splitlines() == [
        "== name: a title",
        "                                            1000/s  to libfcgi  p50 ms",
        "  libfcgi, spawn-fcgi + multiwatch  2.0 (1.0..2.0)        1.00    1.00",
        "  overtime, linked                  4.0 (3.0..6.0)        3.00    0.50",
        "  met: linked: throughput: 3.00, at least 2.5",
        "  MISSED: linked: throughput: 3.00, at least 4",
    ]


def results(**more):
    return {"cases": [sheet.summary(case(target(4), **more), filled())]}


def test_markdown_and_closing_line():
    lines = report.markdown(results(), contestants.NAMES).splitlines()
    assert lines[0] == "### `name`: a title" and "|---|---:|---:|---:|" in lines
    assert "- MISSED: linked: throughput: 3.00, at least 4" in lines
    assert report.closing(results()).splitlines()[-1] == "0 targets met, 1 missed"


def test_the_plot_is_whole_by_itself():
    drawing = plot.svg(results(drawn=True), contestants.NAMES)
    root = ElementTree.fromstring(drawing)
    assert root.tag.endswith("svg") and "prefers-color-scheme: dark" in drawing
    assert drawing.count("<rect") == 1 + 2 and not re.search(r"(href|src)=|url\(|@import", drawing)
    ElementTree.fromstring(plot.svg({"cases": []}, contestants.NAMES))


def test_the_list_and_unknown_cases():
    done = run("list")
    assert done.returncode == 0 and [line.split()[0] for line in done.stdout.splitlines()] == [c.name for c in CASES]
    assert run("nothing").returncode == 2 and run("--nothing").returncode == 2


@pytest.mark.unsanitized
def test_a_case_from_end_to_end(tmp_path):
    """With the other servers that are installed here; the report names the others, which is no failure."""
    done = run("--into", str(tmp_path), "hello-4w-4c", ROUNDS="1", SECONDS_="0.1")
    assert done.returncode == 0, done.stdout + done.stderr
    (summary,) = json.loads((tmp_path / "results.json").read_text())["cases"]
    rows = {row["row"]: row["cells"] for row in summary["rows"]}
    for name in ("floor", "linked", "preloaded"):
        assert rows[name]["rate"]["median"] > 0 and rows[name]["failed"]["median"] == 0, summary
    assert "overtime, linked" not in (tmp_path / "bench.svg").read_text(), "this case is not drawn"
    again = run("--markdown", str(tmp_path / "results.json"))
    assert again.returncode == 0 and "| overtime, linked |" in again.stdout
