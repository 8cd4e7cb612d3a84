"""`overtimectl record`, and `overtime-plot`, which draws what it wrote."""

import importlib.machinery
import importlib.util
import json
import math
import os
import shutil
import signal
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from harness import build, fastcgi
from harness.wait import wait_until

PLOT = build.ROOT / "packaging" / "overtime-plot"
SVG = "{http://www.w3.org/2000/svg}"


def samples(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def record(daemon, path, *options):
    words = [build.OVERTIMECTL, "-s", daemon.control_path, "record", path, "--interval", "100ms", *options]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=daemon.environment)


def wait_samples(path, condition):
    """Waits for a new sample for which condition(sample) is true."""
    def look():
        text = path.read_text() if path.exists() else ""
        lines = [json.loads(line) for line in text.split("\n")[:-1]]
        return lines and condition(lines[-1])

    wait_until(look, lambda: f"a sample in {path.read_text() if path.exists() else 'nothing'}")


def plot(*words, **environment):
    return subprocess.run([PLOT, *words], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})


def need_gnuplot():
    if shutil.which("gnuplot") is None:
        pytest.skip("gnuplot is not installed (packaging/install-deps plot)")


def plot_module():
    """The script as a module."""
    loader = importlib.machinery.SourceFileLoader("overtime_plot", str(PLOT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("overtime_plot", loader))
    loader.exec_module(module)
    return module


def texts(svg):
    return ["".join(text.itertext()).strip() for text in ElementTree.fromstring(svg).iter(SVG + "text")]


def pool(sample, name="www"):
    return next((one for one in sample["pools"] or () if one["pool"] == name), None)


def test_load_and_restart(manager, app, tmp_path, journal):
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "pm.max_children": 2})
    path, picture = tmp_path / "rec.jsonl", tmp_path / "rec.svg"
    recorder = record(daemon, path)
    wait_samples(path, lambda sample: pool(sample)["idle"] == 2)
    for number in range(20):
        assert fastcgi.request(daemon.address, query=f"id=r{number}&text=x").text == "x"
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=x&finish&wait=go"))
        journal.wait("wait", "a")
        wait_samples(path, lambda sample: pool(sample)["post_response"] == 1)
        journal.signal("go")
    wait_samples(path, lambda sample: pool(sample)["post_response"] == 0)
    first = daemon.pid
    daemon.stop()
    wait_samples(path, lambda sample: sample["pools"] is None)
    daemon.log_path.unlink()
    daemon.start()
    wait_samples(path, lambda sample: sample["pools"] is not None)
    recorder.send_signal(signal.SIGINT)
    assert recorder.communicate(timeout=30)[1] == "" and recorder.returncode == 0

    seen = samples(path)
    assert {sample["pid"] for sample in seen if sample["pools"]} == {first, daemon.pid}
    gone = [sample for sample in seen if sample["pools"] is None]
    assert gone and all("no manager" in sample["error"] for sample in gone)
    assert max(pool(sample)["requests"] for sample in seen if sample["pools"]) == 21
    last = [sample for sample in seen if sample.get("pid") == first][-1]
    assert sum(pool(last)["histograms"]["answer"]["buckets"]) == 21

    need_gnuplot()
    result = plot(path, "-o", picture)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    svg = picture.read_text()
    shown = texts(svg)
    assert {"pool www: workers", "serving", "post_response", "idle", "max_children", "+ post-response budget",
            "listen queue (waiting connections)", "time to answer (logarithmic)", "50% within", "99% within",
            "requests per second"} <= set(shown), shown
    assert str(tmp_path) not in svg
    # Two periods, and a gap between them without a manager.
    module = plot_module()
    lines = module.table(module.read(path)[0], "www", 0.1)
    assert lines.count([]) >= 1
    columns = {name: [line[column - 1] for line in lines if line]
               for name, column in (("limit", module.LIMIT), ("p99", module.P99), ("rate", module.RATE))}
    assert set(columns["limit"]) == {2}
    assert any(number > 0 for number in columns["p99"]) and any(number > 0 for number in columns["rate"])


