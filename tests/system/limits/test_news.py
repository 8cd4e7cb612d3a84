"""ot_on_news: the library calls an interpreter's function in a signal handler; the interpreter acts later."""

import pytest

from harness import fastcgi
from harness.address import Address
from harness.totals import totals, wait_totals


@pytest.fixture
def pool(manager, app, tmp_path):
    def start(mode="run", threads=1, **directives):
        directives = {name.replace("__", "."): value for name, value in directives.items()}
        command = f"{app('life')} -m {mode} -t {threads} {tmp_path}"
        return manager({"command": command, "listen": Address.make("unix", tmp_path), **directives})

    return start


def evaluated(journal, name):
    """(the flag was set, after how many ms)"""
    flag, age = journal.wait("evaluated", name).detail.split()
    return flag == "1", float(age)


@pytest.mark.parametrize("wait", ["", ":wait"], ids=["busy", "waiting"])
@pytest.mark.parametrize("query", ["evaluate=60000", "text=x&finish&limit=1&evaluate=60000", "limit=1&evaluate=60000"])
def test_time_limit(pool, query, wait, journal):
    daemon = pool(max_execution_time="300ms", hard_timeout="20s")
    query = query.replace("60000", "60000" + wait)
    for number in range(2):
        fastcgi.request(daemon.address, query=f"id=a{number}&later=:end&news=on&{query}&checkpoint&note=rest")
        told, age = evaluated(journal, f"a{number}")
        assert told and (995 if "limit" in query else 295) <= age < 5000  # the limit is kept by another clock
        assert journal.wait("shutdown", f"a{number}").detail.endswith("status=2")
        assert not journal.events(f"a{number}", "note")


def test_registered_before_the_request(pool, journal):
    """It stays for all requests to come."""
    daemon = pool(max_execution_time="300ms", hard_timeout="20s")
    fastcgi.request(daemon.address, query="id=first&news=on&text=x")
    for number in range(3):
        assert fastcgi.request(daemon.address, query=f"id=a{number}&evaluate=60000&checkpoint").status == 504
        assert evaluated(journal, f"a{number}")[0]


@pytest.mark.parametrize("detection", ["checkpoint", "instant"])
@pytest.mark.parametrize("wait", ["", ":wait"], ids=["busy", "waiting"])
def test_client_that_leaves(pool, detection, wait, journal):
    daemon = pool(abort_detection=detection)
    for number in range(2):
        with fastcgi.Connection(daemon.address) as connection:
            query = f"id=a{number}&later=:end&news=on&evaluate=60000{wait}&checkpoint&note=rest"
            connection.send_request(fastcgi.cgi_params(query))
            journal.wait("evaluates", f"a{number}")
        assert evaluated(journal, f"a{number}")[0]
        assert journal.wait("shutdown", f"a{number}").detail.endswith("status=1")
        assert not journal.events(f"a{number}", "note")


def test_not_after_the_response(pool, journal):
    daemon = pool()
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&news=on&text=x&finish&evaluate=500:wait"))
        assert connection.read_response().text == "x"
    told, age = evaluated(journal, "a")
    assert not told and age >= 500


def test_not_with_write(pool, journal):
    """With it only failing output reports an abort."""
    daemon = pool(abort_detection="write")
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params("id=b&news=on&evaluate=500:wait"))
        journal.wait("evaluates", "b")
    told, age = evaluated(journal, "b")
    assert not told and age >= 500


@pytest.mark.parametrize("bailout", ["auto", "none"])
def test_until_the_status_was_looked_at(pool, bailout, journal):
    """Then no signal comes any more."""
    daemon = pool(max_execution_time="100ms", hard_timeout="20s", bailout=bailout)
    fastcgi.request(daemon.address, query="id=a&news=on&deaf=900&status&deaf=1500&doze=poll:600&text=x")
    first, second = [int(event.detail) for event in journal.events("a", "told")]
    assert 3 <= first <= 8 and second == 0
    assert journal.wait("status", "a").detail == "2"
    assert float(journal.wait("dozed", "a").detail.split()[1]) >= 600


def test_unregistered(pool, journal):
    daemon = pool(max_execution_time="100ms", hard_timeout="20s")
    fastcgi.request(daemon.address, query="id=a&news=on&news=off&evaluate=400:wait&text=x")
    assert not evaluated(journal, "a")[0]


def test_threads(pool, journal):
    """Each gets the news of its own request."""
    daemon = pool(threads=3, max_execution_time="0", hard_timeout="20s")
    fastcgi.request(daemon.address, query="id=first&news=on&text=x")
    quiet = fastcgi.Connection(daemon.address)
    with quiet:
        quiet.send_request(fastcgi.cgi_params("id=quiet&doze=poll:2500&text=x"))
        fastcgi.request(daemon.address, query="id=a&limit=1&evaluate=60000:wait&checkpoint")
        assert evaluated(journal, "a")[0]
        assert quiet.read_response().text == "x"
    assert float(journal.wait("dozed", "quiet").detail.split()[1]) >= 2500
    wait_totals(daemon, timed_out=1)
    assert totals(daemon)["died"] == 0
