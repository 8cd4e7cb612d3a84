"""`overtimectl workers` shows each thread of a worker."""

import json

from harness import fastcgi
from harness.wait import wait_until


def workers(daemon):
    answer = daemon.control("--json", "workers", check=True)
    return json.loads(answer.stdout)["workers"]


def test_each_thread_is_shown(manager, app, tmp_path, listen, journal):
    daemon = manager({"command": f"{app('worker')} -t 3 {tmp_path}", "listen": listen})
    wait_until(
        lambda: [t["state"] for t in workers(daemon)[0]["each"]] == ["idle"] * 3, "three idle threads"
    )
    with fastcgi.Connection(listen) as one, fastcgi.Connection(listen) as two:
        for connection, name in ((one, "a"), (two, "b")):
            connection.send_request(fastcgi.cgi_params(f"id={name}&label=job-{name}&wait=go&text=x"))
            journal.wait("wait", name)
        (worker,) = workers(daemon)
        assert worker["threads"] == 3 and worker["busy"] == 2 and worker["requests"] == 2
        shown = {t["label"]: (t["state"], t["requests"]) for t in worker["each"]}
        assert shown == {"job-a": ("running", 1), "job-b": ("running", 1), "": ("idle", 0)}
        text = daemon.control("workers", check=True).stdout
        assert "2 of 3 threads busy" in text
        assert [text.count(word) for word in ("thread 0", "thread 1", "thread 2")] == [1, 1, 1]
        journal.signal("go")
        assert one.read_response().complete and two.read_response().complete


def test_one_thread_is_the_worker(manager, app, tmp_path, listen):
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "listen": listen})
    wait_until(lambda: workers(daemon)[0]["state"] == "idle", "an idle worker")
    (worker,) = workers(daemon)
    assert [t["thread"] for t in worker["each"]] == [0]
    assert "thread" not in daemon.control("workers", check=True).stdout
