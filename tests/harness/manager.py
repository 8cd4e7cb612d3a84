"""A private manager, `overtime`, in a directory of its own."""

import os
import re
import signal
import subprocess

from . import build, process
from .address import Address, as_address
from .wait import wait_until

WRITER = "overtime-access"
STATUS = "overtime-status"
TRACER = "overtime-trace"
READY = re.compile(r"\bready\b")


class Manager:
    """Writes an ini file, starts the daemon in the foreground, ends it.

    pool     directives of the one pool, named `www`, or
    pools    {name: directives} for several, or
    text     the configuration as a whole (then `listen` says where its pools listen, if anywhere).
    settings directives of [global].
    program  the program to run; by default the built one.
    wrapper  words before its command: a program that executes it.
    Directives that are not given have their defaults, except what no test can do without: where the
    manager and its pools write and listen, pm.max_children, which is required, and the three that
    _compose() explains.
    """

    def __init__(
        self,
        directory,
        pool=None,
        pools=None,
        settings=None,
        text=None,
        listen=(),
        arguments=(),
        env=None,
        name="overtime",
        program=None,
        wrapper=(),
    ):
        self.directory = directory
        self.program = program or build.OVERTIME
        self.wrapper = list(wrapper)
        self.ini_path = directory / f"{name}.ini"
        self.log_path = directory / f"{name}.log"
        self.output_path = directory / f"{name}.out"
        self.control_path = directory / f"{name}.ctl"
        self.addresses = {}
        self.arguments = [str(word) for word in arguments]
        self.environment = dict(
            os.environ, **build.sanitizer_environment(directory), **(env or {})
        )
        self.popen = None
        self.passed = ()  # further descriptors that the daemon inherits
        self._told = False  # was told to end by send_signal()
        if text is None:
            text = self._compose(pools or {"www": pool or {}}, settings or {})
        else:
            self.addresses = {str(at): as_address(at) for at in listen}
        self.write(text)

    def _compose(self, pools, settings):
        """The ini file's text; notes where the pools listen."""
        base = {"error_log": self.log_path, "control.listen": self.control_path}
        if os.geteuid() != 0:
            # Leaves no core file, and keeps /proc/PID/fd of the workers readable for us.
            base["rlimit_core"] = 1
        lines = ["[global]"]
        lines += [f"{key} = {value}" for key, value in {**base, **settings}.items()]
        for name, given in pools.items():
            base = {
                "listen": Address.make("unix", self.directory, name),
                "pm.max_children": 1,
            }
            self.addresses[name] = as_address(given.get("listen", base["listen"]))
            if os.geteuid() == 0:
                base["user"] = "root"  # a manager of root refuses to guess it
                if self.addresses[name].is_unix:
                    base["listen.group"] = "www-data"  # Apache does not run as root
            # The workers' environment is clear, and sanitizers read theirs there.
            for key, value in build.sanitizer_environment(self.directory).items():
                base[f"env[{key}]"] = f'"{value}"'
            directives = {**base, **given}
            lines.append(f"[{name}]")
            lines += [f"{key} = {value}" for key, value in directives.items() if value is not None]
        return "\n".join(lines) + "\n"

    def write(self, text):
        """Replaces the configuration file."""
        self.ini_path.write_text(text)

    def rewrite(self, pools, settings=None):
        """Replaces it by one that is composed in the same way."""
        self.write(self._compose(pools, settings or {}))

    # Life

    def start(self, wait=True):
        """Starts the daemon and waits until its log says that it is ready."""
        command = [*self.wrapper, str(self.program), "-c", str(self.ini_path), "-F"]
        if os.geteuid() == 0:
            command.append("-R")
        self._told = False
        with open(self.output_path, "ab") as output:
            self.popen = subprocess.Popen(
                command + self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                pass_fds=self.passed,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        wait_until(
            lambda: READY.search(self.log()) or self.popen.poll() is not None,
            lambda: f"the manager's readiness; its log:\n{self.log()}",
        )
        assert self.popen.poll() is None, (
            f"the manager ended with {self.popen.returncode}; its log:\n{self.log()}"
            f"\nits configuration:\n{self.ini_path.read_text()}"
        )

    def stop(self, number=None, status=0):
        """Ends the daemon; asserts its exit status and that nothing is left of it.

        By default with TERM; after send_signal(), only waits for its end.
        """
        if self.popen is None:
            return
        workers = self.workers()
        if number is None and not self._told:
            number = signal.SIGTERM
        ended = process.end(self.popen, number)
        assert ended == status, f"the manager ended with {ended}; its log:\n{self.log()}"
        left = [pid for pid in workers if process.alive(pid)]
        assert not left, f"workers outlived the manager: {left}; its log:\n{self.log()}"
        sockets = [at.path for at in self.addresses.values() if at.is_unix]
        sockets.append(str(self.control_path))
        left = [path for path in sockets if os.path.exists(path)]
        assert not left, f"sockets not unlinked: {left}"
        self.popen = None

    def kill(self):
        """Kills its remaining processes, for a failed test."""
        if self.popen is None:
            return
        workers = self.workers()
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        for pid in workers:
            process.kill_and_reap(pid)
        self.popen = None

    def send_signal(self, number):
        self._told |= number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
        self.popen.send_signal(number)

    # Looks

    @property
    def pid(self):
        return self.popen.pid

    @property
    def address(self):
        """The address of the first pool."""
        return next(iter(self.addresses.values()))

    def log(self):
        """The error log, and what it wrote to its standard output and error."""
        parts = []
        for path in (self.output_path, self.log_path):
            if path.exists():
                parts.append(path.read_text(errors="replace"))
        return "".join(parts)

    def wait_log(self, pattern, count=1, limit=None):
        """Waits until `pattern` (a regular expression) is in the log `count` times; the last match."""
        regex = re.compile(pattern, re.MULTILINE)
        return wait_until(
            lambda: list(regex.finditer(self.log()))[count - 1 : count],
            lambda: f"{count} x {pattern!r} in the log:\n{self.log()}",
            limit,
        )[0]

    def workers(self):
        """Pids of the live workers, of all pools."""
        if self.popen is None or self.popen.poll() is not None:
            return []
        live = [pid for pid in process.children(self.pid) if process.alive(pid)]
        return [pid for pid in live if process.name(pid) not in (WRITER, STATUS, TRACER)]

    def status_workers(self):
        """Pids of the processes that answer on `pm.status_listen`."""
        live = [pid for pid in process.children(self.pid) if process.alive(pid)]
        return [pid for pid in live if process.name(pid) == STATUS]

    def writer(self):
        """Pid of the process that writes the access logs, or None."""
        live = [pid for pid in process.children(self.pid) if process.name(pid) == WRITER]
        return live[0] if live else None

    def wait_workers(self, count, without=()):
        """Waits until there are `count` workers, none of them in `without`; returns them."""
        def whole():
            found = self.workers()
            return found if len(found) == count and not set(found) & set(without) else None

        return wait_until(whole, lambda: f"{count} workers; the log:\n{self.log()}")

    def descriptor_count(self):
        """Counted at a moment when it reads no file of /proc: it looks at its workers time and again."""
        def look():
            found = process.descriptors(self.pid)
            return not any(target.startswith("/proc/") for target in found.values()) and found

        return len(wait_until(look, "the manager to hold no file of /proc"))

    def control(self, *words, check=False):
        """Runs overtimectl against this daemon: a CompletedProcess with text."""
        return subprocess.run(
            [str(build.OVERTIMECTL), "-s", str(self.control_path), *map(str, words)],
            capture_output=True,
            text=True,
            timeout=60,
            check=check,
            env=self.environment,
        )
