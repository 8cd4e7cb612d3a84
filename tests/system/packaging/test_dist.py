"""What `make dist` and `make deb` build on; `make deb-check` installs the packages in a root of their own."""

import io
import re
import subprocess
import tarfile

import pytest

from harness import build

pytestmark = pytest.mark.unsanitized

DEBIAN = build.ROOT / "packaging" / "debian"
VERSION = re.search(r'OVERTIME_VERSION "(.*)"', (build.ROOT / "fpm/util/version.h").read_text())[1]


@pytest.mark.skipif(not (build.ROOT / ".git").exists(), reason="needs the history")
def test_the_tarball_is_the_same_each_time(tmp_path):
    archives = []
    for number in range(2):
        folder = tmp_path / str(number)
        done = subprocess.run(["make", "dist", f"BUILD={folder}"], cwd=build.ROOT, capture_output=True, text=True,
                              timeout=120, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        archives.append((folder / f"overtime-{VERSION}.tar.gz").read_bytes())
    assert archives[0] == archives[1]
    assert archives[0][4:8] == bytes(4), "gzip's header has the time of the run"
    commit = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=build.ROOT, capture_output=True, text=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archives[0])) as archive:
        assert {member.mtime for member in archive} == {int(commit.stdout)}


def test_the_versions_agree():
    assert re.match(r"overtime \(([^)]*)\)", (DEBIAN / "changelog").read_text())[1] == VERSION
    assert re.search(r"^## .*$", (build.ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] in (
        "## Unreleased", f"## {VERSION}")


def test_the_symbols_are_those_of_the_library():
    listed = set(re.findall(r"^ (\w+)@Base", (DEBIAN / "libovertime0.symbols").read_text(), re.MULTILINE))
    seen = subprocess.run(["readelf", "--dyn-syms", "-W", build.BUILD / "libovertime.so"], capture_output=True, text=True,
                          check=True).stdout
    exported = {line.split()[7] for line in seen.splitlines()
                if re.search(r"(FUNC|OBJECT) +(GLOBAL|WEAK) +DEFAULT +\d+ ", line)}
    assert exported == listed


def test_the_packages_get_every_dependency_of_the_build():
    needs = re.search(r'\[build\]="([^"]*)"', (build.ROOT / "packaging/install-deps").read_text())[1].split()
    listed = re.search(r"^Build-Depends: (.*)$", (DEBIAN / "control").read_text(), re.MULTILINE)[1]
    missing = [name for name in needs if name.startswith("lib") and name != "libc6-dev" and name not in listed]
    assert missing == []