def test_one_sample_and_many(manager, app, tmp_path):
    daemon = manager({"command": f"{app('worker')} {tmp_path}"})
    path = tmp_path / "rec.jsonl"
    assert daemon.control("record", path, "--count", 1).returncode == 0
    (one,) = samples(path)
    # Recording goes on at the end of the file, also after a line that was cut off.
    with open(path, "a") as file:
        file.write('{"time_ms":17')
    assert daemon.control("record", path, "--count", 2, "--interval", "100ms").returncode == 0
    assert len([line for line in path.read_text().splitlines() if line.endswith("}")]) == 3
    need_gnuplot()
    alone = tmp_path / "one.jsonl"
    alone.write_text(json.dumps(one) + "\n")
    assert "idle" in texts(plot(alone).stdout)
    result = plot(path)
    assert result.returncode == 0 and "left out: 1" in result.stderr
    assert "pool www: workers" in texts(result.stdout)
    # Many are drawn together, and a name is not taken for a command.
    many = tmp_path / "many.jsonl"
    with open(many, "w") as file:
        for number in range(5000):
            one["time_ms"] += 1000
            one["pools"][0].update(pool="a<&>\x1b\n'b", requests=number * 10, serving=number % 2)
            file.write(json.dumps(one) + "\n")
    shown = texts(plot(many).stdout)
    assert "pool a<&>\\x1b\\n'b: workers" in shown, shown
    assert "0" in shown and any(text.count(":") == 1 and text[-1].isdigit() for text in shown), shown
    module = plot_module()
    points = module.table(module.read(many)[0], one["pools"][0]["pool"], 1)
    assert 400 < len(points) / 2 <= 600 and [] not in points
    assert all(abs(point[1] - 0.5) < 0.1 and point[module.RATE - 1] == 10 for point in points[2:-2])
    picture = tmp_path / "many.png"
    assert plot(many, "-o", picture).returncode == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_percentiles_of_a_plot():
    percentile = plot_module().percentile
    assert percentile([1, 2, 5], [10, 0, 10, 0], 0.5) == pytest.approx(0.001)
    assert percentile([1, 2, 5], [10, 0, 10, 0], 0.75) == pytest.approx(0.005)
    assert percentile([1, 2, 5], [1, 0, 0, 9], 0.99) == pytest.approx(0.005), "above all bounds"
    assert math.isnan(percentile([1, 2, 5], [0, 0, 0, 0], 0.5)) and math.isnan(percentile([], [0], 0.5))


def test_plot_without_gnuplot(tmp_path):
    path = tmp_path / "rec.jsonl"
    path.write_text('{"time_ms":1000,"pid":1,"pools":[{"pool":"www","idle":1}]}\n')
    result = plot(path, PATH="/nonexistent")
    assert result.returncode == 1 and "apt-get install gnuplot-nox" in result.stderr


def test_refusals(manager, app, tmp_path):
    daemon = manager({"command": f"{app('worker')} {tmp_path}"})
    other, path = tmp_path / "other", tmp_path / "rec.jsonl"
    other.write_text("dear diary\n")
    result = daemon.control("record", other)
    assert result.returncode == 1 and "no recording" in result.stderr
    assert other.read_text() == "dear diary\n"
    assert plot(other).returncode == 1
    recorder = record(daemon, path)
    wait_samples(path, lambda sample: True)
    again = daemon.control("record", path, "--count", 1)
    assert again.returncode == 1 and "already" in again.stderr
    recorder.terminate()
    assert recorder.communicate(timeout=30)[1] == "" and recorder.returncode == 0
    assert daemon.control("record", path, "--count", 0).returncode == 64
    assert daemon.control("record", path, "--interval", "soon").returncode == 64
    assert plot(tmp_path / "nothing").returncode == 1
    picture = tmp_path / "none" / "rec.svg"
    assert plot(path, "-o", picture).returncode == 1
    full = daemon.control("record", "/dev/full", "--count", 1)
    assert full.returncode == 1 and "/dev/full" in full.stderr
    daemon.stop()
    gone = daemon.control("record", path, "--count", 1)
    assert gone.returncode == 69 and "no manager" in gone.stderr
