"""The sample for logrotate covers the log that README's configuration writes."""

import fnmatch
import pathlib
import re
import shutil
import subprocess

import pytest

from harness.worker_script import is_root

ROOT = pathlib.Path(__file__).parents[3]


def readme_log():
    return re.search(r"^;error_log = (\S+)", (ROOT / "README.md").read_text(), re.MULTILINE)[1]


def test_the_sample_names_the_log_of_the_readme():
    names = (ROOT / "packaging" / "logrotate").read_text().split("{")[0].split()
    assert any(fnmatch.fnmatch(readme_log(), name) for name in names)


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="needs logrotate")
@pytest.mark.skipif(not is_root(), reason="only root can give files to another group")
def test_a_rotation(tmp_path):
    """The new files are of the group adm, and so can be read by it."""
    folder = tmp_path / "log"
    (folder / "overtime").mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "overtime").chmod(0o755)
    logs = [folder / "overtime.log", *(folder / "overtime" / name for name in ("a.log", "www.access", "www.slow"))]
    for log in logs:
        log.write_text("a line\n")
    sample = (ROOT / "packaging" / "logrotate").read_text()
    rules = tmp_path / "rules"
    rules.write_text(sample.replace("/var/log", str(folder)).replace("/run/overtime", str(tmp_path)))
    rules.chmod(0o644)
    done = subprocess.run(["logrotate", "-f", "-s", tmp_path / "state", rules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for log in logs:
        assert log.read_text() == "" and log.with_name(log.name + ".1").read_text() == "a line\n"
        assert log.group() == "adm" and log.stat().st_mode & 0o777 == 0o640
