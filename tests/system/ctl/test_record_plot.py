"""`overtimectl record` and `overtimectl plot`."""

import json
import signal
import subprocess
import xml.etree.ElementTree as ElementTree

from harness import build, fastcgi
from harness.wait import wait_until

SVG = "{http://www.w3.org/2000/svg}"


def samples(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def record(daemon, path, *options):
    words = [build.OVERTIMECTL, "-s", daemon.control_path, "record", path, "--interval", "100ms", *options]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=daemon.environment)


def wait_samples(path, condition):
    """Waits for a sample behind those that are there now, of which condition(sample) is true."""
    def look():
        text = path.read_text() if path.exists() else ""
        lines = [json.loads(line) for line in text.split("\n")[:-1]]
        return lines and condition(lines[-1])

    wait_until(look, lambda: f"a sample in {path.read_text() if path.exists() else 'nothing'}")


def plot(daemon, path, *options):
    return daemon.control("plot", path, *options)


def drawn(svg, name):
    """The data of all curves or areas of a class."""
    root = ElementTree.fromstring(svg)
    return [path.get("d") for path in root.iter(SVG + "path") if path.get("class") == name]


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

    result = plot(daemon, path, "-o", picture)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    svg = picture.read_text()
    for name in ("serving", "post_response", "idle", "max_children", "budget", "queue", "p50", "p99", "rate"):
        assert len(drawn(svg, name)) == 1, name
    assert drawn(svg, "idle")[0].count("M") == 2, "two stretches, and the gap between them"
    assert drawn(svg, "max_children")[0].count("M") == 2
    assert drawn(svg, "p99")[0] != ""
    assert "script" not in svg and "href" not in svg and str(tmp_path) not in svg
    assert plot(daemon, path).stdout == svg


def test_one_sample_and_many(manager, app, tmp_path):
    daemon = manager({"command": f"{app('worker')} {tmp_path}"})
    path = tmp_path / "rec.jsonl"
    assert daemon.control("record", path, "--count", 1).returncode == 0
    (one,) = samples(path)
    assert drawn(plot(daemon, path).stdout, "idle")[0].count("M") == 1
    # It goes on behind what is there, also behind a line that was cut off.
    with open(path, "a") as file:
        file.write('{"time_ms":17')
    assert daemon.control("record", path, "--count", 2, "--interval", "100ms").returncode == 0
    result = plot(daemon, path)
    assert result.returncode == 0 and "left out: 1" in result.stderr
    ElementTree.fromstring(result.stdout)
    # Many are drawn together.
    many = tmp_path / "many.jsonl"
    with open(many, "w") as file:
        for number in range(5000):
            one["time_ms"] += 1000
            one["pools"][0].update(pool="a<&>\x1b\"b", requests=number * 10, serving=number % 2)
            file.write(json.dumps(one) + "\n")
    svg = plot(daemon, many).stdout
    (area,) = drawn(svg, "serving")
    assert 400 < area.count("H") / 2 <= 600 and area.count("M") == 1
    root = ElementTree.fromstring(svg)
    (name,) = [text.text for text in root.iter(SVG + "text") if text.get("class") == "pool-name"]
    assert name == 'pool a<&>\\x1b"b'
    ticks = [text.text for text in root.iter(SVG + "text") if text.get("class") == "tick"]
    assert "0" in ticks and any(text.count(":") == 1 for text in ticks), ticks


def test_refusals(manager, app, tmp_path):
    daemon = manager({"command": f"{app('worker')} {tmp_path}"})
    other, path = tmp_path / "other", tmp_path / "rec.jsonl"
    other.write_text("dear diary\n")
    result = daemon.control("record", other)
    assert result.returncode == 1 and "no recording" in result.stderr
    assert other.read_text() == "dear diary\n"
    assert plot(daemon, other).returncode == 1
    recorder = record(daemon, path)
    wait_samples(path, lambda sample: True)
    again = daemon.control("record", path, "--count", 1)
    assert again.returncode == 1 and "already" in again.stderr
    recorder.terminate()
    assert recorder.communicate(timeout=30)[1] == "" and recorder.returncode == 0
    assert daemon.control("record", path, "--count", 0).returncode == 64
    assert daemon.control("record", path, "--interval", "soon").returncode == 64
    assert plot(daemon, tmp_path / "nothing").returncode == 1
    picture = tmp_path / "none" / "rec.svg"
    assert plot(daemon, path, "-o", picture).returncode == 1
    full = daemon.control("record", "/dev/full", "--count", 1)
    assert full.returncode == 1 and "/dev/full" in full.stderr
    daemon.stop()
    gone = daemon.control("record", path, "--count", 1)
    assert gone.returncode == 69 and "no manager" in gone.stderr
