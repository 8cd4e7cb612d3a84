"""The status page and ping on the pool's own socket."""

import json
import subprocess
import xml.etree.ElementTree as xml

import pytest

from harness import build, fastcgi
from harness.totals import totals

PHP = {
    "pool": str, "process manager": str, "start time": int, "start since": int, "accepted conn": int,
    "listen queue": int, "max listen queue": int, "listen queue len": int, "idle processes": int,
    "active processes": int, "total processes": int, "max active processes": int,
    "max children reached": int, "slow requests": int,
}
PHP_PROCESS = {
    "pid": int, "state": str, "start time": int, "start since": int, "requests": int,
    "request duration": int, "request method": str, "request uri": str, "content length": int,
    "user": str, "script": str, "last request cpu": (int, float), "last request memory": int,
}


def ask(address, query="", path="/status", **more):
    return fastcgi.request(address, params=fastcgi.cgi_params(query, SCRIPT_NAME=path, **more))


@pytest.fixture
def pool(manager, app, tmp_path, listen):
    return manager({
        "command": f"{app('worker')} {tmp_path}", "listen": listen, "pm.max_children": 2,
        "post_response.max_children": 0,  # no extra worker
        "pm.status_path": "/status", "ping.path": "/ping", "ping.response": "here I am",
    })


def page(address, query="", **more):
    """The body of a response with status 200."""
    answer = ask(address, query, **more)
    assert answer.status == 200 and answer.protocol_status == 0, answer.stdout
    return answer.text


def lines(text):
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def test_text(pool):
    fields = {name: value.strip() for name, value in lines(page(pool.address)).items()}
    assert fields["pool"] == "www" and fields["process manager"] == "static"
    assert (fields["total processes"], fields["max children reached"]) == ("2", "0")
    assert set(PHP) <= set(fields), sorted(set(PHP) - set(fields))
    assert fields["generation"] == "1"
    full = page(pool.address, "full")
    assert full.count("*" * 24) == 2 and full.count("\npid:") == 2


def test_json_has_what_exporters_expect(pool):
    found = json.loads(page(pool.address, "json&full"))
    wrong = {key: found.get(key) for key, kind in PHP.items() if type(found.get(key)) is not kind}
    assert not wrong
    assert len(found["processes"]) == 2
    for process in found["processes"]:
        wrong = {k: process.get(k) for k, kind in PHP_PROCESS.items() if not isinstance(process.get(k), kind)}
        assert not wrong
    assert "processes" not in json.loads(page(pool.address, "json"))


def test_json_is_what_overtimectl_says(pool):
    fastcgi.request(pool.address, query="id=a&text=x&finish")
    ours = json.loads(page(pool.address, "json&full"))
    theirs = totals(pool)
    assert list(ours["overtime"]) == list(theirs)
    assert ours["overtime"]["requests"] == theirs["requests"] == 1
    told = json.loads(pool.control("--json", "workers").stdout)["workers"]
    assert [list(worker) for worker in ours["workers"]] == [list(worker) for worker in told]
    assert [worker["pid"] for worker in ours["workers"]] == [worker["pid"] for worker in told]
    assert sorted(worker["pid"] for worker in told) == sorted(pool.workers())


def test_xml(pool):
    root = xml.fromstring(page(pool.address, "xml&full"))
    assert root.findtext("pool") == "www" and root.findtext("total-processes") == "2"
    assert len(root.findall("processes/process")) == 2
    assert root.findtext("overtime/max-children") == "2"
    assert len(root.findall("overtime/histogram[@name='answer']/bucket")) == 29


def test_html_loads_nothing_from_outside(pool):
    answer = ask(pool.address, "html")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "?json&full" in answer.text and "//" not in answer.text.replace("</", "").split("<script>")[0]


def test_ping(pool):
    assert ask(pool.address, path="/ping").text == "here I am"
    assert ask(pool.address, path="/ping", REQUEST_METHOD="HEAD").text == ""
    assert "json" not in ask(pool.address, path="/status", REQUEST_METHOD="HEAD").text


def test_the_application_neither_sees_nor_counts_them(pool):
    for path in ("/status", "/ping") * 5:
        ask(pool.address, path=path)
    assert totals(pool)["requests"] == 0
    for path in ("/status/", "/statu", "/ping/x", "/"):
        assert ask(pool.address, "id=a&text=mine", path=path).text == "mine"
    assert totals(pool)["requests"] == 4 and totals(pool)["dropped"] == 0


def test_where_no_script_name_is_given(pool):
    params = fastcgi.cgi_params(REQUEST_URI="/status?json", SCRIPT_NAME="", QUERY_STRING="")
    assert json.loads(fastcgi.request(pool.address, params=params).text)["pool"] == "www"


def test_kept_connections_go_on(pool):
    with fastcgi.Connection(pool.address) as connection:
        for query, path, body in (("json", "/status", b""), ("", "/ping", b"unread" * 100), ("id=a&text=y", "/", b"")):
            params = fastcgi.cgi_params(query, SCRIPT_NAME=path, method="POST" if body else "GET", body=body)
            connection.send_request(params, body, keep=True)
            answer = connection.read_response()
            assert answer.protocol_status == 0 and answer.status == 200
            assert answer.after_end == b""


def test_without_paths_they_are_the_applications(manager, app, tmp_path):
    pool = manager({"command": f"{app('worker')} {tmp_path}"})
    assert ask(pool.address, "id=a&text=mine").text == "mine"


@pytest.mark.parametrize("line, error", [
    ("pm.status_path = /a?b", "without a query"),
    ("pm.status_path = " + "/x" * 200, "255 fit"),
    ("ping.path = /s\npm.status_path = /s", "is pm.status_path as well"),
])
def test_paths_that_cannot_be(tmp_path, line, error):
    text = f"[global]\nerror_log = {tmp_path}/log\n[www]\nuser = root\nlisten = {tmp_path}/s\n" \
        f"command = /bin/true\npm = static\npm.max_children = 1\n{line}\n"
    path = tmp_path / "x.ini"
    path.write_text(text)
    ran = subprocess.run([str(build.OVERTIME), "-R", "-t", "-c", str(path)], capture_output=True, text=True)
    assert ran.returncode == 78 and error in ran.stderr + ran.stdout


HOSTILE = "/?id=h&x=<script>alert('1')</script>&y=\"&quot;\\\x01\x7f\x1b[31m\xff\u2028\ufffe]]>-->"


def test_hostile_strings_do_no_harm(pool, journal, app):
    with fastcgi.Connection(pool.address) as connection:
        params = fastcgi.cgi_params("id=h&label=%3Cimg%20src%3D%22x%22%3E&text=x&flush&wait=go")
        params["REQUEST_URI"] = HOSTILE
        params["REMOTE_USER"] = "<b>&\"eve"
        connection.send_request(params)
        journal.wait("wait", "h")
        text = page(pool.address, "full")
        assert "\x01" not in text and "\x1b" not in text
        rows = json.loads(page(pool.address, "json&full"))["workers"]
        (row,) = [row for row in rows if row["uri"]]
        assert "<script>" in row["uri"] and row["user"] == "<b>&\"eve"
        root = xml.fromstring(page(pool.address, "xml&full"))
        (uri,) = [e.text for e in root.iter("request-uri") if e.text != "-"]
        assert uri.startswith("/?id=h&x=<script>") and "\ufffd" in uri
        for query in ("json&full", "openmetrics&full"):
            assert "\x01" not in page(pool.address, query) and "\x1b" not in page(pool.address, query)
        assert "alert('1')" not in page(pool.address, "html")
        journal.signal("go")
