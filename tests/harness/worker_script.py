"""Workers that need no library and speak no FastCGI: small scripts in the test's directory."""

import os

from harness.wait import wait_until


def script(directory, body, name="script", shell="/bin/sh"):
    """Writes a program and returns its path."""
    path = directory / name
    path.write_text(f"#!{shell}\n{body}\n")
    path.chmod(0o755)
    return path


def sleeper(directory):
    """A worker that does nothing and ends at any signal."""
    return script(directory, "exec sleep 100000", "sleeper")


def wait_file(path, what="the worker's file"):
    """Waits until `path` holds a whole line and returns its text."""
    def read():
        try:
            text = path.read_text(errors="replace")
        except FileNotFoundError:
            return None
        return text if text.endswith("\n") else None

    return wait_until(read, f"{what}: {path}")


def status_field(pid, name):
    """A line of /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(name + ":"):
                return line.split(":", 1)[1].strip()
    raise KeyError(name)


def is_root():
    return os.geteuid() == 0
