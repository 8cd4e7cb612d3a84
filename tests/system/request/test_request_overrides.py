"""Policies that the web server sets for one request: OVERTIME_VALUE and OVERTIME_ADMIN_VALUE."""

import pytest

from harness import fastcgi
from harness.address import Address
from harness.totals import totals
from harness.web import Apache, Nginx


@pytest.fixture
def pool(manager, app, tmp_path):
    def start(mode="run", **directives):
        directives = {name.replace("__", "."): value for name, value in directives.items()}
        listen = Address.make("unix", tmp_path)
        return manager({"command": f"{app('life')} -m {mode} {tmp_path}", "listen": listen, **directives})

    return start


def send(daemon, query, value=None, admin=None):
    """A request with these parameters, as a web server would send it."""
    more = {"OVERTIME_VALUE": value, "OVERTIME_ADMIN_VALUE": admin}
    more = {name: text for name, text in more.items() if text is not None}
    return fastcgi.request(daemon.address, fastcgi.cgi_params(f"id=a&later=:end&{query}", **more))


def ended(journal, name="a"):
    """(what the handler noted, the status in the end)."""
    status = int(journal.wait("shutdown", name).detail.rpartition("status=")[2])
    return [event.detail for event in journal.events(name, "note")], status


# What the values do

@pytest.mark.parametrize("parameter", ["value", "admin"])
@pytest.mark.parametrize("before", ["off", "on"])
def test_ignore_user_abort(pool, parameter, before, journal):
    daemon = pool(ignore_user_abort=before)
    send(daemon, "ignore=-1", **{parameter: f"ignore_user_abort={'off' if before == 'on' else 'on'}"})
    assert journal.events("a", "ignore")[0].detail == ("0" if before == "on" else "1")
    fastcgi.request(daemon.address, query="id=b&ignore=-1")
    usual = "1" if before == "on" else "0"
    assert journal.events("b", "ignore")[0].detail == usual, "it must not outlive its request"


@pytest.mark.parametrize("parameter", ["value", "admin"])
@pytest.mark.parametrize("text", ["max_execution_time=200ms", " max_execution_time = 200ms ; bailout = auto;"])
def test_max_execution_time(pool, parameter, text, journal):
    daemon = pool()
    assert send(daemon, "spin=60000&note=rest", **{parameter: text}).complete
    assert ended(journal) == ([], 2)
    daemon.wait_log("max_execution_time of 200 ms")


def test_max_execution_time_may_be_longer(pool, journal):
    daemon = pool(max_execution_time="200ms")
    send(daemon, "spin=600&note=rest", "max_execution_time=1m")
    assert ended(journal) == (["rest"], 0)


@pytest.mark.parametrize("parameter", ["value", "admin"])
def test_post_response_time_limit(pool, parameter, journal):
    daemon = pool()
    limit = {parameter: "post_response.time_limit=200ms"}
    assert send(daemon, "text=x&finish&spin=60000&note=rest", **limit).text == "x"
    assert ended(journal) == ([], 2)
    daemon.wait_log(r"post_response\.time_limit of 200 ms")


@pytest.mark.parametrize("parameter", ["value", "admin"])
@pytest.mark.parametrize(("bailout", "rest"), [("none", ["rest"]), ("auto", []), ("unwind", []), ("exit", [])])
def test_bailout(pool, parameter, bailout, rest, journal):
    daemon = pool(bailout="exit" if bailout == "none" else "none", max_execution_time="200ms")
    (pid,) = daemon.wait_workers(1)
    send(daemon, "spin=60000&note=rest", **{parameter: f"bailout={bailout}"})
    assert ended(journal) == (rest, 2)
    daemon.wait_workers(1, without=[pid] if bailout == "exit" else [])
    assert (pid in daemon.workers()) == (bailout != "exit")


def test_several_lines(pool, journal):
    """Separated by newlines or semicolons; the last line of a name counts; empty ones are ignored."""
    daemon = pool()
    text = "ignore_user_abort=off\nbailout=none;;max_execution_time=60s\n\n"
    text += "max_execution_time=200ms;ignore_user_abort=on\n"
    send(daemon, "ignore=-1&spin=60000&note=rest", text)
    assert ended(journal) == (["rest"], 2)
    assert journal.events("a", "ignore")[0].detail == "1"


# The administrator's

def test_application_cannot_override(pool, journal):
    daemon = pool()
    query = "ignore=1&ignore=-1&limit=60&spin=60000&note=rest"
    send(daemon, query, admin="ignore_user_abort=off;max_execution_time=200ms")
    assert ended(journal) == ([], 2)
    assert [event.detail for event in journal.events("a", "ignore")] == ["0", "0"]
    assert journal.events("a", "limit")[0].detail == "0", "ot_set_time_limit says that it did not"


def test_application_cannot_override_after_the_response(pool, journal):
    daemon = pool()
    send(daemon, "text=x&finish&limit=60&spin=60000&note=rest", admin="post_response.time_limit=200ms")
    assert ended(journal) == ([], 2)


def test_application_overrides_the_plain_value(pool, journal):
    daemon = pool()
    query = "ignore=1&ignore=-1&limit=60&spin=600&note=rest"
    send(daemon, query, "ignore_user_abort=off;max_execution_time=200ms")
    assert ended(journal) == (["rest"], 0)
    assert [event.detail for event in journal.events("a", "ignore")] == ["0", "1"]


