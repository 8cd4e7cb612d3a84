"""The simulator: seeds that once failed, and a minute of others (tests/sim/README.md)."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIM = pathlib.Path(os.environ.get("OVERTIME_BUILD", ROOT / "build")) / "sim"
SECONDS = 60


def run(*arguments):
    done = subprocess.run([SIM, *map(str, arguments)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert done.stdout.endswith("all held\n")


def test_seeds_that_once_failed():
    lines = (ROOT / "tests" / "sim" / "seeds").read_text(encoding="ascii").splitlines()
    seeds = [line.split()[0] for line in lines if line and not line.startswith("#")]
    assert seeds
    for seed in seeds:
        run(seed)


def test_planted_faults_apply():
    """make sim-planted builds and runs them, which takes minutes."""
    patches = sorted((ROOT / "tests" / "sim" / "planted").glob("*.patch"))
    assert len(patches) >= 20
    for patch in patches:
        done = subprocess.run(["patch", "-p1", "--dry-run", "--forward", "-i", patch], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{patch.name}: make the fault again in the code of today: {done.stdout}"


def test_a_minute_of_seeds():
    """From 1 on, so that a change is judged by the same lives as the one before; `make sim` has others."""
    run(1, "-t", SECONDS)
