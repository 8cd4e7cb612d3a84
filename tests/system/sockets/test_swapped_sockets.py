"""A folder that the pool's user may write: whatever is put in a socket's place, only the socket changes owner and mode."""

import os
import threading

import pytest

from harness.manager import Manager
from harness.wait import wait_until
from harness.worker_script import is_root, sleeper

pytestmark = pytest.mark.skipif(not is_root(), reason="only root changes owners")
NOBODY = 65534


class Swapper(threading.Thread):
    """Puts a link to root's file in the place of the socket as soon as that is made, and back, again and again."""

    def __init__(self, folder, victim):
        super().__init__(daemon=True)
        self.path, self.aside, self.link = folder / "www.sock", folder / "aside", folder / "link"
        self.victim, self.stopped, self.swaps = victim, threading.Event(), 0

    def run(self):
        while not self.stopped.is_set():
            try:
                os.symlink(self.victim, self.link)
                os.lchown(self.link, NOBODY, NOBODY)
                if not self.path.is_socket():
                    raise FileNotFoundError
                os.rename(self.path, self.aside)
                os.rename(self.link, self.path)
                self.swaps += 1
                os.rename(self.path, self.link)
                os.rename(self.aside, self.path)
            except FileExistsError:
                os.unlink(self.link)
            except FileNotFoundError:
                if os.path.lexists(self.link):
                    os.unlink(self.link)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join()
        if os.path.lexists(self.link):
            os.unlink(self.link)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "run"
    made.mkdir()
    os.chown(made, NOBODY, NOBODY)
    return made


@pytest.fixture
def victim(tmp_path):
    """A file that only root may read; asserts that it stays so."""
    path = tmp_path / "shadow"
    path.write_text("secret\n")
    path.chmod(0o600)
    yield path
    status = path.stat()
    assert (status.st_uid, status.st_mode & 0o777, path.read_text()) == (0, 0o600, "secret\n")


def pool(tmp_path, folder, **more):
    return {"command": sleeper(tmp_path), "listen": folder / "www.sock", "user": "nobody", "listen.group": None,
            "listen.mode": "0666", **more}


@pytest.mark.parametrize("wrapper", [[], ["/usr/bin/setpriv", "--bounding-set=-net_admin"]], ids=["all rights", "container"])
def test_at_reloads(manager, tmp_path, folder, victim, wrapper):
    """What is no longer the socket is left alone, and the log says so."""
    daemon = manager(pool(tmp_path, folder), wrapper=wrapper)
    with Swapper(folder, victim) as swapper:
        for i in range(8):
            daemon.rewrite({"www": pool(tmp_path, folder, **{"listen.mode": "0660" if i % 2 else "0666", "listen.owner": "root" if i % 2 else "nobody"})})
            daemon.control("reload", "--wait")  # fails if it must listen anew and finds a link
        wait_until(lambda: swapper.swaps > 100, "swaps")
    for path in (swapper.path, swapper.aside):
        if os.path.lexists(path):
            path.unlink()
    assert daemon.control("reload", "--wait").returncode == 0 and (folder / "www.sock").is_socket()


@pytest.mark.parametrize("wrapper", [[], ["/usr/bin/setpriv", "--bounding-set=-net_admin"]], ids=["all rights", "container"])
def test_at_the_start(tmp_path, folder, victim, wrapper):
    """The delay gives the swap all the time it needs, between bind and the change of owner."""
    if not os.path.exists("/usr/bin/strace"):
        pytest.skip("strace is not installed")
    delay = ["/usr/bin/strace", "-D", "-qq", "-o", "/dev/null", "-e", "trace=bind", "-e", "inject=bind:delay_exit=50000"]
    with Swapper(folder, victim):
        daemon = Manager(tmp_path, pool(tmp_path, folder), wrapper=[*wrapper, *delay]).start(wait=False)
        wait_until(lambda: "ready" in daemon.log() or daemon.popen.poll() is not None, "the start or its end")
    if daemon.popen.poll() is None:
        assert (folder / "www.sock").stat().st_uid == NOBODY and (folder / "www.sock").stat().st_mode & 0o777 == 0o666
        daemon.stop()
    else:
        assert "cannot find the file that was made for" in daemon.log()
        for path in folder.iterdir():
            path.unlink()
