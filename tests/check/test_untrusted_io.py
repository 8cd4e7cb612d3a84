"""One place for the manager's input and output on descriptors that others hold: fpm/util/untrusted_io.c.

No other file of the manager calls read, write, accept, recv or send. The exceptions are files that read
/proc or regular files, or talk before the loop runs, or in another process; each says why.
"""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
CALL = re.compile(
    r"(?<![\w.>])(p?readv?2?|p?writev?2?|pread|pwrite|accept4?|recv|recvfrom|recvm?msg|send|sendto|sendm?msg|splice|tee)"
    r"\s*\("
)
COMMENT = re.compile(r"/\*.*?\*/|\"(?:\\.|[^\"\\])*\"", re.DOTALL)

# Programs of their own, which the manager starts.
PROGRAMS = ("fpm/ctl/", "fpm/helpers/", "fpm/access_log/writer.c")

# File: the calls in it, and why they cannot wait for another process.
EXCEPTIONS = {
    "fpm/util/untrusted_io.c": "the place",
    "fpm/util/daemonize.c": "before there is a manager, between it and the process that was called",
    "fpm/util/pidfile.c": "a regular file that the manager opened",
    "fpm/util/saved_state.c": "a memory file that the manager made",
    "fpm/upgrade/upgrade_state.c": "a memory file that the manager made",
    "fpm/util/systemd_notify.c": "a socket of the manager's own, non-blocking",
    "fpm/worker/launch.c": "in the child: /proc, and the pipe to the manager, which is empty",
    "fpm/worker/process_tree.c": "/proc",
    "fpm/worker/proc_activity.c": "/proc",
}


def calls(path):
    """Names of what a file calls, without comments and texts."""
    return set(CALL.findall(COMMENT.sub("", path.read_text())))


def manager_files():
    for path in sorted((ROOT / "fpm").rglob("*.c")):
        name = str(path.relative_to(ROOT))
        if not name.startswith(PROGRAMS):
            yield name, path


def test_only_one_file_reads_and_writes_what_others_hold():
    wrong = {name: sorted(calls(path)) for name, path in manager_files() if calls(path) and name not in EXCEPTIONS}
    assert not wrong, f"call the functions of fpm/util/untrusted_io.h instead: {wrong}"


def test_every_exception_is_needed():
    found = {name for name, path in manager_files() if calls(path)}
    assert set(EXCEPTIONS) <= found


def test_a_call_is_seen(tmp_path):
    source = tmp_path / "a.c"
    source.write_text('/* read( */ void f(void) { puts("write("); x = recv(fd, p, n, 0); o->read(p); }')
    assert calls(source) == {"recv"}
