"""Processes as /proc shows them, and children that must not outlive a test."""

import ctypes
import os
import re
import signal

from .wait import wait_until

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    """Orphans of our children become our children, so that none goes unnoticed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def stat_fields(pid):
    """Fields of /proc/PID/stat from the state on, or None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def state(pid):
    """One letter (R, S, Z, ...), or None when there is no such process."""
    fields = stat_fields(pid)
    return fields[0] if fields else None


def alive(pid):
    """True while the process exists and is not a zombie."""
    return state(pid) not in (None, "Z", "X")


def catches(pid, number):
    """True if it has a handler for that signal."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            caught = re.search(r"^SigCgt:\s*(\w+)", file.read(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


def cpu_ticks(pid):
    """User and system time used so far, in clock ticks (usually 10 ms); 0 when it is gone."""
    fields = stat_fields(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def children(pid):
    """Pids of the children of a process, of all its threads, zombies included."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return sorted(found)


def name(pid):
    """The name of the process, at most 15 bytes; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return None


def command_line(pid):
    """The command line as one string, for messages."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return "(gone)"


def descriptors(pid):
    """The targets of a process's open descriptors: {number: target}."""
    found = {}
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
            except FileNotFoundError:
                pass
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def reap(pid):
    """Collects a zombie child of ours that no Popen object waits for; True if there was one."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def strays(ours):
    """Live children of this process that are not in `ours`; zombies among the others are reaped.

    A child without a command line has begun to exit; it is waited for, since no other process does.
    """
    left = []
    for pid in children(os.getpid()):
        if pid in ours:
            continue
        if alive(pid) and command_line(pid) == "":
            wait_until(lambda pid=pid: not alive(pid), f"the end of process {pid}")
        if state(pid) == "Z":
            reap(pid)
        elif alive(pid):
            left.append(pid)
    return left


def kill_and_reap(pid):
    """Ends a stray child of ours for good."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_until(lambda: reap(pid) or not alive(pid), f"the end of stray process {pid}")


def end(popen, number=signal.SIGTERM, limit=None):
    """Signals a Popen and waits for it; kills it and fails if it does not end in time.

    Without a number, only waits for it.
    """
    if number is not None and popen.poll() is None:
        popen.send_signal(number)
    try:
        wait_until(lambda: popen.poll() is not None, f"the end of {popen.args}", limit)
    except AssertionError:
        popen.kill()
        popen.wait()
        raise
    return popen.returncode
