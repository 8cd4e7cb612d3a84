"""`post_response.until_accept`: what unchanged programs do between FCGX_Finish_r and the next accept is
post-response work."""

import json
import shutil
import signal
import statistics
import subprocess
import time

import pytest

from harness import build, fastcgi
from harness.held import wait_total
from harness.shown import best_of
from harness.totals import totals
from harness.wait import wait_until

WORK = 1.0  # seconds after each response
PSGI = """
my $app = sub {
    my $env = shift;
    push @{$env->{'psgix.cleanup.handlers'}}, sub { select undef, undef, undef, 1; open my $f, '>>', '%s'; print $f "done\\n" };
    return [200, ['Content-Type' => 'text/plain'], ["hello"]];
};
"""
CXX = """
#include <fcgio.h>
#include <fstream>
#include <iostream>
#include <unistd.h>
int main()
{
    FCGX_Init();
    for (;;) {
        FCGX_Request request;  // another one each time
        FCGX_InitRequest(&request, 0, 0);
        if (FCGX_Accept_r(&request) != 0) return 0;
        {
            fcgi_streambuf out(request.out);
            std::ostream(&out) << "Content-Type: text/plain\\r\\n\\r\\nhello" << std::flush;
        }
        FCGX_Finish_r(&request);
        sleep(1);
        std::ofstream("%s", std::ios::app) << "done" << std::endl;
    }
}
"""
STDIO = """
#include <fcgi_stdio.h>
#include <fcntl.h>
#include <unistd.h>
int main()
{
    while (FCGI_Accept() >= 0) {
        FCGI_printf("Content-Type: text/plain\\r\\n\\r\\nhello");
        FCGI_Finish();
        sleep(1);
        int fd = open("%s", O_WRONLY | O_CREAT | O_APPEND, 0666);
        if (write(fd, "done\\n", 5) != 5) return 1;
        close(fd);
    }
    return 0;
}
"""
LUA = """
local lfcgi = require "lfcgi"
while lfcgi.accept() >= 0 do
    lfcgi.stdout:write("Content-Type: text/plain\\r\\n\\r\\nhello")
    lfcgi.finish()
    local shell = io.popen("sleep 1; echo done >>%s")
    shell:close()
end
"""


def needs(*commands, modules=()):
    for command in commands:
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")
    for command in modules:
        if subprocess.run(command, capture_output=True, check=False, timeout=60).returncode != 0:
            pytest.skip(f"not installed: {' '.join(command)}")


def plack(directory, done):
    needs("plackup", modules=[["perl", "-MFCGI", "-MPlack::Handler::FCGI", "-e", "1"]])
    (directory / "app.psgi").write_text(PSGI % done)
    return f"plackup -E deployment -s FCGI --manager= {directory}/app.psgi"


def lua(directory, done):
    needs("lua5.1", modules=[["lua5.1", "-e", "require 'lfcgi'"]])
    (directory / "app.lua").write_text(LUA % done)
    return f"lua5.1 {directory}/app.lua"


def cxx(directory, done, source=CXX):
    needs("g++")
    (directory / "app.cc").write_text(source % done)
    subprocess.run(["g++", "app.cc", "-o", "app", "-lfcgi++", "-lfcgi"], cwd=directory, check=True, timeout=300)
    return directory / "app"


def stdio(directory, done):
    return cxx(directory, done, STDIO)


@pytest.fixture(params=[plack, cxx, stdio, lua])
def unchanged(request, manager, tmp_path):
    if build.SANITIZED and request.param in (plack, lua):
        pytest.skip("a sanitizer reports what interpreters do")
    done = tmp_path / "done"

    def run(**directives):
        daemon = manager({"command": request.param(tmp_path, done), "env[LD_PRELOAD]": build.preload(),
                          "env[PATH]": "/usr/local/bin:/usr/bin:/bin", "pm.max_children": 2, **directives})
        wait_total(daemon, idle=2, unknown=0)
        return daemon

    run.child_works = request.param is lua
    run.done = lambda: done.read_text().count("done") if done.exists() else 0
    return run


