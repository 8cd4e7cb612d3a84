"""`make install` gives a newcomer all that the README speaks of, and `make uninstall` takes it back."""

import os
import re
import shutil
import subprocess

import pytest

from harness import build, fastcgi

README = (build.ROOT / "README.md").read_text()


def block(language):
    """The README's first block of that language."""
    return re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)[1]


@pytest.fixture
def destination(tmp_path):
    """A folder into which all was installed."""
    if build.SANITIZED:
        pytest.skip("the sanitizer build is not for installing")
    folder = tmp_path / "root"
    make("install", folder)
    return folder


def make(target, folder):
    done = subprocess.run(
        ["make", target, f"BUILD={build.BUILD}", f"DESTDIR={folder}", "PREFIX=/usr/local"],
        cwd=build.ROOT, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        env={key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS")},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_what_is_installed(destination):
    found = files(destination)
    for name in (
        "usr/local/sbin/overtime",
        "usr/local/bin/overtimectl",
        "usr/local/lib/libovertime.so",
        "usr/local/lib/libovertime.so.0",
        "usr/local/lib/libovertime.a",
        "usr/local/lib/libovertime-preload.so",
        "usr/local/lib/pkgconfig/overtime.pc",
        "usr/local/include/overtime.h",
        "usr/local/include/overtime/contract.h",
        "usr/local/share/man/man8/overtime.8",
        "usr/local/share/man/man8/overtimectl.8",
        "usr/local/share/man/man5/overtime.ini.5",
        "usr/local/share/man/man3/overtime.3",
        "etc/overtime/overtime.ini",
        "etc/overtime/pool.d/www.ini",
    ):
        assert name in found, f"{name} is missing; installed: {found}"


def test_manual_pages_are_well_formed(destination):
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed (packaging/install-deps test)")
    for page in sorted((destination / "usr/local/share/man").rglob("*.[0-9]")):
        done = subprocess.run(
            ["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_application_builds_and_runs(destination, spawner, listen, tmp_path):
    """The README's: one header, pkg-config, and a plain spawner is enough."""
    (tmp_path / "application.c").write_text(block("c"))
    prefix = destination / "usr/local"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "overtime"], capture_output=True, text=True, check=True,
        env=dict(os.environ, PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig")),
    ).stdout.replace("/usr/local", str(prefix)).split()
    subprocess.run(
        [os.environ.get("CC", "cc"), "-Wall", "-Wextra", "-Werror", "application.c", *flags, "-o", "application"],
        cwd=tmp_path, check=True, timeout=120,
    )
    spawner([tmp_path / "application"], listen, env={"LD_LIBRARY_PATH": str(prefix / "lib")})
    response = fastcgi.request(listen)
    assert response.text == "accepted\n" and response.eof


def test_configuration_is_right(destination, tmp_path):
    """The README's, with the paths of this place."""
    text = block("ini").replace("/usr/local/bin/application", "/bin/true")
    text = text.replace("/var/log", str(tmp_path)).replace("/run/overtime", str(tmp_path))
    (tmp_path / "overtime.ini").write_text(text)
    done = subprocess.run(
        [destination / "usr/local/sbin/overtime", "-c", tmp_path / "overtime.ini", "-t"],
        capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_uninstall_leaves_the_configuration(destination):
    (destination / "etc/overtime/overtime.ini").write_text("; mine\n")
    make("install", destination)
    make("uninstall", destination)
    assert files(destination) == ["etc/overtime/overtime.ini", "etc/overtime/pool.d/www.ini"]
    assert (destination / "etc/overtime/overtime.ini").read_text() == "; mine\n"
