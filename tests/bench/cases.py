"""The table of all cases: what is run, what is shown, and what is promised."""

from . import cost, manage, serve
from .contestants import OURS, PEERS
from .sheet import Case, Column, Target

RATE = Column("rate", "1000/s", 1, 1000)
P50, P99, MOST = Column("p50", "p50 ms"), Column("p99", "p99 ms"), Column("max", "max ms")
CPU = Column("cpu", "CPU us", 1)
FAILED = Column("failed", "failed", 0)
SERVED = (RATE, P50, P99, CPU, FAILED)


def ahead():
    """Not below any other server."""
    return tuple(Target(f"{name}: throughput to the best peer's", (name, "rate"), at_least=1,
                        to=[(peer, "rate") for peer in PEERS]) for name in OURS)


def not_behind(text, column, names=OURS):
    """The same for values that should be small."""
    return tuple(Target(f"{name}: {text} to the best peer's", (name, column), at_most=1,
                        to=[(peer, column) for peer in PEERS]) for name in names)


def kept_whole(*rows):
    return tuple(Target(f"{row}: requests that failed", (row, "failed"), at_most=0) for row in rows)


def compared(text, row, bound):
    return tuple(Target(f"{name}: throughput to {text}", (name, "rate"), at_least=bound, to=[(row, "rate")])
                 for name in OURS)


def direct(workers, clients):
    return Case(
        f"hello-{workers}w-{clients}c", f"hello, directly, {workers} workers, {clients} clients",
        serve.direct(workers, clients), SERVED, "libfcgi", "rate", (*ahead(), *kept_whole(*OURS)), drawn=clients == 16)


def nginx(workers):
    return Case(
        f"nginx-{workers}w", f"hello behind nginx, {workers} workers, 16 HTTP clients", serve.behind(workers, 16),
        SERVED, "libfcgi", "rate",
        (*compared("libfcgi's", "libfcgi", 1.15), *compared("PHP-FPM's", "php", 1.4),
         *compared("the bare loop's", "floor", 0.9), *ahead(), *kept_whole(*OURS)), drawn=True)


def bodies(name, title, query, **options):
    return Case(
        name, title, serve.direct(4, 4, names=serve.DIRECT[1:], query=query, **options), SERVED, "libfcgi", "rate",
        (*ahead(), *kept_whole(*OURS)))


def kept(workers):
    return Case(
        f"kept-{workers}w", f"connections kept behind nginx, {workers} workers, {workers} HTTP clients",
        serve.kept(workers, workers),
        (Column("closed", "1000/s, closed", 1, 1000), Column("kept", "1000/s, kept", 1, 1000), Column("gain", "gain"),
         FAILED),
        targets=(*(Target(f"{name}: gain by keeping connections", (name, "gain"), at_least=1.3) for name in OURS),
                 *kept_whole(*OURS)))


