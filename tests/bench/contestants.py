"""The servers in the benchmark: how each is started, found and ended.

All serve the same application (apps/hello.c, or its equivalent in another language) on a socket of their
own in the case's directory. `start()` returns when the processes run, `stop()` ends them by pid.
"""

import os
import shutil
import signal
import subprocess

from harness import build, process
from harness.address import Address
from harness.manager import Manager
from harness.spawner import Spawner
from harness.wait import wait_until
from harness.web import WebServer

APPS = build.ROOT / "tests" / "bench" / "apps"
PROGRAMS = build.BUILD / "bench"
BACKLOG = 1024


class Missing(Exception):
    """A contestant's program is not installed."""


def program(*names):
    """The first of these commands that is installed."""
    for name in names:
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if found:
            return found
    raise Missing(f"{names[0]} is not installed (packaging/install-deps bench)")


class Service:
    """A process manager that we have started."""

    uwsgi = False  # speaks uWSGI's own protocol to a web server

    def __init__(self, directory, workers):
        self.directory, self.count = directory, workers
        self.address = Address.make("unix", directory, type(self).__name__.lower())
        self.popen = None

    def command(self):
        raise NotImplementedError

    def start(self):
        with open(self.directory / f"{type(self).__name__}.log", "ab") as output:
            self.popen = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_until(self.ready, lambda: f"{type(self).__name__} to be ready; its log:\n{self.log()}")
        return self

    def ready(self):
        assert self.popen.poll() is None, f"{type(self).__name__} ended at once:\n{self.log()}"
        return os.path.exists(self.address.path) and len(self.workers()) >= self.count

    def log(self):
        return (self.directory / f"{type(self).__name__}.log").read_text(errors="replace")

    @property
    def pid(self):
        return self.popen.pid

    def workers(self):
        return [pid for pid in process.children(self.pid) if process.alive(pid)]

    def stop(self):
        if self.popen is None:
            return
        left = self.workers()
        try:
            process.end(self.popen, signal.SIGTERM, 5)
        except AssertionError:
            pass  # killed by now
        for pid in left:
            process.kill_and_reap(pid)
        if os.path.exists(self.address.path):
            os.unlink(self.address.path)
        self.popen = None


class Plain(Service):
    """spawn-fcgi binds, multiwatch keeps the workers; libfcgi alone."""

    def command(self):
        return [program("spawn-fcgi"), "-n", "-s", self.address.path, "-M", "0666", "-b", str(BACKLOG), "--",
                program("multiwatch"), "-f", str(self.count), "--", str(PROGRAMS / "hello-plain")]


class Php(Service):
    """PHP-FPM; more directives of its pool as `php(name=value)` pairs."""

    def __init__(self, directory, workers, manager=(), **directives):
        super().__init__(directory, workers)
        self.first = 0 if directives.get("pm") == "ondemand" else workers
        pool = {"listen": self.address, "listen.mode": "0666", "listen.backlog": BACKLOG, "pm": "static",
                "pm.max_children": workers, **directives}
        if os.geteuid() == 0:
            pool["user"] = pool["group"] = "www-data"
        lines = ["[global]", "daemonize = no", f"error_log = {directory}/php.log", *manager, "[www]"]
        lines += [f"{name} = {value}" for name, value in pool.items()]
        (directory / "php.conf").write_text("\n".join(lines) + "\n")
        shutil.copy(APPS / "hello.php", directory / "hello.php")

    def command(self):
        return [program("php-fpm", "php-fpm8.2"), "-F", "-y", str(self.directory / "php.conf"),
                "-d", "opcache.enable=1", "-d", "expose_php=0"]

    def ready(self):
        self.count, wanted = self.first, self.count
        ready = super().ready()
        self.count = wanted
        return ready


class Uwsgi(Service):
    """uWSGI with a function in C, over FastCGI or, `own`, over its own protocol."""

    def __init__(self, directory, workers, own=False):
        super().__init__(directory, workers)
        self.uwsgi = own

    def command(self):
        socket = ["--socket", self.address.path] if self.uwsgi else \
            ["--fastcgi-socket", self.address.path, "--fastcgi-modifier1", "18"]
        return [program("uwsgi-core", "uwsgi"), "--plugins", "symcall", "--dlopen", str(PROGRAMS / "uwsgi.so"),
                "--symcall", "bench_hello", *socket, "--chmod-socket=666", "--listen", str(BACKLOG),
                "--master", "--processes", str(self.count), "--disable-logging", "--die-on-term"]


class Floor(Spawner):
    """Processes that block in accept; no manager."""

    uwsgi = False

    def __init__(self, directory, workers, kept=False):
        super().__init__(directory, [PROGRAMS / "floor", *(["kept"] if kept else [])],
                         Address.make("unix", directory, "floor"), workers, backlog=BACKLOG)
        self.expected = (0, -signal.SIGTERM)


class Overtime(Manager):
    """`overtime` with the application linked, or with the library `preloaded`; `pool`: more directives."""

    uwsgi = False

    def __init__(self, directory, workers, preloaded=False, pool=None, command=None, name=None):
        name = name or ("preloaded" if preloaded else "linked")
        directives = {
            "command": command or PROGRAMS / ("hello-plain" if preloaded else "hello-linked"),
            "listen": Address.make("unix", directory, name),
            "listen.backlog": BACKLOG,
            "pm.max_children": workers,
            **({"env[LD_PRELOAD]": build.preload()} if preloaded else {}),
            **(pool or {}),
        }
        super().__init__(directory, directives, name=name)
        self.first = workers if directives.get("pm", "static") == "static" else 0

    def start(self, wait=True):
        super().start(wait)
        if self.first:
            self.wait_workers(self.first)
        return self


