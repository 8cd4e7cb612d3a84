"""Real web servers, private to a test: own directory, own free port, in the foreground, ended by pid."""

import contextlib
import http.client
import io
import os
import select
import shutil
import signal
import socket
import subprocess

from . import process
from .address import as_address, free_port
from .wait import LIMIT, now, wait_until


class HttpResponse:
    """An HTTP response that was read up to the connection's end."""

    def __init__(self, raw, reset=False):
        self.raw = raw
        self.reset = reset
        self.status = None
        self.headers = {}
        self.body = b""
        self.complete = False  # as long as its headers say, not cut off
        if raw:
            self._parse()

    def _parse(self):
        class Replay:
            """An object that http.client reads as a socket."""

            def __init__(self, data):
                self._data = data

            def makefile(self, *_, **__):
                return io.BytesIO(self._data)

        try:
            parsed = http.client.HTTPResponse(Replay(self.raw))
            parsed.begin()
            self.status = parsed.status
            self.headers = parsed.headers
            self.body = parsed.read()
            self.complete = not self.reset
        except http.client.IncompleteRead as cut:
            self.body = cut.partial
        except http.client.HTTPException:
            pass

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def __repr__(self):
        return (
            f"<HttpResponse {self.status} complete={self.complete} reset={self.reset} "
            f"{len(self.body)} bytes: {self.body[:120]!r}>"
        )


