"""A machine that gives no more processes: told once, and again when it does."""

import subprocess

import pytest

from harness import build, fastcgi
from harness.wait import wait_until

SOURCE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>
static int full(void) { const char *flag = getenv("NO_MORE_PROCESSES"); return flag && access(flag, F_OK) == 0; }
extern int __clone(int (*run)(void *), void *stack, int flags, void *context, ...);
int clone(int (*run)(void *), void *stack, int flags, void *context, ...)
{
    if (full()) { errno = EAGAIN; return -1; }
    return __clone(run, stack, flags, context);
}
"""


@pytest.mark.unsanitized
def test_a_failed_fork_is_told_once(manager, app, tmp_path):
    library, flag = tmp_path / "few.so", tmp_path / "few"
    (tmp_path / "few.c").write_text(SOURCE)
    subprocess.run([*build.compiler(), "-shared", "-fPIC", "-o", library, tmp_path / "few.c"], check=True)
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
