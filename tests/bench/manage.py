"""Cases of the manager's own work: starting, replacing, reloading, idling, reporting."""

import json
import os
import signal
import statistics
import time

from harness import fastcgi, load, process
from harness.wait import now, wait_until

from . import measure
from .contestants import Overtime, Php
from .serve import start

def on_demand(workers):
    return {
        "linked": lambda directory, _: Overtime(directory, workers, pool={"pm": "ondemand",
                                                                         "pm.process_idle_timeout": "100ms"}),
        "preloaded": lambda directory, _: Overtime(directory, workers, preloaded=True, pool={
            "pm": "ondemand", "pm.process_idle_timeout": "100ms"}),
        "php": lambda directory, _: Php(directory, workers, **{"pm": "ondemand", "pm.process_idle_timeout": "1s"}),
    }


def all_gone(services):
    for name, service in services.items():
        wait_until(lambda: not service.workers(), f"the end of {name}'s idle workers")


def cold(bench, sheet):
    """The first request of an ondemand pool without workers, the next one, and what a start costs."""
    services = start(bench, ("linked", "preloaded", "php"), 4, **on_demand(4))
    for _ in range(bench.rounds):
        all_gone(services)
        for name, service in services.items():
            first = measure.first_request(service)
            sheet.add(name, {"first": first, "next": measure.first_request(service)})
        bare = statistics.median(measure.starts(3, "empty"))
        sheet.add("empty", {"first": bare})
        for name in services:
            warm = sheet.samples[name, "next"][-1]
            sheet.add(name, {"over": sheet.samples[name, "first"][-1] / (bare + warm)})
        bench.progress()


def burst(bench, sheet):
    """Twenty requests at once on a pool without workers."""
    services = start(bench, ("linked", "preloaded", "php"), 20, **on_demand(20))
    for _ in range(min(3, bench.rounds)):
        all_gone(services)
        for name, service in services.items():
            row = measure.direct(service, burst=20, query="sleep=300")
            sheet.add(name, {"last": row["max"], "workers": len(service.workers()), "failed": row["failed"]})
        bench.progress()


def told(number):
    return lambda service: os.kill(service.pid, number)


def each_worker(service):
    for pid in service.workers():
        os.kill(pid, signal.SIGUSR1)


RELOADS = {"linked": told(signal.SIGUSR2), "libfcgi": each_worker, "php": told(signal.SIGUSR2),
           "uwsgi": told(signal.SIGHUP)}


def reload(bench, sheet):
    """A reload during 500 requests a second of 50 ms each."""
    services = start(bench, RELOADS, 50, php=lambda directory, workers: Php(
        directory, workers, manager=["process_control_timeout = 10s"]))
    for _ in range(min(2, bench.rounds)):
        for name, service in services.items():
            with load.Run(service.address, rate=500, seconds=3, query="sleep=50", text="hello",
                          param=measure.script(service.address.path.rpartition("/")[0])) as running:
                time.sleep(1.2)
                RELOADS[name](service)
                report = running.result()
            sheet.add(name, {"failed": report.failed, "p99": report.p99, "max": report.max})
        bench.progress()


def crash(bench, sheet):
    """One worker: from its death by a signal to the answer of the next one."""
    services = start(bench, ("libfcgi", "linked", "preloaded", "php"), 1)
    for name, service in services.items():
        # multiwatch gives up a worker that died three times in a short time.
        for _ in range(2 if name == "libfcgi" else 7):
            before = service.workers()
            measure.first_request(service)
            wait_until(lambda: process.state(before[0]) == "S", "an idle worker")
            os.kill(before[0], signal.SIGSEGV)
            began = now()
            while process.children(service.pid) == before:
                pass  # a pause would be longer than the measured time
            exists = now() - began
            fastcgi.request(service.address)
            sheet.add(name, {"exists": exists * 1000, "answers": (now() - began) * 1000})
        bench.progress()


def memory(bench, sheet):
    """The memory of an idle worker that has served, shared pages by their share."""
    services = start(bench, ("libfcgi", "linked", "preloaded", "php", "uwsgi"), 20)
    for name, service in services.items():
        measure.direct(service, clients=20, count=2000)
        sizes = [measure.pss_kib(pid) for pid in service.workers()]
        sheet.add(name, {"pss": statistics.mean(sizes), "manager": measure.pss_kib(service.pid)})


