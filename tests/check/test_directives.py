"""Every directive of the table is in the manual and in a sample, and both are up to date."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("OVERTIME_BUILD", ROOT / "build")).resolve()
PRINT = BUILD / "print-directives"
MANUAL = BUILD / "man" / "overtime.ini.5"
SAMPLES = {"global": ROOT / "conf" / "overtime.ini", "pool": ROOT / "conf" / "pool.d" / "www.ini"}
ROW = re.compile(r'^(GLOBAL|POOL)\("([^"]+)",\s*(\w+),', re.MULTILINE)


def rows():
    """(section, name, field) of every row, read from the table's source."""
    text = (ROOT / "fpm" / "config" / "directives.def").read_text()
    found = [(section.lower(), name, field) for section, name, field in ROW.findall(text)]
    assert len(found) == len(re.findall(r"^(?:GLOBAL|POOL)\(", text, re.MULTILINE))
    return found


def printed(what):
    done = subprocess.run(
        [PRINT, what], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fields_are_named_after_directives():
    for _, name, field in rows():
        assert field == re.sub(r"\[.*\]$", "", name).replace(".", "_"), name


@pytest.mark.parametrize("section", SAMPLES)
def test_sample_is_what_the_table_prints(section):
    assert SAMPLES[section].read_text() == printed(section), (
        f"{SAMPLES[section].relative_to(ROOT)} is out of date: print it again with "
        f"build/print-directives {section}"
    )


@pytest.mark.parametrize("section", SAMPLES)
def test_every_directive_is_in_its_sample(section):
    lines = SAMPLES[section].read_text().splitlines()
    for _, name, _ in (row for row in rows() if row[0] == section):
        count = sum(line.lstrip(";").startswith(name + " = ") for line in lines)
        assert count == 1, f"{name} stands {count} times"


def test_every_directive_is_in_the_manual():
    manual = printed("man")
    halves = manual.split(".Sh POOL DIRECTIVES")
    assert len(halves) == 2
    for section, name, _ in rows():
        assert f'.It Ic "{name}" ' in halves[section == "pool"], name


def test_manual_was_built():
    assert MANUAL.read_text() == printed("man")


def test_manual_is_well_formed():
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    done = subprocess.run(
        ["mandoc", "-Tlint", "-W", "warning"],
        input=printed("man"), capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0 and done.stdout + done.stderr == "", done.stdout + done.stderr


def test_usage_is_refused():
    for arguments in ([], ["sample"], ["pool", "x"]):
        done = subprocess.run(
            [PRINT, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 64 and "usage:" in done.stderr
    done = subprocess.run(
        [PRINT, "man", "/nonexistent"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 70
