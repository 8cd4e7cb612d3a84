"""`overtime -t` finds what the start would, and says no instead of guessing."""

import os
import pwd
import resource
import shutil
import socket
import stat
import subprocess

import pytest

from harness import build


def check(directory, text, dump=False):
    path = directory / "check.ini"
    path.write_text(text)
    words = [str(build.OVERTIME), "-tt" if dump else "-t", "-c", str(path)]
    return subprocess.run(words + ["-R"] * (os.geteuid() == 0), capture_output=True, text=True, timeout=60,
                          env={**os.environ, **build.sanitizer_environment(directory)}, check=False)


def pool(directory, *lines, user="root", name="www", command="/bin/cat"):
    base = [f"[{name}]", f"command = {command}", f"listen = {directory}/www.sock", "pm.max_children = 1"]
    return "\n".join(base + [f"user = {user}"] * (os.geteuid() == 0) + list(lines)) + "\n"


@pytest.mark.parametrize("line", [
    "pm.status_path = /status    # behind an allow", "env[X] = a #b", "env[X] = # nothing",
    "listen.mode = 0660 # all",
])
def test_a_hash_behind_a_value(tmp_path, line):
    done = check(tmp_path, pool(tmp_path, line))
    assert done.returncode == 78 and "a comment after a value begins with ;" in done.stderr


def test_a_hash_in_a_command(tmp_path):
    done = check(tmp_path, pool(tmp_path, command="/bin/cat # the cat"))
    assert done.returncode == 78 and "a comment after a value begins with ;" in done.stderr
    assert check(tmp_path, pool(tmp_path, command="/bin/cat '# the cat' a#b")).returncode == 0


@pytest.mark.parametrize("value, meaning", [
    ("Bob's house ; Alice's comment", "Bob's house"), ('say "a ; b" ; c', 'say "a'), ("#fff", "#fff"),
    ("'a # b ; c' ; Alice's", "a # b ; c"), ("it's # not one", None),
])
def test_quotes_count_where_a_value_begins_with_one(tmp_path, value, meaning):
    done = check(tmp_path, pool(tmp_path, f"env[X] = {value}"), dump=True)
    assert done.returncode == (0 if meaning is not None else 78), done.stderr
    if meaning is not None:
        # What -tt prints reads back as the same value.
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("env[X]")]
        assert meaning.replace('"', '\\"') in line
        assert check(tmp_path, done.stdout, dump=True).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_command_that_the_user_cannot_reach(tmp_path):
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    program = folder / "application"
    shutil.copyfile("/bin/cat", program)
    program.chmod(0o755)
    text = pool(tmp_path, user="nobody", command=program)
    done = check(tmp_path, text)
    assert done.returncode == 78 and f"user nobody cannot enter the folder {folder} (mode 0700" in done.stderr
    link = tmp_path / "link"
    link.symlink_to(program)
    done = check(tmp_path, pool(tmp_path, user="nobody", command=link))
    assert done.returncode == 78 and f"cannot enter the folder {folder}" in done.stderr
    folder.chmod(0o711)
    assert check(tmp_path, text).returncode == 0
    program.chmod(0o700)
    done = check(tmp_path, text)
    assert done.returncode == 78 and f"user nobody cannot execute {program} (mode 0700" in done.stderr
    os.chown(program, pwd.getpwnam("nobody").pw_uid, -1)
    assert check(tmp_path, text).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_start_error_names_user_and_folder(manager, tmp_path):
    """The folder was closed after the start: the log says to whom."""
    folder = tmp_path / "private"
    folder.mkdir()
    program = folder / "application"
    shutil.copyfile("/bin/cat", program)
    program.chmod(0o755)
    daemon = manager({"command": program, "user": "nobody", "pm": "ondemand"})
    folder.chmod(0o700)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(daemon.address.path)
        daemon.wait_log(rf"exec {program}: Permission denied: user nobody cannot enter the folder {folder} \(mode 0700")


