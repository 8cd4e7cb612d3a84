"""A default ACL of the folder does not let in more users than listen.mode."""

import os
import shutil
import subprocess

import pytest

from harness.worker_script import sleeper

needs_setfacl = pytest.mark.skipif(shutil.which("setfacl") is None, reason="needs setfacl (Debian: acl)")


@needs_setfacl
@pytest.mark.parametrize("mode", ["0660", "0600", "0666"])
def test_the_mode_decides(manager, tmp_path, mode):
    """The user whom the list names gets nothing, and the log says so."""
    folder = tmp_path / "sockets"
    folder.mkdir()
    done = subprocess.run(["setfacl", "-d", "-m", "u:nobody:rwx,g::rwx,o::rwx", folder], capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no ACL here: {done.stderr}")
    path = folder / "www.sock"
    daemon = manager({"command": sleeper(tmp_path), "listen": path, "listen.mode": mode})
    assert os.stat(path).st_mode & 0o777 == int(mode, 8)
    shown = subprocess.run(["getfacl", "-p", path], capture_output=True, text=True, check=True).stdout
    assert "nobody" not in shown and "mask" not in shown, shown
    assert daemon.log_path.read_text().count("access list") == 1
    assert f"{path}: its folder has a default access list" in daemon.log()
