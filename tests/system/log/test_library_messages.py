"""The messages of the library reach the log, for every setting of catch_workers_output."""

import re

import pytest

from harness import fastcgi
from harness.worker_script import script

LIMIT = {"max_execution_time": "100ms", "hard_timeout": "60s"}


def slow_request(daemon):
    """A request that reaches its limit; the worker's log line about it."""
    fastcgi.request(daemon.address, query="poll=60000")
    return daemon.wait_log(r"^.*reached max_execution_time.*$")[0]


@pytest.mark.parametrize("caught", ["yes", "no"])
def test_with_pool_process_and_level(manager, app, tmp_path, caught):
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "catch_workers_output": caught, **LIMIT})
    (worker,) = daemon.workers()
    line = slow_request(daemon)
    assert re.search(rf"\] WARNING: pool www: worker {worker} \(slot 0\): GET \S+ reached max_execution_time of 100 ms\b", line)


def test_in_json_they_have_fields(manager, app, tmp_path):
    daemon = manager({"command": f"{app('worker')} {tmp_path}", **LIMIT}, settings={"log_format": "json"})
    (worker,) = daemon.workers()
    line = slow_request(daemon)
    assert f'"level":"warning","pool":"www","pid":{worker},"slot":0' in line and "stream" not in line


@pytest.mark.parametrize("redirected", ["2>/dev/null", "2>&-"])
def test_standard_error_is_the_applications(manager, app, tmp_path, redirected):
    """A program, or the shell that starts it, may point its standard error elsewhere."""
    starter = script(tmp_path, f"exec {app('worker')} {tmp_path} {redirected}")
    daemon = manager({"command": starter, **LIMIT})
    assert "WARNING: pool www: worker" in slow_request(daemon)


def test_output_does_not_pass_for_them(manager, tmp_path):
    """Nor does a line that the library would write without a manager."""
    body = "echo 'WGET / reached max_execution_time' >&2\necho 'overtime: pool www: lost' >&2\nexec sleep 100000"
    daemon = manager({"command": script(tmp_path, body)})
    daemon.wait_log(r'said into stderr: "WGET / reached max_execution_time"$')
    daemon.wait_log(r'said into stderr: "overtime: pool www: lost"$')


def test_a_client_cannot_begin_a_line(manager, app, tmp_path):
    daemon = manager({"command": f"{app('worker')} {tmp_path}", **LIMIT})
    params = fastcgi.cgi_params("poll=60000", REQUEST_URI="/a\nWpool www: forged")
    fastcgi.request(daemon.address, params)
    daemon.wait_log(r"GET /a.Wpool www: forged reached max_execution_time of 100 ms\b")


@pytest.mark.parametrize("caught", ["yes", "no"])
def test_last_words(manager, tmp_path, caught):
    """A worker that dies before it attached has its last line on stderr in its exit message."""
    body = "echo first >&2\necho 'libmissing.so.0: cannot open shared object file' >&2\nexit 127"
    daemon = manager({"command": script(tmp_path, body), "catch_workers_output": caught})
    line = daemon.wait_log(r"^.*exited with status 127 .*$")[0]
    assert line.endswith('last line on its standard error: "libmissing.so.0: cannot open shared object file"')
    assert "shared library was not found" in line
    assert ("said into stderr" in daemon.log()) == (caught == "yes")


def test_last_words_of_a_first_request(manager, app, tmp_path):
    """It is logged for a worker that dies within its first request, not for one that dies later."""
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "catch_workers_output": "no"})
    for query, expected in (("say=help&exit=3", True), ("say=help", False), ("exit=4", False)):
        fastcgi.request(daemon.address, query=query)
        if "exit" in query:
            line = daemon.wait_log(rf"^.*exited with status {query[-1]} .*$")[0]
            assert ('"help"' in line) == expected, line