def tail(name, title, workers, clients, web):
    columns = tuple(Column(f"{rank} {share}", f"{heading} {share}%") for share in serve.SHARES
                    for rank, heading in (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9")))
    bounds = ((50, 0.6), (80, 0.25)) if not web else ((50, 1), (80, 1))
    return Case(
        name, title, serve.tail(workers, clients, web), (*columns, FAILED),
        targets=(*(Target(f"{row}: p99 at {share} % to libfcgi's", (row, f"p99 {share}"), at_most=bound,
                          to=[("libfcgi", f"p99 {share}")]) for row in OURS for share, bound in bounds),
                 *kept_whole(*OURS)))


PAGE = 100_000
BODY = 1_000_000
GROWING = (("death to answer", "death"), ("manager's CPU of a death", "cpu"),
           ("manager's CPU of a status", "status cpu"))

CASES = (
    Case("hello-1w-4c", "hello, directly, 1 worker, 4 clients; worker and generator on a core each",
         serve.direct(1, 4, pinned=True), SERVED, "libfcgi", "rate",
         (*compared("libfcgi's", "libfcgi", 4.5),
          *compared("the bare loop's", "floor", 0.9),
          *(Target(f"{name}: CPU of a request to the bare loop's", (name, "cpu"), at_most=1.4, to=[("floor", "cpu")])
            for name in OURS),
          *ahead(), *kept_whole(*OURS)), drawn=True),
    direct(2, 16), direct(4, 16), direct(8, 16), direct(4, 4), direct(4, 64), direct(4, 256),
    nginx(2), nginx(4), nginx(8),
    tail("tail", "ms to the answer in the open loop, directly, 4 workers, at shares of libfcgi's best rate", 4, 16, False),
    tail("tail-nginx", "ms to the answer in the open loop behind nginx, 4 workers, at shares of libfcgi's best rate", 4, 16,
         True),
    bodies("answer-100k", "100 KB answer, directly, 4 workers, 4 clients", f"write={PAGE}", length=PAGE, pattern=True),
    Case("nginx-answer-100k", "100 KB answer behind nginx, 4 workers, 16 HTTP clients",
         serve.behind(4, 16, f"?write={PAGE}", PAGE, serve.BEHIND[2:]), SERVED, "libfcgi", "rate",
         (*ahead(), *kept_whole(*OURS))),
    bodies("post-read", "1 MB POST that the application reads, directly, 4 workers, 4 clients", "read", body=BODY),
    bodies("post-unread", "1 MB POST that the application leaves unread, directly, 4 workers, 4 clients", "",
           body=BODY),
    kept(4), kept(8),
    Case("kept-starvation", "connections kept behind nginx, 4 workers, 16 HTTP clients", serve.kept(4, 16),
         (Column("p99 closed", "p99 ms, closed"), Column("p99 kept", "p99 ms, kept"),
          Column("worse", "kept to closed", 1), Column("most", "max ms, kept", 1),
          Column("kept", "1000/s, kept", 1, 1000), FAILED),
         targets=(*(Target(f"{name}: p99 of kept to that of new connections", (name, "worse"), at_most=3)
                    for name in OURS),
                  *kept_whole(*OURS))),
    Case("finish", "50/s, 20 workers, half of the requests work on for 200 ms: time to answer", serve.finish,
         (P50, Column("p50 without", "p50 ms, no work"), P99, Column("p99 without", "p99 ms, no work"),
          Column("p50 alone", "p50 ms, none works"), FAILED),
         targets=(*(Target(f"{name}: p50 to that without work", (name, "p50"), at_most=1.05, to=[(name, "p50 without")])
                    for name in OURS),
                  *(Target(f"{name}: p99 to that without work", (name, "p99"), at_most=1.2, to=[(name, "p99 without")])
                    for name in OURS), *kept_whole(*OURS))),
    Case("mixed", "100/s, 8 workers, every tenth request works on for 1 s: what the others wait", serve.mixed,
         (P50, P99, MOST, Column("control", "p99 ms, no work"), FAILED),
         targets=(*(Target(f"{name}: p99 of the plain ones to the control's", (name, "p99"), at_most=2,
                           to=[(name, "control")]) for name in OURS), *kept_whole(*OURS))),
    Case("cold", "first request on an ondemand pool without workers", manage.cold,
         (Column("first", "first ms"), Column("next", "next ms"), Column("over", "to start + request")),
         targets=(*(Target(f"{name}: first request to an empty program's start plus a warm request", (name, "over"),
                           at_most=1.5) for name in OURS), *not_behind("first request", "first"))),
    Case("burst", "20 requests of 300 ms at once on an ondemand pool without workers", manage.burst,
         (Column("last", "last answer ms", 0), Column("workers", "workers", 0), FAILED),
         targets=(*not_behind("last answer", "last"), *kept_whole(*OURS))),
    Case("reload", "reload under 500/s of 50 ms each, 50 workers", manage.reload,
         (FAILED, Column("p99", "p99 ms", 0), Column("max", "max ms", 0)),
         targets=(*kept_whole("linked"), *not_behind("slowest answer", "max", names=["linked"]))),
    Case("crash", "a lone worker dies by SIGSEGV", manage.crash,
         (Column("exists", "replacement ms"), Column("answers", "its answer ms")),
         targets=not_behind("time to the replacement's answer", "answers")),
    Case("memory", "20 idle workers that have served", manage.memory,
         (Column("pss", "PSS KiB a worker", 0), Column("manager", "PSS KiB, manager", 0)),
         targets=not_behind("a worker's memory", "pss")),
    Case("idle", "200 idle workers: the manager", manage.idle,
         (Column("woken", "wake-ups/min", 0), Column("cpu", "CPU ms/min")),
         targets=(Target("linked: wake-ups of the manager", ("linked", "woken"), at_most=0),)),
    Case("status", "status page on its own socket, 200 workers, all busy", manage.status,
         (Column("took", "ms"), Column("p99", "p99 ms")),
         targets=not_behind("time to the status", "took", names=["linked"])),
    Case("exec", "from fork to a worker's first answer, no manager", manage.exec_time, (Column("took", "ms"),),
         "empty", "took",
         (Target("linked: to fork and exec of an empty program", ("linked", "took"), at_most=1.3,
                 to=[("empty", "took")]),)),
    Case("scale", "a pool of one worker alone, and among 2,000 workers of other pools", manage.scale,
         (Column("death", "death to answer ms"), Column("cpu", "CPU ms a death"),
          Column("status", "overtimectl status ms"), Column("status cpu", "CPU ms a status")),
         targets=tuple(Target(f"{text} among others to that alone", ("among", column), at_most=1.2,
                              to=[("alone", column)]) for text, column in GROWING)),
    Case("calls", "system calls a request, by strace", cost.system_calls,
         (Column("calls", "new connection"), Column("waits", "waits"), Column("kept", "kept"),
          Column("kept waits", "waits, kept")),
         targets=(*(Target(f"{name}: calls on a new connection", (name, "calls"), at_most=4.02) for name in OURS),
                  *(Target(f"{name}: calls on a kept connection", (name, "kept"), at_most=2.02) for name in OURS))),
    Case("instructions", "user-space instructions a request, by callgrind", cost.instructions,
         (Column("closed", "new connection", 0), Column("kept", "kept", 0)), "libfcgi", "closed",
         tuple(Target(f"{name}: to libfcgi's", (name, "closed"), at_most=1.03, to=[("libfcgi", "closed")])
               for name in OURS)),
)