def test_logs_that_cannot_be_written(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("access.log", "slowlog"):
        done = check(tmp_path, pool(tmp_path, f"{name} = {tmp_path}/folder"))
        assert done.returncode == 78 and f"{name} = {tmp_path}/folder: is a folder" in done.stderr
        assert check(tmp_path, pool(tmp_path, f"{name} = {tmp_path}/folder/new")).returncode == 0
    done = check(tmp_path, f"[global]\nerror_log = {tmp_path}/folder\n" + pool(tmp_path))
    assert done.returncode == 78 and "is a folder" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_log_folder_of_another_user(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    done = check(tmp_path, pool(tmp_path, f"access.log = {closed}/log"))
    assert done.returncode == 78 and f"cannot be made in the folder {closed} (Permission denied, mode 0500" in done.stderr


@pytest.mark.parametrize("section", ["global", "www"])
def test_more_descriptors_than_the_kernel_allows(tmp_path, section):
    with open("/proc/sys/fs/nr_open") as file:
        most = int(file.read())
    line = f"rlimit_files = {most + 1}"
    text = f"[global]\n{line}\n" + pool(tmp_path) if section == "global" else pool(tmp_path, line)
    done = check(tmp_path, text)
    assert done.returncode == 78 and f"[{section}] {line}: " in done.stderr
    assert f"at most {most}" in done.stderr or most >= 1073741816


def test_more_clients_than_are_kept(tmp_path):
    clients = ",".join(f"{a}.{b}" for a in range(16) for b in range(256))
    done = check(tmp_path, pool(tmp_path, f"listen.allowed_clients = {clients[:8000]}"))
    assert done.returncode == 78 and "listen.allowed_clients" in done.stderr


def test_a_pattern_that_matches_nothing(tmp_path):
    done = check(tmp_path, "[global]\ninclude = pool.d/*.ini\n" + pool(tmp_path))
    assert done.returncode == 0
    assert f"check.ini:2: include = {tmp_path}/pool.d/*.ini: no file matches this pattern" in done.stderr


@pytest.mark.parametrize("name", ["gloabl", "Global", "globl"])
def test_a_misspelled_section(tmp_path, name):
    done = check(tmp_path, f"[{name}]\nlog_level = debug\n" + pool(tmp_path))
    assert done.returncode == 78 and f"[{name}] is a pool without a command; did you mean [global]?" in done.stderr
    assert "is missing" not in done.stderr
    assert check(tmp_path, pool(tmp_path, name=name)).returncode == 0


@pytest.mark.parametrize("line", [
    "php_admin_value[memory_limit] = 64M", "php_flag[display_errors] = off", "security.limit_extensions = .php",
    "listen.acl_users = www-data", "process.dumpable = yes", "request_terminate_timeout_track_finished = yes",
])
def test_directives_of_php_fpm_without_a_meaning_here(tmp_path, line):
    done = check(tmp_path, pool(tmp_path, line))
    assert done.returncode == 78
    assert f"{line.split(' =')[0]} is a directive of PHP-FPM without a meaning here: " in done.stderr


@pytest.mark.parametrize("value, warned", [
    ("$HOSTNAME", True), ('"$PATH"', True), ("'$PATH'", False), ('"\\$PATH"', False), ("$pool", False),
    ("${PATH}", False), ("pa$word", False), ("$", False), ("$5", True),
])
def test_a_variable_that_is_not_substituted(tmp_path, value, warned):
    done = check(tmp_path, pool(tmp_path, f"env[X] = {value}"))
    assert done.returncode == 0
    assert ("nothing is substituted here; write ${" in done.stderr) == warned, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can lower the limits of another user's manager")
@pytest.mark.parametrize("line, sentence", [
    ("rlimit_core = 2M", "rlimit_core: only root can raise the limit above 1048576 bytes"),
    ("oom_score_adj = -5", "oom_score_adj = -5: only root can go below"),
])
def test_limits_that_a_user_may_not_set(tmp_path, line, sentence):
    """Said of a manager that is not root; root may."""
    text = pool(tmp_path, line)
    assert check(tmp_path, text).returncode == 0
    nobody = pwd.getpwnam("nobody")

    def become_nobody():
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)

    (tmp_path / "check.ini").chmod(0o644)
    done = subprocess.run([build.OVERTIME, "-t", "-c", tmp_path / "check.ini"], capture_output=True, text=True,
                          check=False, preexec_fn=become_nobody)
    assert sentence in done.stderr, done.stderr
