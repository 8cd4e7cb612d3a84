"""The workers' standard output and error: caught by line, decorated, bounded, never blocking."""

import os
import re
import signal

from harness import process
from harness.wait import wait_until
from harness.worker_script import script, sleeper, wait_file


def test_lines_are_decorated(manager, tmp_path):
    body = "echo to output\necho to error >&2\nexec sleep 100000"
    daemon = manager({"command": script(tmp_path, body)})
    (worker,) = daemon.workers()
    daemon.wait_log(rf'NOTICE: \[pool www\] child {worker} said into stdout: "to output"$')
    daemon.wait_log(rf'WARNING: \[pool www\] child {worker} said into stderr: "to error"$')


def test_lines_as_they_are(manager, tmp_path):
    data = tmp_path / "data"
    data.write_bytes(b"plain words\n" + rb'{"msg": "say \"hi\" \u00e9"}' + b"\na\x07b\xff\n")
    body = f"cat {data} >&2\nexec sleep 100000"
    daemon = manager({"command": script(tmp_path, body), "decorate_workers_output": "no"})
    daemon.wait_log(r"^plain words$")
    daemon.wait_log(r'^\{"msg": "say \\"hi\\" \\u00e9"\}$')
    daemon.wait_log(r"^a\\x07b\\xff$")


def test_nothing_is_caught_if_not_wanted(manager, tmp_path):
    body = f"echo secret\necho secret >&2\nexec 3>&1\nreadlink /proc/self/fd/3 >{tmp_path}/out.new\nmv {tmp_path}/out.new {tmp_path}/out\nexec sleep 100000"
    daemon = manager({"command": script(tmp_path, body), "catch_workers_output": "no"})
    assert wait_file(tmp_path / "out") == "/dev/null\n"
    daemon.stop()
    assert "secret" not in daemon.log()


def test_the_last_line_without_an_end(manager, tmp_path):
    """A line without an end is logged when its worker has died."""
    body = f"printf 'cut sho'\nprintf 'and err' >&2\n: >{tmp_path}/said\nexec sleep 100000"
    daemon = manager({"command": script(tmp_path, body)})
    wait_until(lambda: (tmp_path / "said").exists(), "the words")
    (worker,) = daemon.workers()
    os.kill(worker, signal.SIGKILL)
    daemon.wait_log(rf'child {worker} said into stdout: "cut sho"$')
    daemon.wait_log(rf'child {worker} said into stderr: "and err"$')


def test_a_line_without_an_end_waits_for_silence(manager, tmp_path):
    """It is logged soon, not in one line with what the next request writes."""
    body = (f"printf 'first half' >&2\nwhile ! [ -e {tmp_path}/go ]; do sleep 0.05; done\n"
            "echo second >&2\nexec sleep 100000")
    daemon = manager({"command": script(tmp_path, body)})
    daemon.wait_log('said into stderr: "first half"$')
    (tmp_path / "go").touch()
    daemon.wait_log('said into stderr: "second"$')


def test_a_dropped_flood_does_not_stop_its_worker(manager, tmp_path):
    """stderr is read to its end although nothing of it is logged."""
    body = f"yes the same line | head -c 8000000 >&2\necho done >{tmp_path}/done\nexec sleep 100000"
    daemon = manager({"command": script(tmp_path, body), "catch_workers_output": "no"})
    assert wait_file(tmp_path / "done") == "done\n"
    assert "same line" not in daemon.log()


def test_a_flood_before_death_is_not_lost(manager, tmp_path):
    """All of it is logged, in order, although the worker exited at once."""
    body = f"[ -e {tmp_path}/once ] && exec sleep 100000\ntouch {tmp_path}/once\ni=0\nwhile [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done\nexit 3"
    daemon = manager({"command": script(tmp_path, body)})
    daemon.wait_log("exited with status 3")
    found = re.findall(r'said into stdout: "line (\d+)"', daemon.log_path.read_text())
    assert found == [str(number) for number in range(2000)]


def test_long_lines_are_continued(manager, tmp_path):
    body = "head -c 5000 /dev/zero | tr '\\0' x\necho end\nexec sleep 100000"
    daemon = manager({"command": script(tmp_path, body)}, settings={"log_limit": "1K"})
    daemon.wait_log('xend"$')
    lines = [line for line in daemon.log().splitlines() if "said into stdout" in line]
    assert all(len(line) <= 1024 for line in lines)
    assert "".join(re.search('"(.*)"', line)[1] for line in lines) == "x" * 5000 + "end"
    assert lines[0].endswith('" ...') and ': "x' in lines[0]
    assert ': ... "x' in lines[-1] and lines[-1].endswith('end"')


def test_binary_is_made_harmless(manager, tmp_path):
    data = tmp_path / "data"
    data.write_bytes(bytes(range(256)) * 40 + b"\n")
    daemon = manager({"command": script(tmp_path, f"cat {data}\necho over\nexec sleep 100000")})
    daemon.wait_log('"over"$')
    raw = daemon.log_path.read_bytes()
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f-\xff]", raw)
    assert b"\\x00\\x01" in raw and b"\\xff" in raw


def test_a_flooding_worker_delays_no_other(manager, tmp_path):
    """While one pool writes as fast as it can, deaths are noticed and commands answered."""
    noisy = script(tmp_path, "yes the same line | head -c 8000000\nexec sleep 100000", "noisy")
    daemon = manager(
        pools={"noisy": {"command": noisy}, "calm": {"command": sleeper(tmp_path), "pm.max_children": 2}}
    )
    for _ in range(5):
        assert daemon.control("ping").returncode == 0
    calm = [pid for pid in daemon.workers() if "noisy" not in process.command_line(pid)]
    os.kill(calm[0], signal.SIGKILL)
    daemon.wait_workers(3, without=[calm[0]])
