"""Two more web servers, with the interface of web.py: lighttpd and HAProxy, each with its FastCGI client."""

import os

from .address import as_address
from .web import WebServer


class Lighttpd(WebServer):
    """lighttpd with mod_fastcgi in front of one FastCGI address.

    It closes its connection to the application after each request: there is no `keep`.
    stream    `server.stream-response-body`: 0 collects the response first, 1 and 2 pass it on
    server    further lines
    """

    program = "lighttpd"
    keeps = False

    def __init__(self, directory, backend, keep=False, stream=1, server=""):
        assert not keep, "lighttpd does not keep connections to the application"
        super().__init__(directory)
        backend = as_address(backend)
        target = (
            f'"socket" => "{backend.path}"'
            if backend.is_unix
            else f'"host" => "{backend.host}", "port" => {backend.port}'
        )
        text = _LIGHTTPD.format(
            directory=self.directory, port=self.port, target=target, stream=stream, server=server
        )
        (self.directory / "lighttpd.conf").write_text(text)

    def _command(self):
        return [self.path(), "-D", "-f", str(self.directory / "lighttpd.conf")]


_LIGHTTPD = """\
server.modules = ( "mod_fastcgi" )
server.document-root = "{directory}"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{directory}/error.log"
server.upload-dirs = ( "{directory}" )
server.stream-response-body = {stream}
{server}
fastcgi.server = ( "/" => (( {target}, "check-local" => "disable", "fix-root-scriptname" => "enable" )) )
"""


class Haproxy(WebServer):
    """HAProxy with an `fcgi-app` in front of one FastCGI address.

    keep      `option keep-conn`, and connections are reused
    backend   further lines of the backend
    """

    program = "haproxy"

    def __init__(self, directory, backend, keep=False, lines=""):
        super().__init__(directory)
        backend = as_address(backend)
        text = _HAPROXY.format(
            directory=self.directory,
            port=self.port,
            user="user root" if os.geteuid() == 0 else "",
            server=f"unix@{backend.path}" if backend.is_unix else str(backend),
            keep="option keep-conn" if keep else "no option keep-conn",
            reuse="always" if keep else "never",
            lines=lines,
        )
        (self.directory / "haproxy.cfg").write_text(text)

    def _command(self):
        return [self.path(), "-db", "-f", str(self.directory / "haproxy.cfg")]


_HAPROXY = """\
global
    {user}
    nbthread 1
defaults
    mode http
    timeout connect 30s
    timeout client 60s
    timeout server 60s
frontend web
    bind 127.0.0.1:{port}
    default_backend application
backend application
    http-reuse {reuse}
    use-fcgi-app application
    {lines}
    server application {server} proto fcgi
fcgi-app application
    log-stderr global
    docroot {directory}
    {keep}
"""
