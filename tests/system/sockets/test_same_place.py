"""Addresses that are one place in two spellings, or overlap: at a check, at the start and at a reload."""

import os
import subprocess

import pytest

from harness import address, build, fastcgi
from harness.manager import Manager
from harness.worker_script import is_root, sleeper


def check(directory, first, second):
    """`overtime -t` on two pools that listen there: the answer, and the lines of both."""
    daemon = Manager(directory, pools={
        "one": {"command": sleeper(directory), "listen": first},
        "two": {"command": sleeper(directory), "listen": second},
    })
    lines = [number for number, line in enumerate(daemon.ini_path.read_text().splitlines(), 1)
             if line.startswith("listen =")]
    answer = subprocess.run(
        [str(build.OVERTIME), "-t", "-c", str(daemon.ini_path)] + (["-R"] if is_root() else []),
        capture_output=True, text=True, timeout=60, env=daemon.environment, check=False)
    return answer, [f"{daemon.ini_path}:{number}" for number in lines]


@pytest.mark.parametrize("first, second", [
    ("D/x.sock", "D//x.sock"), ("D/x.sock", "D/./x.sock"), ("D/x.sock", "D/link/x.sock"),
    ("D/x.sock", "D/link/./x.sock"), ("0.0.0.0:9000", "127.0.0.1:9000"), ("[::]:9000", "127.0.0.1:9000"),
    ("127.0.0.1:9000", "9000"), ("[::1]:9000", "[0:0::1]:9000"),
])
def test_both_lines_are_named(tmp_path, first, second):
    (tmp_path / "link").symlink_to(tmp_path)
    spelled = [text.replace("D", str(tmp_path), 1) for text in (first, second)]
    answer, lines = check(tmp_path, *spelled)
    assert answer.returncode == 78
    assert f"{lines[1]}: [two] listen = {spelled[1]}: [one] listen = {spelled[0]} is " in answer.stderr
    assert answer.stderr.endswith(f", see {lines[0]}\n"), answer.stderr


def test_others_are_fine(tmp_path):
    (tmp_path / "folder").mkdir()
    for first, second in ((f"{tmp_path}/x", f"{tmp_path}/folder/x"), ("127.0.0.1:9000", "127.0.0.2:9000"),
                          ("0.0.0.0:9000", "[::1]:9000")):
        answer, _ = check(tmp_path, first, second)
        assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("spelling", ["{0}//www.sock", "{0}/link/www.sock"])
def test_another_spelling_at_a_reload(manager, app, tmp_path, spelling):
    """The socket stays, and with it who has connected."""
    (tmp_path / "link").symlink_to(tmp_path)
    pool = {"command": f"{app('worker')} {tmp_path}"}
    daemon = manager(pool)
    inode = os.stat(tmp_path / "www.sock").st_ino
    daemon.rewrite({"www": {**pool, "listen": spelling.format(tmp_path)}})
    answer = daemon.control("reload", "--wait")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert os.stat(tmp_path / "www.sock").st_ino == inode
    assert fastcgi.request(address.as_address(tmp_path / "www.sock"), query="id=x&text=served").text == "served"


@pytest.mark.parametrize("before, after", [("{}", "127.0.0.1:{}"), ("127.0.0.1:{}", "{}"), ("{}", "0.0.0.0:{}")])
def test_an_overlap_at_a_reload(manager, app, tmp_path, before, after):
    """Refused: workers that still serve hold the address, and the sentence says which."""
    port = address.free_port()
    before, after = before.format(port), after.format(port)
    pool = {"command": f"{app('worker')} {tmp_path}", "listen": before}
    daemon = manager(pool)
    (worker,) = daemon.workers()
    daemon.rewrite({"www": {**pool, "listen": after}})
    answer = daemon.control("reload", "--wait")
    assert answer.returncode == 1
    assert f"pool www: `listen = {after}`: pool www listens on {before}, and 1 worker" in answer.stderr
    assert "restart the manager" in answer.stderr and answer.stderr.endswith("nothing has changed\n")
    assert daemon.workers() == [worker]
