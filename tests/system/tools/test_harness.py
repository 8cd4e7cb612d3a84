"""The tools of the other tests with an ordinary libfcgi program, without library and manager.

If this fails, check the machine, not Overtime.
"""

import pytest

from harness import fastcgi
from harness.journal import pattern
from harness.wait import wait_until

pytestmark = pytest.mark.unsanitized


def test_raw_client(spawner, app, listen, tmp_path, journal):
    spawner([app("worker_plain"), tmp_path], listen)
    response = fastcgi.request(listen, query="id=a&read=all&param=REQUEST_METHOD&text=hello", body=b"x" * 70000)
    assert (response.status, response.text) == (200, "hello")
    assert response.end_request == b"\0" * 8 and response.eof and not response.after_end
    assert journal.names("a")[:3] == ["begin POST", f"read 70000 {70000 * ord('x')} 0", "param REQUEST_METHOD=POST"]


def test_behind_a_web_server(spawner, app, web, listen, keep, tmp_path, journal):
    spawner([app("worker_plain"), tmp_path], listen)
    server = web(listen, keep=keep)
    for number in range(3):
        answer = server.request(f"/?id=r{number}&read=all&write=20000", body=b"y" * 30000)
        assert answer.complete and answer.status == 200
        assert answer.body == pattern(20000)
        journal.wait("end", f"r{number}")
        assert f"read 30000 {30000 * ord('y')} 0" in journal.names(f"r{number}")


def test_steps_wait_for_the_test(spawner, app, listen, tmp_path, journal):
    worker = spawner([app("worker_plain"), tmp_path], listen)
    with fastcgi.Connection(listen) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=x&wait=go"))
        journal.wait("wait", "a")
        assert not connection.at_eof
        journal.signal("go")
        assert connection.read_response().complete
    wait_until(lambda: journal.events("a", "end"), "the end of the request")
    assert len(worker.workers()) == 1