class Fcgid(WebServer):
    """Apache with mod_fcgid, which starts the application itself."""

    program = "apache2"
    modules = "/usr/lib/apache2/modules"

    def __init__(self, directory, workers):
        super().__init__(directory)
        program("apache2")
        if not os.path.exists(f"{self.modules}/mod_fcgid.so"):
            raise Missing("mod_fcgid is not installed (packaging/install-deps bench)")
        shutil.copy(PROGRAMS / "hello-plain", self.directory / "application")
        sockets = self.directory / "sockets"
        sockets.mkdir()
        sockets.chmod(0o777)
        text = _FCGID.format(directory=self.directory, modules=self.modules, port=self.port, workers=workers,
                             user="User www-data\nGroup www-data" if os.geteuid() == 0 else "")
        (self.directory / "apache.conf").write_text(text)

    def _command(self):
        return [self.path(), "-d", str(self.directory), "-f", str(self.directory / "apache.conf"), "-DFOREGROUND"]

    def workers(self):
        found, around = [], process.children(self.popen.pid)
        while around:
            pid = around.pop()
            around += process.children(pid)
            if process.name(pid) == "application":
                found.append(pid)
        return found

    def stop(self):
        left = self.workers() if self.popen else []
        super().stop()
        for pid in left:
            process.kill_and_reap(pid)


_FCGID = """\
ServerRoot {directory}
DefaultRuntimeDir {directory}
PidFile {directory}/apache.pid
ServerName localhost
Listen 127.0.0.1:{port}
{user}
ErrorLog {directory}/error.log
LogLevel error
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule fcgid_module {modules}/mod_fcgid.so
StartServers 2
ServerLimit 2
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers 128
KeepAlive On
MaxKeepAliveRequests 0
FcgidIPCDir {directory}/sockets
FcgidProcessTableFile {directory}/sockets/table
FcgidMinProcessesPerClass {workers}
FcgidMaxProcessesPerClass {workers}
FcgidMaxProcesses {workers}
FcgidSpawnScoreUpLimit 1000000
FcgidMaxRequestLen 16777216
AliasMatch "^/.*$" "{directory}/application"
<Directory "{directory}">
    Options +ExecCGI
    SetHandler fcgid-script
    Require all granted
</Directory>
"""


class Nginx(WebServer):
    """nginx in front of applications: one location for each backend, /NAME.

    backends  {name: contestant}; with `keep`, so many connections to them are kept in each nginx process
    /static   nginx's own answer of the same five bytes
    """

    program = "nginx"

    def __init__(self, directory, backends, keep=0):
        super().__init__(directory)
        program("nginx")
        upstreams = "\n".join(
            f"    upstream {name} {{ server unix:{service.address}; {f'keepalive {keep};' if keep else ''} }}"
            for name, service in backends.items())
        locations = "\n".join(
            (_UWSGI if service.uwsgi else _FASTCGI).format(name=name, keep="on" if keep else "off", directory=directory)
            for name, service in backends.items())
        (self.directory / "static").write_text("hello")
        (self.directory / "nginx.conf").write_text(_NGINX.format(
            user="user root;" if os.geteuid() == 0 else "", directory=self.directory, port=self.port,
            upstreams=upstreams, locations=locations))

    def _command(self):
        return [self.path(), "-p", str(self.directory), "-c", str(self.directory / "nginx.conf"),
                "-e", str(self.directory / "error.log")]


_FASTCGI = """\
        location /{name} {{
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME {directory}/hello.php;
            fastcgi_keep_conn {keep};
            fastcgi_pass {name};
        }}"""
_UWSGI = """\
        location /{name} {{
            include /etc/nginx/uwsgi_params;
            uwsgi_modifier1 18;
            uwsgi_pass {name};
        }}"""

_NGINX = """\
{user}
daemon off;
worker_processes 2;
pid {directory}/nginx.pid;
error_log {directory}/error.log crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_max_body_size 0;
    client_body_temp_path {directory}/body;
    fastcgi_temp_path {directory}/fastcgi;
    proxy_temp_path {directory}/proxy;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    default_type text/plain;
{upstreams}
    server {{
        listen 127.0.0.1:{port};
        location = /static {{ root {directory}; }}
{locations}
    }}
}}
"""

# The names in the cases, in the order of the table, and the names in the table.
SERVING = {
    "floor": Floor,
    "libfcgi": Plain,
    "linked": Overtime,
    "preloaded": lambda directory, workers: Overtime(directory, workers, preloaded=True),
    "php": Php,
    "uwsgi": Uwsgi,
}
NAMES = {
    "floor": "bare accept loop",
    "libfcgi": "libfcgi, spawn-fcgi + multiwatch",
    "linked": "overtime, linked",
    "preloaded": "overtime, preloaded",
    "php": "PHP-FPM",
    "uwsgi": "uWSGI, C function",
    "fcgid": "mod_fcgid (Apache)",
    "static": "nginx, static file",
    "empty": "an empty C program",
}
OURS = ("linked", "preloaded")
PEERS = ("libfcgi", "php", "uwsgi", "fcgid")