def test_administrator_wins(pool, journal):
    """Whichever comes first; the plain value sets what the administrator's does not."""
    daemon = pool()
    for name, order in (("a", 1), ("b", -1)):
        values = [
            ("OVERTIME_VALUE", "max_execution_time=60s;ignore_user_abort=on"),
            ("OVERTIME_ADMIN_VALUE", "max_execution_time=200ms"),
        ][::order]
        params = fastcgi.cgi_params(f"id={name}&later=:end&ignore=-1&spin=60000&note=rest", **dict(values))
        fastcgi.request(daemon.address, params)
        assert ended(journal, name) == ([], 2)
        assert journal.events(name, "ignore")[0].detail == "1"


# Bad ones

BAD = [
    "nonsense", "=", "=on", "max_execution_time", "max_execution_time=", "max_execution_time=soon",
    "max_execution_time=-1", "max_execution_time=99999999999999999999", "ignore_user_abort=perhaps",
    "bailout=jump", "hard_timeout=0", "memory_limit=1G", "ignore_user_abort=on;bailout=jump",
    "ignore_user_abort=on\nx" + "y" * 5000, "ignore_user_abort=on;\1\2\x7f\x1b[31m=1",
]


@pytest.mark.parametrize("parameter", ["value", "admin"])
@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_malformed(pool, parameter, text, journal):
    """One line in the log, and nothing changes, not even by its well-formed lines."""
    daemon = pool(max_execution_time="60s")
    name = "OVERTIME_VALUE" if parameter == "value" else "OVERTIME_ADMIN_VALUE"
    assert send(daemon, "ignore=-1&spin=20&limit=60&note=rest&text=fine", **{parameter: text}).text == "fine"
    assert ended(journal) == (["rest"], 0)
    assert journal.events("a", "ignore")[0].detail == "0"
    assert journal.events("a", "limit")[0].detail == "1"
    daemon.wait_log(rf"/\?id=a.*\b{name} ignored: ")
    lines = [line for line in daemon.log().splitlines() if "ignored: " in line]
    assert len(lines) == 1
    assert all(character.isprintable() for character in lines[0])


def test_nothing_is_no_error(pool, journal):
    daemon = pool()
    for number, text in enumerate(["", ";", "\n;\n", "  "]):
        params = fastcgi.cgi_params(f"id=n{number}&text=x", OVERTIME_VALUE=text)
        assert fastcgi.request(daemon.address, params).text == "x"
    assert "ignored" not in daemon.log()


# Through web servers

VALUE = "ignore_user_abort=on;max_execution_time=200ms"
WAYS = {
    "nginx": (Nginx, {"location": 'fastcgi_param {name} "{text}";'}),
    "apache-setenv": (Apache, {"server": 'SetEnv {name} "{text}"'}),
    "apache-setenvif": (Apache, {"server": 'ProxyFCGISetEnvIf "true" {name} "{text}"'}),
    "apache-location": (
        Apache, {"server": '<Location "/">\nProxyFCGISetEnvIf "true" {name} "{text}"\n</Location>'},
    ),
}


def start(request, way, directory, listen, name=None):
    kind, options = WAYS[way]
    if kind.path() is None:
        pytest.skip(f"{kind.program} is not installed (packaging/install-deps test)")
    lines = {}
    if name:
        ((key, text),) = options.items()
        lines[key] = text.replace("{name}", name).replace("{text}", VALUE)
    server = kind(directory, listen, **lines).start()
    request.addfinalizer(server.stop)
    return server


@pytest.mark.parametrize("name", ["OVERTIME_VALUE", "OVERTIME_ADMIN_VALUE"])
@pytest.mark.parametrize("way", WAYS)
def test_from_a_web_server(request, pool, way, name, tmp_path, journal):
    daemon = pool()
    server = start(request, way, tmp_path, daemon.address, name)
    # A web server takes a response without a header for a failure, so there is one.
    answer = server.request("/?id=a&later=:end&ignore=-1&limit=60&text=x&flush&spin=700&note=rest")
    assert answer.complete
    admin = "ADMIN" in name
    assert ended(journal) == ([], 2) if admin else (["rest"], 0)
    assert journal.events("a", "ignore")[0].detail == "1"
    assert journal.events("a", "limit")[0].detail == ("0" if admin else "1")


@pytest.mark.parametrize(
    "header", ["OVERTIME_VALUE", "Overtime-Value", "OVERTIME_ADMIN_VALUE", "Overtime-Admin-Value"]
)
@pytest.mark.parametrize("way", ["nginx", "apache-setenv"])
def test_never_from_a_client(request, pool, way, header, tmp_path, journal):
    """A client sets none, neither by a header of any name nor by the query."""
    daemon = pool()
    server = start(request, way, tmp_path, daemon.address)
    headers = {header: VALUE, f"HTTP-{header}": VALUE}
    target = "/?id=a&later=:end&ignore=-1&spin=300&note=rest&text=x"
    target += f"&OVERTIME_VALUE={VALUE.replace(';', '%3B')}"
    assert server.request(target, headers=headers).text == "x"
    assert ended(journal) == (["rest"], 0)
    assert journal.events("a", "ignore")[0].detail == "0"
    assert totals(daemon)["timed_out"] == 0 and "ignored" not in daemon.log()
