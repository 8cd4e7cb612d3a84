"""Reads a pool's scoreboard as the manager sees it, straight from the shared memory.

The layout is that of sapi-shim/contract.h, which this tests as well.
"""

import mmap
import os
import pathlib
import re
import struct

from . import process
from .wait import wait_until

CONTRACT = pathlib.Path(__file__).resolve().parents[2] / "sapi-shim" / "contract.h"
MAGIC_BOARD, MAGIC_SLOT = 0x4F54424F, 0x4F54534C
VERSION = int(re.search(r"^#define OT_CONTRACT_VERSION (\d+)u$", CONTRACT.read_text(), re.MULTILINE)[1])
STATES = ("starting", "idle", "reading", "running", "post", "shutdown", "exiting")
HEADER, SIZE = 1024, 2048  # of a slot, and of each record after it
RECORD = struct.Struct("=4I15Q16s384s128s")
FIELDS = (
    "change state status kept state_since accepted_at running_at finished_at shutdown_at requests "
    "finished aborted timed_out dropped discarded shutdown_run shutdown_late shutdown_lost "
    "content_length method uri label"
).split()


class Record:
    """One thread of a worker; attributes named as in contract.h, the state by its name."""

    def __init__(self, pid, raw):
        self.pid = pid
        for name, value in zip(FIELDS, RECORD.unpack(raw[: RECORD.size])):
            if isinstance(value, bytes):
                value = value.split(b"\0", 1)[0].decode("utf-8", "replace")
            setattr(self, name, value)
        self.state = STATES[self.state] if self.state < len(STATES) else f"state {self.state}"

    def __repr__(self):
        return f"<Record {self.__dict__}>"


def _boards(manager_pid):
    """The manager's memfds that are scoreboards, each mapped: (pool, map)."""
    seen = set()
    for number, target in process.descriptors(manager_pid).items():
        if "/memfd:" not in target:
            continue
        fd = os.open(f"/proc/{manager_pid}/fd/{number}", os.O_RDONLY)
        try:
            status = os.fstat(fd)
            if status.st_ino in seen or status.st_size < 4096:
                continue
            seen.add(status.st_ino)
            view = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
        finally:
            os.close(fd)
        magic, version = struct.unpack_from("=2I", view)
        if (magic, version) == (MAGIC_BOARD, VERSION):
            yield view[24:88].split(b"\0", 1)[0].decode(), view


def records(manager, pool="www"):
    """All records of the live workers of a pool, slot by slot, thread by thread."""
    live = set(manager.workers())
    for name, view in _boards(manager.pid):
        if name != pool:
            continue
        count, stride, offset = struct.unpack_from("=3I", view, 8)
        found = []
        for slot in range(count):
            start = offset + slot * stride
            magic, _, pid, threads = struct.unpack_from("=2IiI", view, start)
            if magic != MAGIC_SLOT or pid not in live:
                continue
            for thread in range(min(threads, 64)):
                at = start + HEADER + SIZE * thread
                found.append(Record(pid, view[at : at + SIZE]))
        return found
    raise AssertionError(f"the manager has no scoreboard of pool {pool!r}")


def record(manager, pool="www"):
    """The one record of a pool of one worker with one thread, once that worker has attached."""
    found = wait_until(lambda: records(manager, pool), "a worker with the library")
    assert len(found) == 1, f"{len(found)} records where one was expected: {found}"
    return found[0]
