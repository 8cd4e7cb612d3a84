"""The folder of the build under test, and the environment for its sanitizers."""

import os
import pathlib
import shlex
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("OVERTIME_BUILD", ROOT / "build")).resolve()
SANITIZED = os.environ.get("OVERTIME_SAN", "0") == "1"
check_leaks = True  # at the end of each process; conftest.py says for which tests

OVERTIME = BUILD / "overtime"
OVERTIMECTL = BUILD / "overtimectl"
PRELOAD = BUILD / "libovertime-preload.so"
APPS = BUILD / "apps" / "tests" / "apps"
DEMO = BUILD / "apps" / "conf" / "demo"


def app(name):
    """A test application's program."""
    return APPS / name


def sanitizer_environment(directory):
    """Sanitizers write reports into files in `directory`, not to the process's output."""
    if not SANITIZED:
        return {}
    report = f"log_path={directory}/sanitizer"
    return {
        "ASAN_OPTIONS": f"{report}:detect_leaks={check_leaks:d}:abort_on_error=0:exitcode=99",
        "UBSAN_OPTIONS": f"{report}:print_stacktrace=1:halt_on_error=1",
    }


def compiler():
    """The C compiler as the words of a command; it may be more than one, as "ccache cc"."""
    return shlex.split(os.environ.get("CC", "cc"))


def preload():
    """The value of LD_PRELOAD. A sanitized library needs its runtime before it."""
    if not SANITIZED:
        return str(PRELOAD)
    runtime = subprocess.run(
        [*compiler(), "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return f"{runtime}:{PRELOAD}"
