"""`make install` installs everything that the README mentions, and `make uninstall` removes it."""

import os
import re
import shutil
import subprocess

import pytest

from harness import build, fastcgi

pytestmark = pytest.mark.unsanitized

README = (build.ROOT / "README.md").read_text()


def block(language):
    """The README's first block of that language."""
    return re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)[1]


@pytest.fixture
def destination(tmp_path):
    """A folder into which everything was installed."""
    if build.SANITIZED:
        pytest.skip("the sanitizer build is not for installing")
    folder = tmp_path / "root"
    make("install", folder)
    return folder


def unmade():
    """The environment without the variables of a make that runs the tests."""
    return {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS")}


def make(target, folder, *words, prefix="/usr/local", into=build.BUILD, **environment):
    done = subprocess.run(
        ["make", target, f"BUILD={into}", f"DESTDIR={folder}", f"PREFIX={prefix}", *words],
        cwd=build.ROOT, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        env={**unmade(), **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("target", ["install", "uninstall"])
def test_ldconfig_runs(target, tmp_path):
    """Only as root, and if the files are at their final place."""
    if build.SANITIZED:
        pytest.skip("the sanitizer build is not for installing")
    programs, told = tmp_path / "bin", tmp_path / "told"
    programs.mkdir()
    (programs / "ldconfig").write_text(f"#!/bin/sh\necho told >>{told}\n")
    (programs / "ldconfig").chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    make(target, tmp_path / "root", PATH=path)
    assert not told.exists()
    make(target, "", prefix=tmp_path / "prefix", PATH=path)
    assert told.exists() == (os.geteuid() == 0)


def test_readme_says_how_to_install():
    assert README.index("sudo make install") < README.index("pkg-config")


def dry(*words):
    """The commands that make would run."""
    done = subprocess.run(
        ["make", "-n", f"BUILD={build.BUILD}", *words], cwd=build.ROOT, capture_output=True, text=True,
        timeout=60, env=unmade(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_compiler_of_two_words():
    assert " CC='env cc' tests/run" in dry("check", "CC=env cc")


@pytest.mark.parametrize("once, told", [("", ""), ("0", ""), ("1", "1")])
def test_the_demo_runs_once(once, told):
    assert f' nginx "" "7" "{told}"\n' in dry("demo", f"ONCE={once}", "N=7", "WEB=nginx", "PORT=")


@pytest.mark.parametrize("name", ["overtime", "overtimectl", "libovertime.so", "libovertime-preload.so", "parts.a"])
def test_a_file_that_went_is_no_longer_linked(name, tmp_path):
    """The list of objects is written when it changes, and then programs are linked again."""
    if build.SANITIZED:
        pytest.skip("the Makefile's own rules are the same for every build")
    listed = tmp_path / "objects"
    make(listed, "", into=tmp_path)
    before = listed.stat().st_mtime_ns
    make(listed, "", into=tmp_path)
    assert listed.stat().st_mtime_ns == before
    make(listed, "", "SHIM_SRC=sapi-shim/scoreboard/record.c", into=tmp_path)
    assert "sapi-shim/scoreboard/record.o" in listed.read_text() and "sapi-shim/scoreboard/worker_slot.o" not in listed.read_text()
    assert str(tmp_path) not in listed.read_text(), "the same folder by another name would be made anew"
    assert f"-o {build.BUILD}/{name}" in (out := dry("-W", f"{build.BUILD}/objects", f"{build.BUILD}/{name}")) or (
        f"cs {build.BUILD}/{name}" in out
    )


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_what_is_installed(destination):
    found = files(destination)
    for name in (
        "usr/local/sbin/overtime",
        "usr/local/bin/overtimectl",
        "usr/local/bin/overtime-plot",
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
        "usr/local/lib/systemd/system/overtime.service",
        "usr/local/lib/systemd/system/overtime@.socket",
        "usr/local/lib/tmpfiles.d/overtime.conf",
        "usr/local/share/doc/overtime/logrotate",
        "usr/local/share/bash-completion/completions/overtimectl",
        "usr/local/share/zsh/site-functions/_overtimectl",
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


@pytest.mark.parametrize("name", ["worker.c", "worker_stdio.c"])
def test_installed_library_stays_in_programs(destination, name, tmp_path):
    """By pkg-config, whichever function accepts: the linker must not drop it."""
    prefix = destination / "usr/local"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "overtime"], capture_output=True, text=True, check=True,
        env=dict(os.environ, PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig")),
    ).stdout.replace("/usr/local", str(prefix)).split()
    subprocess.run(
        [*build.compiler(), "-D_GNU_SOURCE", f"-I{build.ROOT}", "-pthread", "-Wl,--as-needed",
         build.ROOT / "tests/apps" / name, *flags, "-o", tmp_path / "application"], check=True, timeout=120,
    )
    seen = subprocess.run(["readelf", "-d", tmp_path / "application"], capture_output=True, text=True, check=True)
    assert "libovertime.so.0" in seen.stdout and "libfcgi.so.0" in seen.stdout, seen.stdout


def test_application_builds_and_runs(destination, spawner, listen, tmp_path):
    """The README's application: one header, pkg-config and a plain spawner are enough."""
    (tmp_path / "application.c").write_text(block("c"))
    prefix = destination / "usr/local"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "overtime"], capture_output=True, text=True, check=True,
        env=dict(os.environ, PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig")),
    ).stdout.replace("/usr/local", str(prefix)).split()
    subprocess.run(
        [*build.compiler(), "-Wall", "-Wextra", "-Werror", "application.c", *flags, "-o", "application"],
        cwd=tmp_path, check=True, timeout=120,
    )
    spawner([tmp_path / "application"], listen, env={"LD_LIBRARY_PATH": str(prefix / "lib")})
    response = fastcgi.request(listen)
    assert response.text == "accepted\n" and response.eof


def test_configuration_is_right(destination, tmp_path):
    """The README's configuration, with local paths."""
    text = block("ini").replace("/usr/local/bin/application", "/bin/true")
    text = text.replace("/var/log", str(tmp_path)).replace("/run/overtime", str(tmp_path))
    (tmp_path / "overtime.ini").write_text(text)
    done = subprocess.run(
        [destination / "usr/local/sbin/overtime", "-c", tmp_path / "overtime.ini", "-t"],
        capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def elsewhere(tmp_path):
    """Installed below another prefix, into a folder with a blank in its name."""
    if build.SANITIZED:
        pytest.skip("the sanitizer build is not for installing")
    folder = tmp_path / "a folder"
    make("install", folder, prefix="/opt/x")
    yield folder
    make("uninstall", folder, prefix="/opt/x")
    assert files(folder) == ["opt/x/etc/overtime/overtime.ini", "opt/x/etc/overtime/pool.d/www.ini"]


def test_another_prefix(elsewhere):
    """The program finds the configuration there; the .pc file tells the loader where the library is."""
    prefix = elsewhere / "opt/x"
    (prefix / "etc/overtime/overtime.ini").write_text("[www]\nlisten = here\n")
    done = subprocess.run([prefix / "sbin/overtime", "-t"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78 and f"{prefix}/etc/overtime/overtime.ini:" in done.stderr, done.stderr
    flags = subprocess.run(
        ["pkg-config", "--libs", "overtime"], capture_output=True, text=True, check=True,
        env=dict(os.environ, PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig")),
    ).stdout
    assert "-Wl,-rpath,/opt/x/lib" in flags
    assert "ExecStart=/opt/x/sbin/overtime -F --take-over -c /opt/x/etc/overtime/overtime.ini" in (
        prefix / "lib/systemd/system/overtime.service").read_text()


def test_every_function_has_a_manual(destination):
    header = (build.ROOT / "sapi-shim/overtime.h").read_text()
    functions = set(re.findall(r"\b(ot_\w+)\(", re.sub(r"/\*.*?\*/|^#.*?$", "", header, flags=re.DOTALL | re.MULTILINE)))
    pages = {path.stem for path in (destination / "usr/local/share/man/man3").iterdir()}
    assert len(functions) > 9 and functions <= pages, functions - pages


def test_link_time_optimization_is_refused():
    done = subprocess.run(["make", "-n", "CFLAGS=-O3 -flto"], cwd=build.ROOT, capture_output=True, text=True,
                          timeout=60, env=unmade(), check=False)
    assert done.returncode == 2 and "LTO is not supported" in done.stderr, done.stderr


def test_clean_removes_the_build_folder(tmp_path):
    (tmp_path / "x").mkdir()
    subprocess.run(["make", f"BUILD={tmp_path}/x", "clean"], cwd=build.ROOT, capture_output=True, timeout=60, env=unmade(), check=True)
    assert not (tmp_path / "x").exists()


def test_uninstall_leaves_the_configuration(destination):
    (destination / "etc/overtime/overtime.ini").write_text("; mine\n")
    make("install", destination)
    make("uninstall", destination)
    assert files(destination) == ["etc/overtime/overtime.ini", "etc/overtime/pool.d/www.ini"]
    assert (destination / "etc/overtime/overtime.ini").read_text() == "; mine\n"
