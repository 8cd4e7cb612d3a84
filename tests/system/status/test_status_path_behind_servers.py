"""Only the exact path is the status, however a web server divides it into SCRIPT_NAME and PATH_INFO."""

import urllib.error
import urllib.request

import pytest

from harness import fastcgi
from harness.front import Haproxy, Lighttpd
from harness.web import Apache, Nginx

HANDLER = """\
DocumentRoot {directory}/documents
<Directory {directory}/documents>
    Require all granted
</Directory>
<Location "/">
    SetHandler "proxy:unix:{socket}|fcgi://localhost/"
</Location>
ProxyPass "/" "!"
"""


def nginx_split(directory, backend):
    """As the usual location for PHP does."""
    return Nginx(directory, backend, location="""
        fastcgi_split_path_info ^(/[^/]*)(/.*)$;
        fastcgi_param PATH_INFO $fastcgi_path_info;""")


def nginx_both(directory, backend):
    """The whole path as SCRIPT_NAME and again as PATH_INFO."""
    return Nginx(directory, backend, location="fastcgi_param PATH_INFO $fastcgi_script_name;")


def apache_handler(directory, backend):
    (directory / "documents").mkdir()
    return Apache(directory, backend, server=HANDLER.format(directory=directory, socket=backend.path))


def lighttpd_prefix(directory, backend):
    """The pool under the path of the status alone: SCRIPT_NAME is /status, PATH_INFO the rest."""
    front = Lighttpd(directory, backend)
    conf = front.directory / "lighttpd.conf"
    conf.write_text(conf.read_text().replace(', "fix-root-scriptname" => "enable"', "").replace(
        'fastcgi.server = ( "/" =>', 'fastcgi.server = ( "/status" =>'))
    return front


def lighttpd_root(directory, backend):
    front = Lighttpd(directory, backend)
    conf = front.directory / "lighttpd.conf"
    conf.write_text(conf.read_text().replace(', "fix-root-scriptname" => "enable"', ""))
    return front


FRONTS = {
    "nginx": Nginx, "nginx-split": nginx_split, "nginx-both": nginx_both, "apache-proxypass": Apache,
    "apache-sethandler": apache_handler, "lighttpd": Lighttpd, "lighttpd-prefix": lighttpd_prefix,
    "lighttpd-root": lighttpd_root, "haproxy": Haproxy,
}
PROGRAMS = {"nginx": Nginx, "apache": Apache, "lighttpd": Lighttpd, "haproxy": Haproxy}


@pytest.fixture
def front(request, tmp_path):
    started = []

    def start(name, backend):
        if PROGRAMS[name.split("-")[0]].path() is None:
            pytest.skip(f"{name} is not installed (packaging/install-deps test)")
        directory = tmp_path / "front"
        directory.mkdir()
        started.append(FRONTS[name](directory, backend))
        return started[-1].start()

    yield start
    for server in started:
        server.stop()


def get(port, target):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{target}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("name", FRONTS)
def test_the_exact_path_alone(manager, app, tmp_path, front, name):
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "pm.status_path": "/status"})
    server = front(name, daemon.address)
    assert get(server.port, "/status")[1].startswith("pool:                 www\n"), server.log()
    for path in ("/status/42", "/status/", "/status/status", "/status//"):
        assert get(server.port, f"{path}?id=a&text=mine") == (200, "mine"), path


@pytest.mark.parametrize("parameters, answered", [
    ({"SCRIPT_NAME": "/status", "PATH_INFO": ""}, True),
    ({"SCRIPT_NAME": "", "PATH_INFO": "/status"}, True),
    ({"SCRIPT_NAME": "/sta", "PATH_INFO": "tus"}, True),
    ({"SCRIPT_NAME": "/status", "PATH_INFO": "/status", "REQUEST_URI": "/status?json"}, True),
    ({"SCRIPT_NAME": "/status", "PATH_INFO": "/status", "REQUEST_URI": "/status/status"}, False),
    ({"SCRIPT_NAME": "/status", "PATH_INFO": "/42"}, False),
    ({"SCRIPT_NAME": "", "PATH_INFO": "/status/42", "REQUEST_URI": "/status"}, False),
    ({"SCRIPT_NAME": "", "REQUEST_URI": "/status/42"}, False),
])
def test_how_the_path_may_be_divided(manager, app, tmp_path, parameters, answered):
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "pm.status_path": "/status"})
    params = fastcgi.cgi_params("id=a&text=mine", **parameters)
    text = fastcgi.request(daemon.address, params=params).text
    assert text.startswith("pool:") == answered and (text == "mine") != answered
