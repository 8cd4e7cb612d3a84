"""A listen queue that is full, and a pool without idle workers, are told at their beginning and their end."""

import pytest

from harness import fastcgi


@pytest.mark.parametrize("pm", ["dynamic", "ondemand"])
def test_each_episode_is_told_twice(manager, app, tmp_path, journal, pm):
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "pm": pm, "pm.process_idle_timeout": "60s",
                      "listen.backlog": 2})
    waiting = []
    for number in range(3):
        connection = fastcgi.Connection(daemon.address)
        connection.send_request(fastcgi.cgi_params(f"id=a{number}&text=x" + ("&wait=go" if number == 0 else "")))
        if number == 0:
            journal.wait("wait", "a0")
        waiting.append(connection)
    daemon.wait_log(r"WARNING: pool www: the listen queue is full, 2 connections wait: .*`listen.backlog`")
    daemon.wait_log(r"WARNING: pool www: 2 connections wait and all workers that `pm.max_children` allows are busy")
    journal.signal("go")
    for connection in waiting:
        assert connection.read_response(wait_eof=True).text == "x"
        connection.close()
    daemon.wait_log(r"NOTICE: pool www: the listen queue is not full any more: it was for .*, seen \d+ times?")
    daemon.wait_log(r"NOTICE: pool www: workers are idle again: all were busy, and connections waited, for ")
    log = daemon.log_path.read_text()
    assert log.count("the listen queue is full") == log.count("are busy;") == 1, log