def idle(bench, sheet):
    """200 idle workers: the activity of their manager."""
    services = start(bench, ("libfcgi", "linked", "php", "uwsgi"), 200)
    time.sleep(1)
    before = {name: (measure.wake_ups(service.pid), measure.cpu_ns([service.pid]))
              for name, service in services.items()}
    seconds = 10 if bench.rounds > 1 else 2
    time.sleep(seconds)
    for name, service in services.items():
        woken, used = before[name]
        sheet.add(name, {"woken": (measure.wake_ups(service.pid) - woken) * 60 / seconds,
                         "cpu": (measure.cpu_ns([service.pid]) - used) / 1e6 * 60 / seconds})
    sheet.note(f"Counted for {seconds} s, told for a minute.")


def ask_status(address):
    began = now()
    params = fastcgi.cgi_params("json", SCRIPT_NAME="/status", SCRIPT_FILENAME="/status")
    answer = fastcgi.request(address, params=params)
    assert "active" in answer.text, answer
    return (now() - began) * 1000


def status(bench, sheet):
    """The status page on a socket of its own while each of 200 workers is busy."""
    def pool(directory, name):
        return {"pm.status_path": "/status", "pm.status_listen": f"{directory}/{name}-status.sock"}

    services = start(
        bench, ("linked", "php"), 200,
        linked=lambda directory, workers: Overtime(directory, workers, pool=pool(directory, "linked")),
        php=lambda directory, workers: Php(directory, workers, **pool(directory, "php")))
    for name, service in services.items():
        directory = service.address.path.rpartition("/")[0]
        with load.Run(service.address, burst=200, query="sleep=2500", text="hello",
                      param=measure.script(directory)) as running:
            time.sleep(0.7)
            times = [ask_status(f"{directory}/{name}-status.sock") for _ in range(100)]
            running.result()
        for took in times:
            sheet.add(name, {"took": took})
        sheet.add(name, {"p99": sorted(times)[-2]})
        bench.progress()


def exec_time(bench, sheet):
    """From fork to the first answer of a worker without a manager, against an empty program."""
    path = bench.directory / "startup.sock"
    for _ in range(bench.rounds):
        sheet.add("empty", {"took": statistics.median(measure.starts(15, "empty"))})
        for name, program in (("libfcgi", "hello-plain"), ("linked", "hello-linked")):
            sheet.add(name, {"took": statistics.median(measure.starts(15, program, path))})
        bench.progress()


def deaths(daemon, address, count):
    """Kills the only worker repeatedly: ms to the next response, manager's CPU ms per death."""
    rows = []
    for _ in range(count):
        (pid,) = daemon.lone()
        wait_until(lambda: process.state(pid) == "S", "an idle worker")
        used, began = measure.cpu_ns([daemon.pid]), now()
        os.kill(pid, signal.SIGKILL)
        fastcgi.request(address)
        took = (now() - began) * 1000
        rows.append({"death": took, "cpu": (measure.cpu_ns([daemon.pid]) - used) / 1e6})
    return rows


class Crowd(Overtime):
    """A pool of one worker, alone or among many other pools."""

    def __init__(self, directory, pools, each):
        super().__init__(directory, 1, name="among" if pools else "alone")
        self.first = 1 + pools * each
        user = "user = root\n" if os.geteuid() == 0 else ""
        self.write(self.ini_path.read_text() + "".join(
            f"[p{number}]\ncommand = {measure.PROGRAMS / 'hello-linked'}\nlisten = {directory}/p{number}.sock\n"
            f"pm = static\npm.max_children = {each}\n{user}" for number in range(pools)))

    def lone(self):
        """The pid of the worker of the measured pool."""
        told = json.loads(self.control("--json", "workers", "www", check=True).stdout)
        return [worker["pid"] for worker in told["workers"]]


def scale(bench, sheet):
    """One pool alone, and the same among 2,000 workers of other pools: a death, and its status."""
    others = 200 if bench.rounds > 1 else 20
    services = {
        "alone": bench.start(lambda directory, _: Crowd(directory, 0, 0), 1),
        "among": bench.start(lambda directory, _: Crowd(directory, others, 10), 1),
    }
    for _ in range(bench.rounds):
        for name, service in services.items():
            for row in deaths(service, service.address, 3):
                sheet.add(name, row)
            began = now()
            used = measure.cpu_ns([service.pid])
            service.control("--json", "status", "www", check=True)
            sheet.add(name, {"status": (now() - began) * 1000,
                             "status cpu": (measure.cpu_ns([service.pid]) - used) / 1e6})
        bench.progress()