def seconds(server):
    began = time.monotonic()
    answer = server.request()
    assert answer.complete and answer.text == "hello", answer
    return time.monotonic() - began


def median_wait(daemon, server, rounds):
    """The wait of a request that follows one whose worker does post-response work."""
    waits = []
    for _ in range(rounds):
        wait_until(lambda: totals(daemon)["idle"] >= 2, "two idle workers")
        seconds(server)
        waits.append(seconds(server))
    return statistics.median(waits)


def test_the_next_request_does_not_wait(unchanged, nginx):
    """Behind nginx with kept connections: under 50 ms at the median."""
    daemon = unchanged(**{"post_response.until_accept": "yes"})
    server = nginx(daemon.address, keep=True)
    promised = 0.5 if build.SANITIZED else 0.05
    tries = []
    waited = best_of(3, lambda: tries.append(median_wait(daemon, server, 7)) or tries[-1], lambda found: found < promised)
    assert waited < promised, tries
    wait_until(lambda: unchanged.done() == 14 * len(tries), lambda: f"all work done: {unchanged.done()}")


def test_the_work_is_post_response_work(unchanged, tmp_path):
    log = tmp_path / "access.log"
    daemon = unchanged(**{"post_response.until_accept": "yes", "access.log": log})
    assert fastcgi.request(daemon.address).text == "hello"
    wait_total(daemon, post_response=1)
    daemon.wait_workers(3)  # replaced while it works
    wait_until(lambda: unchanged.done() == 1, "the work")
    wait_total(daemon, post_response=0)
    found = totals(daemon)
    assert (found["requests"], found["post_response_requests"]) == (1, 1)
    assert found["post_response_ms"] > 900
    wait_until(lambda: log.exists() and log.read_text().count("\n") == 1, "one line of the access log")


def test_without_it_the_request_ends_with_the_response(unchanged):
    daemon = unchanged()
    assert fastcgi.request(daemon.address).text == "hello"
    wait_until(lambda: unchanged.done() == 1, "the work")
    found = totals(daemon)
    assert (found["requests"], found["post_response_requests"]) == (1, 0)


def test_time_limits_hold(unchanged):
    daemon = unchanged(**{"post_response.until_accept": "yes", "post_response.time_limit": "200ms",
                          "hard_timeout": "100ms"})
    assert fastcgi.request(daemon.address).text == "hello"
    wait_until(lambda: totals(daemon)["ended_by"]["hard_timeout"] == 1, daemon.log)
    assert totals(daemon)["timed_out"] == 1
    if unchanged.child_works:
        wait_until(lambda: unchanged.done() == 1, "the end of the shell that outlives it")


@pytest.mark.parametrize("how", ["quit", "reload"])
def test_stop_waits_for_the_work(unchanged, how):
    daemon = unchanged(**{"post_response.until_accept": "yes"})
    assert fastcgi.request(daemon.address).text == "hello"
    if how == "quit":
        daemon.send_signal(signal.SIGQUIT)
        wait_until(lambda: daemon.popen.poll() is not None, "the manager's end")
    else:
        daemon.control("reload", "--all", "--wait", check=True)
    assert unchanged.done() == 1
    assert "is killed" not in daemon.log() and "while in" not in daemon.log(), daemon.log()


def test_threads_behind_a_mutex_stop(manager, app):
    """A thread that waits for its turn to accept has an open request and nothing to do in it."""
    daemon = manager({"command": f"{app('threaded_plain')} 4 mutex", "env[LD_PRELOAD]": build.preload(),
                      "post_response.until_accept": "yes"})
    wait_total(daemon, idle=1)
    for _ in range(8):
        assert fastcgi.request(daemon.address, query="10").text == "slept 10"
    daemon.control("reload", "--all", "--wait", check=True)
    assert not [line for line in daemon.log().splitlines() if "killed" in line or "cut off" in line], daemon.log()
    assert json.loads(daemon.control("--json", "status", "www").stdout)["pools"][0]["requests"] == 8
