"""The load generator (tests/bench/load.c) from a test.

A run is described by `pattern` options (rate=500, poisson=True, seconds=3; clients=4, count=1000;
burst=20) and by kinds of requests:

    report = load.run(address, rate=100, seconds=5, kinds=[
        Kind("plain", query="write=100", length=100, weight=9),
        Kind("post", query="write=2&finish&sleep=1000", length=2),
    ])
    report.failed, report["plain"].p99

Times of the report are milliseconds, points in time those of time.monotonic(), in seconds.
"""

import json
import signal
import subprocess

from . import build
from .wait import LIMIT, now

PROGRAM = build.BUILD / "load"


class Kind:
    """A kind of request; options as the program has them, `_` for `-`."""

    def __init__(self, name="all", to=None, **options):
        self.name = name
        self.options = dict(options, **({} if to is None else {"to": to}))

    def words(self):
        return ["--kind", self.name, *option_words(self.options)]


def option_words(options):
    words = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif isinstance(value, (list, tuple)):
            for one in value:
                words += [option, str(one)]
        elif value is not None and value is not False:
            words += [option, str(value)]
    return words


class Count:
    """The outcome of some requests: `count`, `ok`, `failed`, `failures` by kind, and latencies in ms."""

    def __init__(self, raw):
        self.raw = raw
        self.count, self.ok, self.failed = raw["count"], raw["ok"], raw["failed"]
        self.failures = {name: number for name, number in raw["failures"].items() if number}
        latency = {name: value / 1000 for name, value in raw["latency_us"].items()}
        self.mean, self.p50, self.p90 = latency["mean"], latency["p50"], latency["p90"]
        self.p95, self.p99, self.p999, self.max = latency["p95"], latency["p99"], latency["p99.9"], latency["max"]

    def __repr__(self):
        failures = f" FAILED {self.failures}" if self.failures else ""
        return (
            f"{self.ok} of {self.count} ok, ms p50 {self.p50:.2f} p95 {self.p95:.2f} "
            f"p99 {self.p99:.2f} max {self.max:.2f}{failures}"
        )


class Report(Count):
    """A whole run; report["name"] is the Count of one kind."""

    def __init__(self, raw):
        super().__init__(raw)
        self.kinds = {name: Count(value) for name, value in raw["kinds"].items()}
        self.seconds, self.rate = raw["seconds"], raw["rate"]
        self.begin, self.end = raw["begin"], raw["end"]
        self.lag = raw["lag_us"]["max"] / 1000  # how late the generator itself was at worst
        self.failed_requests, self.worst = raw["failed_requests"], raw["worst"]

    def __getitem__(self, name):
        return self.kinds[name]

    def __repr__(self):
        parts = [f"{name}: {count!r}" for name, count in self.kinds.items()]
        parts.append(f"rate {self.rate:.0f}/s, own lag at most {self.lag:.1f} ms")
        for name in ("backlog_full", "reconnects"):
            if self.raw[name]:
                parts.append(f"{name} {self.raw[name]}")
        if self.failed_requests:
            parts.append(f"first failures: {self.failed_requests[:3]}")
        return "; ".join(parts)


class Run:
    """A generator at work. Use it as a context, or call result()."""

    def __init__(self, to=None, kinds=(), seconds=None, **options):
        words = option_words({"to": to, "for": seconds, **options})
        for kind in kinds:
            words += kind.words()
        self.command = [str(PROGRAM), *words]
        self.popen = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.began = now()  # about
        self.limit = LIMIT + (seconds or 0) * 2
        self.report = None

    @property
    def running(self):
        return self.popen.poll() is None

    def stop(self):
        """Starts no more requests; those that have begun are finished."""
        if self.running:
            self.popen.send_signal(signal.SIGTERM)

    def result(self):
        """Waits for the end: the Report."""
        if self.report is None:
            try:
                out, err = self.popen.communicate(timeout=self.limit)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"the load generator did not end: {self.command}") from None
            assert self.popen.returncode == 0, f"{self.command}: {err or self.popen.returncode}"
            self.report = Report(json.loads(out))
        return self.report

    def kill(self):
        if self.running:
            self.popen.kill()
            self.popen.communicate()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.result()
        else:
            self.kill()


def run(to=None, kinds=(), seconds=None, **options):
    """A complete run; returns its Report."""
    with Run(to, kinds, seconds, **options) as running:
        return running.result()
