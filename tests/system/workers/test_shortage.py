"""A machine that gives no more processes: told once, and again when it does."""

import subprocess

import pytest

from harness import build, fastcgi
from harness.wait import wait_until

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
pid_t fork(void)
{
    pid_t (*real)(void) = (pid_t (*)(void))dlsym(RTLD_NEXT, "fork");
    const char *flag = getenv("NO_MORE_PROCESSES");
    if (flag && access(flag, F_OK) == 0) { errno = EAGAIN; return -1; }
    return real();
}
"""


@pytest.mark.unsanitized
def test_a_failed_fork_is_told_once(manager, app, tmp_path):
    library, flag = tmp_path / "few.so", tmp_path / "few"
    (tmp_path / "few.c").write_text(SOURCE)
    subprocess.run([*build.compiler(), "-shared", "-fPIC", "-o", library, tmp_path / "few.c", "-ldl"], check=True)
    flag.touch()
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "pm": "ondemand"},
                     env={"LD_PRELOAD": str(library), "NO_MORE_PROCESSES": str(flag)})
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=x"))
        wait_until(lambda: daemon.control("status", "--json").stdout.count('"start_failures": 4'), "four failed starts")
        assert daemon.log().count("fork: Resource temporarily unavailable") == 1, daemon.log()
        flag.unlink()
        assert connection.read_response().text == "x"
    daemon.wait_log(r"pool www: workers can be started again, after \d+ failed starts in")
    assert daemon.log().count("cannot start worker") == 1, daemon.log()
