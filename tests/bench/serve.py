"""Cases of requests: throughput, latency and processor time, directly and behind nginx."""

from . import measure
from .contestants import SERVING, Fcgid, Nginx
from .measure import CORES


def start(bench, names, workers, **given):
    """Contestants of these names with so many workers; `given`: {name: how to make it} instead."""
    services = {}
    for name in names:
        make = given.get(name, SERVING[name] if name in SERVING else None)
        service = bench.start(make, workers)
        if service is not None:
            services[name] = service
    return services


def rounds(bench, sheet, names, measured):
    """Each contestant in turn, round by round."""
    for _ in range(bench.rounds):
        for name in names:
            sheet.add(name, measured(name))
        bench.progress()


def warm(services, **options):
    for service in services.values():
        measure.direct(service, clients=8, count=200, **options)


DIRECT = ("floor", "libfcgi", "linked", "preloaded", "php", "uwsgi")


def direct(workers, clients, pinned=False, names=DIRECT, **options):
    """A case: load without a web server between. `pinned` rounds are longer, since most is promised for them."""
    def run(bench, sheet):
        services = start(bench, names, workers)
        core = None
        if pinned and len(CORES) > 1:
            for service in services.values():
                measure.pin(service.workers(), CORES[0])
            core = CORES[1]
        warm(services, **options)
        rounds(bench, sheet, services, lambda name: measure.direct(
            services[name], core, clients=clients, seconds=bench.seconds * (1 if pinned else 0.5), **options))

    return run


BEHIND = ("static", "floor", "libfcgi", "linked", "preloaded", "php", "uwsgi", "fcgid")


def own_protocol(directory, workers):
    return SERVING["uwsgi"](directory, workers, own=True)


def behind(workers, clients, query="", size=5, names=BEHIND):
    """A case: load through nginx, and for mod_fcgid through its Apache."""
    def run(bench, sheet):
        apart = ("static", "fcgid")
        services = start(bench, [name for name in names if name not in apart], workers, uwsgi=own_protocol)
        web = bench.start(lambda directory, _: Nginx(directory, services), workers)
        apache = bench.start(Fcgid, workers) if "fcgid" in names else None
        order = [name for name in names if name == "static" or name in services or (name == "fcgid" and apache)]

        def one(name):
            pids = services[name].workers() if name in services else apache.workers() if name == "fcgid" else ()
            return measure.behind(apache.port if name == "fcgid" else web.port, name + query, clients, bench.seconds,
                                  pids, size=size)

        warm({name: service for name, service in services.items() if not service.uwsgi})
        if apache:
            one("fcgid")  # which starts its workers then
        rounds(bench, sheet, order, one)

    return run


KEPT = ("libfcgi", "linked", "preloaded", "php")


def through(bench, services, name, clients, keep):
    """A round through its own nginx: connections that an idle nginx keeps open would hold workers in other rounds."""
    web = Nginx(bench.directory, services, keep=keep)
    try:
        web.start()
        return measure.behind(web.port, name, clients, bench.seconds)
    finally:
        web.stop()


def kept(workers, clients):
    """A case: connections to the application closed after each request, and kept."""
    def run(bench, sheet):
        services = start(bench, KEPT, workers)
        for _ in range(min(3, bench.rounds)):
            for name in services:
                before = through(bench, services, name, clients, 0)
                after = through(bench, services, name, clients, workers)
                sheet.add(name, {"closed": before["rate"], "kept": after["rate"],
                                 "gain": after["rate"] / before["rate"],
                                 "p99 closed": before["p99"], "p99 kept": after["p99"],
                                 "worse": after["p99"] / before["p99"], "most": after["max"],
                                 "failed": before["failed"] + after["failed"]})
            bench.progress()

    return run


FINISHING = ("libfcgi", "linked", "preloaded", "php")


def finish(bench, sheet):
    """A case: time to answer with and without 200 ms of post-response work, in random order, so that both meet
    the same workers at the same time; and alone, when one worker answers nearly all."""
    services = start(bench, FINISHING, 20)
    warm(services)
    kinds = [measure.load.Kind("plain", text="hello"), measure.load.Kind("work", query="work=200", text="hello")]
    for _ in range(min(3, bench.rounds)):
        for name, service in services.items():
            alone = measure.direct(service, rate=50, seconds=1.5)
            measure.direct(service, rate=75, seconds=0.5, query="work=200")  # until there are workers for both
            with measure.load.Run(service.address, kinds=kinds, rate=50, seconds=5.5,
                                  param=measure.script(service.address.path.rpartition("/")[0])) as running:
                report = running.result()
            plain, work = report["plain"], report["work"]
            sheet.add(name, {"p50": work.p50, "p99": work.p99, "p50 without": plain.p50, "p99 without": plain.p99,
                             "p50 alone": alone["p50"], "failed": report.failed + alone["failed"]})
        bench.progress()


def mixed(bench, sheet):
    """A case: a tenth of the requests has a second of post-response work; how long the others wait."""
    services = start(bench, FINISHING, 8)
    warm(services)
    plain = measure.load.Kind("plain", weight=9, text="hello")
    post = measure.load.Kind("post", query="work=1000", text="hello", weight=1)
    for name, service in services.items():
        control = measure.direct(service, rate=100, seconds=3)
        with measure.load.Run(service.address, kinds=[plain, post], rate=100, poisson=True, seconds=6,
                              param=measure.script(service.address.path.rpartition("/")[0])) as running:
            report = running.result()
        sheet.add(name, {"p50": report["plain"].p50, "p99": report["plain"].p99, "max": report["plain"].max,
                         "control": control["p99"], "failed": report.failed})
        bench.progress()


TAIL = ("floor", "libfcgi", "linked", "preloaded")
SHARES = (25, 50, 80)  # per cent of the best rate that libfcgi reaches with as many clients as wait for it


def tail(workers, clients, web=False):
    """A case: latency in the open loop, requests at random distances, at shares of libfcgi's best rate.

    The rate does not wait for answers, so that a stall of a worker is seen by every request that is due in it.
    """
    def run(bench, sheet):
        services = start(bench, TAIL, workers)
        nginx = bench.start(lambda directory, _: Nginx(directory, services), workers) if web else None
        warm(services)
        best = max(measure.direct(services["libfcgi"], clients=clients, seconds=bench.seconds)["rate"]
                   if nginx is None else measure.behind(nginx.port, "libfcgi", clients, bench.seconds)["rate"]
                   for _ in range(3))
        sheet.notes.append(f"the best rate of libfcgi: {best:,.0f}/s")
        for _ in range(bench.rounds):
            for name, service in services.items():
                row = {"failed": 0}
                for share in SHARES:
                    options = {"rate": best * share / 100, "poisson": True, "seconds": bench.seconds, "text": "hello",
                               "timeout": 10_000}
                    if nginx is None:
                        options["param"] = measure.script(service.address.path.rpartition("/")[0])
                    report = measure.load.run(service.address if nginx is None else f"127.0.0.1:{nginx.port}",
                                              http=f"/{name}" if nginx else None, **options)
                    row.update({f"p50 {share}": report.p50, f"p99 {share}": report.p99, f"p999 {share}": report.p999})
                    row["failed"] += report.failed
                sheet.add(name, row)
            bench.progress()

    return run
