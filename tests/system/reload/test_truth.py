"""The report of a reload is true: a socket whose file is gone, programs without the library that end soon."""

import contextlib
import os
import socket

import pytest

from harness import fastcgi
from harness.wait import stays, wait_until
from harness.worker_script import script


def box(app, tmp_path, **more):
    return {"command": f"{app('box_plain')} {tmp_path}", **more}


def connects(path):
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.connect(str(path))
        return True
    return False


@pytest.mark.parametrize("words", [["reload", "--wait"], ["reload", "--all", "--wait"], ["upgrade", "--wait"]])
@pytest.mark.parametrize("changed", [{}, {"listen.mode": "0666"}], ids=["same", "mode"])
def test_a_socket_that_was_removed_is_made_anew(manager, app, tmp_path, words, changed):
    pool = {"command": f"{app('worker')} {tmp_path}", "pm.max_children": 2}
    daemon = manager(pool)
    path = tmp_path / "www.sock"
    path.unlink()
    daemon.rewrite({"www": {**pool, **changed}})
    answer = daemon.control(*words)
    assert answer.returncode == 0, answer.stderr
    assert fastcgi.request(daemon.address, query="id=x&text=served").text == "served"
    daemon.wait_log("pool www: starting the workers of generation 2: its socket was gone and was made anew|`listen.mode`")


@pytest.mark.parametrize("words", [["reload"], ["reload", "--all"]])
def test_a_file_in_the_place_of_the_socket(manager, app, tmp_path, words):
    daemon = manager({"command": f"{app('worker')} {tmp_path}"})
    before = daemon.workers()
    path = tmp_path / "www.sock"
    path.unlink()
    path.write_text("precious")
    answer = daemon.control(*words)
    assert answer.returncode == 1
    assert f"cannot listen on {path}: the file exists and is not a socket" in answer.stderr
    assert answer.stderr.endswith("nothing has changed\n")
    assert path.read_text() == "precious" and daemon.workers() == before
    daemon.addresses.clear()


def test_a_program_that_ends_after_a_while(manager, app, tmp_path):
    """Without the library the manager cannot see that it does not serve; the old worker continues."""
    daemon = manager(box(app, tmp_path))
    (before,) = daemon.workers()
    daemon.rewrite({"www": {"command": script(tmp_path, "sleep 0.7\nexit 3")}})
    answer = daemon.control("reload", "--wait")
    assert answer.returncode == 1
    assert "workers end soon after their start" in answer.stderr and "exited with status 3 after" in answer.stderr
    assert "its older workers keep serving" in answer.stderr
    assert int(fastcgi.request(daemon.address, query="text=old").headers["X-Worker"]) == before


def test_a_program_that_does_not_show_whether_it_accepts(manager, app, tmp_path):
    """It serves once it has lived for 2 s."""
    daemon = manager(box(app, tmp_path))
    (before,) = daemon.workers()
    daemon.rewrite({"www": {"command": script(tmp_path, "exec sleep 1000")}})
    daemon.control("reload", check=True)
    stays(lambda: before in daemon.workers(), 1, "the old worker")
    daemon.wait_log("reload: done")
    assert before not in daemon.workers()


SERVE_ONE = """
import socket, time
with socket.socket(fileno=0) as listener:
    connection, _ = listener.accept()
connection.recv(65536)
time.sleep(0.1)
text = b"Status: 500\\r\\n\\r\\nerror page"
connection.sendall(b"\\1\\6\\0\\1" + len(text).to_bytes(2, "big") + b"\\0\\0" + text + b"\\1\\3\\0\\1\\0\\10\\0\\0" + bytes(8))
connection.close()
"""


def test_a_program_that_ends_after_each_request(manager, tmp_path):
    """It takes from the queue, so that it is replaced at once."""
    program = script(tmp_path, SERVE_ONE, shell="/usr/bin/python3")
    daemon = manager({"command": program})
    for number in range(6):
        assert "error page" in fastcgi.request(daemon.address, query=f"n={number}").text
    wait_until(lambda: daemon.log().count("exited with status 0") >= 5 or daemon.log().count("ended") >= 5, "their ends")
    assert "next start in" not in daemon.log()


def test_a_program_that_ends_at_once_and_serves_nothing(manager, tmp_path):
    daemon = manager({"command": "/bin/true"})
    daemon.wait_log("next start in 400 ms")
    assert os.path.exists(daemon.address.path)