class HttpConnection:
    """One HTTP/1.1 request, sent as raw bytes; its response ends with the connection."""

    def __init__(self, port, limit=None):
        self.limit = LIMIT if limit is None else limit
        self.sock = socket.create_connection(("127.0.0.1", port), self.limit)
        self._received = b""
        self._reset = False
        self._eof = False

    def send(self, target, method="GET", body=b"", headers=None, content_length=None):
        """Sends a request while reading the response. A server may answer and close early."""
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        length = len(body) if content_length is None else content_length
        if body or method == "POST" or content_length is not None:
            head += f"Content-Length: {length}\r\n"
        for name, value in (headers or {}).items():
            head += f"{name}: {value}\r\n"
        view = memoryview(head.encode() + b"\r\n" + body)
        end = now() + self.limit
        while view and not self._eof:
            reading, writing, _ = select.select([self.sock], [self.sock], [], max(0, end - now()))
            if not reading and not writing:
                raise TimeoutError("the web server neither reads nor answers")
            if reading:
                self._fill()
            if writing:
                try:
                    view = view[self.sock.send(view[:65536], socket.MSG_DONTWAIT) :]
                except BlockingIOError:
                    pass
                except (BrokenPipeError, ConnectionResetError):
                    break

    def _fill(self):
        try:
            data = self.sock.recv(262144)
        except ConnectionResetError:
            data, self._reset = b"", True
        self._received += data
        self._eof = not data

    def read(self):
        """Everything up to the connection's end, as a response."""
        end = now() + self.limit
        while not self._eof:
            ready, _, _ = select.select([self.sock], [], [], max(0, end - now()))
            if not ready:
                raise TimeoutError(f"no end of the response in time; so far {self._received[:300]!r}")
            self._fill()
        return HttpResponse(self._received, self._reset)

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class WebServer:
    """The common part of nginx and Apache."""

    program = None  # found in PATH and in /usr/sbin
    stop_signal = signal.SIGTERM

    def __init__(self, directory):
        self.port = free_port()
        self.directory = directory / f"{type(self).__name__.lower()}-{self.port}"
        self.directory.mkdir()
        self.directory.chmod(0o755)
        self.popen = None

    @classmethod
    def path(cls):
        """The program's path, or None when it is not installed."""
        return shutil.which(cls.program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

    def _command(self):
        raise NotImplementedError

    def start(self):
        with open(self.directory / "output", "ab") as output:
            self.popen = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        wait_until(self._answers, lambda: f"{self.program} to answer; its log:\n{self.log()}")
        return self

    def _answers(self):
        assert self.popen.poll() is None, f"{self.program} ended at once:\n{self.log()}"
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def log(self):
        text = ""
        for name in ("output", "error.log"):
            path = self.directory / name
            if path.exists():
                text += path.read_text(errors="replace")
        return text

    def request(self, target="/", method=None, body=b"", headers=None, limit=None):
        """One request on a connection of its own, read up to the connection's end."""
        with HttpConnection(self.port, limit) as connection:
            connection.send(target, method or ("POST" if body else "GET"), body, headers)
            return connection.read()

    def connect(self, limit=None):
        return HttpConnection(self.port, limit)

    def stop(self):
        if self.popen is not None:
            helpers = process.children(self.popen.pid)
            try:
                process.end(self.popen, self.stop_signal)
            finally:
                for pid in helpers:
                    process.kill_and_reap(pid)
                self.popen = None


class Nginx(WebServer):
    """nginx in front of one FastCGI address.

    keep      keep connections to the application open (`fastcgi_keep_conn on`, upstream keepalive)
    buffering `fastcgi_buffering` and `fastcgi_request_buffering`: True, False or None (its defaults)
    location, http  further lines for these blocks
    """

    program = "nginx"

    def __init__(self, directory, backend, keep=False, keepalive=16, buffering=None,
                 request_buffering=None, location="", http=""):
        super().__init__(directory)
        backend = as_address(backend)
        options = []
        if keep:
            options.append("fastcgi_keep_conn on;")
        for name, value in (
            ("fastcgi_buffering", buffering),
            ("fastcgi_request_buffering", request_buffering),
        ):
            if value is not None:
                options.append(f"{name} {'on' if value else 'off'};")
        text = _NGINX.format(
            user="user root;" if os.geteuid() == 0 else "",
            directory=self.directory,
            port=self.port,
            backend=f"unix:{backend.path}" if backend.is_unix else str(backend),
            keepalive=f"keepalive {keepalive};" if keep else "",
            options="\n            ".join(options),
            location=location,
            http=http,
        )
        (self.directory / "nginx.conf").write_text(text)

    def _command(self):
        return [self.path(), "-p", str(self.directory), "-c", str(self.directory / "nginx.conf"),
                "-e", str(self.directory / "error.log")]


_NGINX = """\
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log info;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {directory}/body;
    fastcgi_temp_path {directory}/fastcgi;
    proxy_temp_path {directory}/proxy;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    {http}
    upstream application {{
        server {backend};
        {keepalive}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            fastcgi_pass application;
            {options}
            fastcgi_param QUERY_STRING    $query_string;
            fastcgi_param REQUEST_METHOD  $request_method;
            fastcgi_param CONTENT_TYPE    $content_type;
            fastcgi_param CONTENT_LENGTH  $content_length;
            fastcgi_param SCRIPT_NAME     $fastcgi_script_name;
            fastcgi_param REQUEST_URI     $request_uri;
            fastcgi_param SERVER_PROTOCOL $server_protocol;
            fastcgi_param REMOTE_ADDR     $remote_addr;
            {location}
        }}
    }}
}}
"""


class Apache(WebServer):
    """Apache with mod_proxy_fcgi in front of one FastCGI address.

    keep     `enablereuse=on`
    worker   further parameters of the ProxyPass line, e.g. "flushpackets=on"
    server   further lines
    """

    program = "apache2"
    modules = "/usr/lib/apache2/modules"

    def __init__(self, directory, backend, keep=False, worker="", server=""):
        super().__init__(directory)
        backend = as_address(backend)
        target = f"unix:{backend.path}|fcgi://localhost/" if backend.is_unix else f"fcgi://{backend}/"
        text = _APACHE.format(
            directory=self.directory,
            modules=self.modules,
            port=self.port,
            user="User www-data\nGroup www-data" if os.geteuid() == 0 else "",
            target=target,
            worker=("enablereuse=on " if keep else "") + worker,
            server=server,
        )
        (self.directory / "apache.conf").write_text(text)

    def _command(self):
        return [self.path(), "-d", str(self.directory), "-f", str(self.directory / "apache.conf"),
                "-DFOREGROUND"]


_APACHE = """\
ServerRoot {directory}
DefaultRuntimeDir {directory}
PidFile {directory}/apache.pid
ServerName localhost
Listen 127.0.0.1:{port}
{user}
ErrorLog {directory}/error.log
LogLevel info
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_host_module {modules}/mod_authz_host.so
LoadModule env_module {modules}/mod_env.so
LoadModule setenvif_module {modules}/mod_setenvif.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_fcgi_module {modules}/mod_proxy_fcgi.so
StartServers 1
ServerLimit 1
ThreadLimit 32
ThreadsPerChild 32
MaxRequestWorkers 32
MinSpareThreads 1
MaxSpareThreads 32
Timeout 60
ProxyTimeout 60
{server}
ProxyPass "/" "{target}" {worker}
"""
