"""Which users may command the manager: decided by the socket's mode and the client's credentials."""

import os
import pwd
import subprocess

import pytest

from harness import build
from harness.worker_script import is_root, sleeper

pytestmark = pytest.mark.skipif(not is_root(), reason="only root can pose as somebody else")


def ask(daemon, tool, user, group="nogroup", groups=()):
    return subprocess.run(
        [str(tool), "-s", str(daemon.control_path), "ping"], user=user, group=group, extra_groups=list(groups),
        capture_output=True, text=True, timeout=60, check=False, env=daemon.environment,
    )


@pytest.fixture
def tool(tmp_path):
    """overtimectl in a place that every user can reach."""
    path = tmp_path / "ctl"
    path.write_bytes(build.OVERTIMECTL.read_bytes())
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("settings, group, groups, served", [
    ({}, "nogroup", (), False),
    ({"control.mode": "0660", "control.group": "www-data"}, "nogroup", (), False),
    ({"control.mode": "0660", "control.group": "www-data"}, "www-data", (), True),
    ({"control.mode": "0660", "control.group": "www-data"}, "nogroup", ("www-data",), True),
    ({"control.mode": "0640", "control.group": "www-data"}, "www-data", (), False),
    ({"control.owner": "nobody"}, "nogroup", (), True),
    ({"control.owner": "nobody", "control.mode": "0400"}, "nogroup", (), False),
    ({"control.mode": "0666"}, "nogroup", (), True),
])
def test_a_mode_changed_by_hand_has_no_effect(manager, tool, tmp_path, settings, group, groups, served):
    """The configuration decides, and both sides report the refusal."""
    daemon = manager({"command": sleeper(tmp_path)}, settings=settings)
    os.chmod(daemon.control_path, 0o666)
    nobody = pwd.getpwnam("nobody").pw_uid
    answers = [ask(daemon, tool, "nobody", group, groups) for _ in range(3)]
    refusal = f"user {nobody} may not command this manager: see `control.owner`, `control.group` and `control.mode`"
    for answer in answers:
        if served:
            assert (answer.returncode, answer.stderr) == (0, "")
        else:
            assert answer.returncode == 1 and refusal in answer.stderr
    assert daemon.log().count(f"WARNING: control: refused: {refusal}") == (0 if served else 1), "once an episode"
    assert daemon.control("ping").returncode == 0, "root is served"
    if not served:
        ask(daemon, tool, "nobody", group, groups)
        daemon.wait_log("control: refused", count=2)
