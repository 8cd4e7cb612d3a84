"""The default build's ELF files carry the protections that the compiler, the linker and the C library offer."""

import platform
import shutil
import subprocess

import pytest

from harness import build

PROGRAMS = ["overtime", "overtimectl", "overtime-trace", "overtime-status"]
LIBRARIES = ["libovertime.so", "libovertime-preload.so"]
OBJECTS = ["obj/fpm/main.o", "obj/sapi-shim/api/libfcgi.o", "obj/fpm/helpers/overtime_status.o", "obj/fpm/ctl/overtimectl.o"]

pytestmark = pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is not installed")


def readelf(option, name):
    done = subprocess.run(["readelf", "-W", option, build.BUILD / name], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@pytest.mark.parametrize("name", PROGRAMS + LIBRARIES)
def test_what_the_linker_does(name):
    """All addresses are bound at the start and read-only from then on; no stack is executable."""
    segments, dynamic = readelf("-l", name), readelf("-d", name)
    assert "GNU_RELRO" in segments
    assert "BIND_NOW" in dynamic and "Flags: NOW" in dynamic
    (stack,) = [line for line in segments.splitlines() if "GNU_STACK" in line]
    assert "RWE" not in stack
    assert not [line for line in segments.splitlines() if "LOAD" in line and "RWE" in line]
    assert "TEXTREL" not in dynamic
    assert ("PIE" in dynamic) == (name in PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS + LIBRARIES)
def test_checked_functions_of_the_c_library(name):
    symbols = readelf("--dyn-syms", name)
    assert "__stack_chk_fail" in symbols
    assert [line for line in symbols.splitlines() if "_chk@" in line and "stack_chk" not in line], "FORTIFY"


@pytest.mark.parametrize("name", OBJECTS)
def test_what_the_compiler_does(name):
    """The start-up code of Debian's C library is without CET, so that the programs do not show it as a whole."""
    (producer, *_) = [line for line in readelf("--debug-dump=info", name).splitlines() if "DW_AT_producer" in line]
    assert "-fstack-clash-protection" in producer and "-fstack-protector-strong" in producer
    if platform.machine() == "x86_64":
        assert "x86 feature: IBT, SHSTK" in readelf("-n", name)
