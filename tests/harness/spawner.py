"""A plain spawner: workers that inherit a listening socket as descriptor 0, and no manager."""

import os
import signal
import subprocess

from . import build, process
from .address import as_address
from .wait import wait_until


class Spawner:
    """`count` processes of `command` (a list) on one listening socket."""

    def __init__(self, directory, command, listen, count=1, preload=False, env=None, backlog=511):
        self.address = as_address(listen)
        self.log_path = directory / f"spawner-{id(self):x}.log"
        self.expected = (0,)  # exit statuses that stop() accepts
        self._socket = self.address.listen(backlog)
        self._log = open(self.log_path, "ab")
        environment = dict(os.environ, **build.sanitizer_environment(directory), **(env or {}))
        if preload:
            environment["LD_PRELOAD"] = build.preload()
        self._command = [str(word) for word in command]
        self._environment = environment
        self.processes = [self.spawn() for _ in range(count)]

    def spawn(self):
        """One more worker, as a Popen."""
        return subprocess.Popen(
            self._command,
            stdin=self._socket,
            stdout=self._log,
            stderr=self._log,
            env=self._environment,
            close_fds=True,
        )

    def workers(self):
        """Pids of the live workers."""
        return [worker.pid for worker in self.processes if worker.poll() is None]

    def log(self):
        return self.log_path.read_text(errors="replace")

    def send_signal(self, number):
        for worker in self.processes:
            worker.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """Ends the workers and unlinks the socket; asserts that each ended as expected."""
        try:
            for worker in self.processes:
                # To end well, a worker must have installed its handler, or the signal kills it.
                if -number not in self.expected:
                    wait_until(
                        lambda worker=worker: worker.poll() is not None or process.catches(worker.pid, number),
                        "a worker to be past its start",
                    )
                if worker.poll() is None:
                    worker.send_signal(number)
            statuses = [process.end(worker, number) for worker in self.processes]
        finally:
            self.close()
        for status in statuses:
            assert status in self.expected, f"worker ended with {status}; its output:\n{self.log()}"

    def kill(self):
        """Kills the remaining processes."""
        for worker in self.processes:
            if worker.poll() is None:
                worker.kill()
                worker.wait()
        self.close()

    def close(self):
        self._log.close()
        self._socket.close()
        if self.address.is_unix and os.path.exists(self.address.path):
            os.unlink(self.address.path)
