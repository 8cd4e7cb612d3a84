"""The connection status of a request whose client leaves, through every web server.

{no web server, nginx, Apache, lighttpd, HAProxy} x {unix, TCP} x {connections kept, not}
x {the client stays, leaves before the worker takes the request, leaves while the application is
silent, while output flows, after the response} x {abort ignored, not} x {ot_run, loop}: one table of
expectations, and one of the results, printed at the end of the run.
"""

import collections

import pytest

from harness import fastcgi, scoreboard
from harness.front import Haproxy, Lighttpd
from harness.wait import wait_until
from harness.web import Apache, Nginx

# In which cases the application learns at its next safe point that the client has left. `never`: the web
# server does not pass it on, and the status stays 0.
TELLS = """
server    before  silent  flowing
none      told    told    told
nginx     told    told    told
apache    never   never   told
lighttpd  never   never   told
haproxy   never   never   told
"""

# What follows for the application: the status that it sees, and whether its handler ends at the safe
# point or goes on. Shutdown functions run in any case.
FOLLOWS = """
client  run      run,ignored  loop     loop,ignored
left    1,left   1,goes-on    1,goes-on  1,goes-on
stayed  0,goes-on  0,goes-on  0,goes-on  0,goes-on
"""

# What the client has received in the end.
GETS = {"stays": "all", "before": "nothing", "silent": "nothing", "flowing": "a part", "after": "all"}


MOMENTS = {
    "stays": "stays",
    "before": "leaves before the worker takes it",
    "silent": "leaves while the application is silent",
    "flowing": "leaves while output flows",
    "after": "leaves after the response",
}
SERVERS = {"none": None, "nginx": Nginx, "apache": Apache, "lighttpd": Lighttpd, "haproxy": Haproxy}
KINDS = [(server, keep) for server in SERVERS for keep in (False, True) if (server, keep) not in (
    ("lighttpd", True),  # closes its connection to the application after each request
)]
MANY = 5000  # safe points, a millisecond apart, until the abort must have been noticed
# Reads its input to the end: Apache sends that end separately, and the connection is kept only after it.
WARM = "id=warm&read=all&text=warm"
FEW = 15  # enough safe points to see that nothing comes

Cell = collections.namedtuple("Cell", "status handler got")


def _table(text):
    head, *rows = [line.split() for line in text.strip().splitlines()]
    return {row[0]: dict(zip(head[1:], row[1:])) for row in rows}


TELLS, FOLLOWS = _table(TELLS), _table(FOLLOWS)


def expected(server, moment, policy):
    told = TELLS[server].get(moment) == "told"
    status, handler = FOLLOWS["left" if told else "stayed"][policy].split(",")
    return Cell(int(status), handler, GETS[moment])


class Printer:
    """Prints what was found at the end of the run; equal rows of several kinds of connection as one."""

    def __init__(self):
        self.found = {}  # (server, "unix, kept", moment, policy): Cell

    def _rows(self):
        policies = next(iter(FOLLOWS.values()))
        yield ["web server", "connections", "client", "told", *policies, "client has"]
        for server in SERVERS:
            kinds_of_server = sorted({key[1] for key in self.found if key[0] == server})
            for moment in GETS:
                alike = collections.defaultdict(list)
                for kind in kinds_of_server:
                    cells = [self.found.get((server, kind, moment, policy)) for policy in policies]
                    words = [f"{cell.status} {cell.handler}" if cell else "not run" for cell in cells]
                    got = {cell.got for cell in cells if cell}
                    alike[(*words, " or ".join(sorted(got)))].append(kind)
                told = TELLS[server].get(moment, "-").replace("never", "never told")
                for words, kinds in alike.items():
                    where = "all" if len(kinds) == 4 else ", ".join(kinds)
                    yield [server, where, MOMENTS[moment], told, *words]

    def pytest_terminal_summary(self, terminalreporter):
        if not self.found:
            return
        rows = list(self._rows())
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        terminalreporter.section(f"what {len(self.found)} requests saw of their client's departure")
        for row in rows:
            line = " | ".join(word.ljust(width) for word, width in zip(row, widths))
            terminalreporter.write_line(f"| {line} |")
            if row is rows[0]:
                terminalreporter.write_line("|" + "|".join("-" * (width + 2) for width in widths) + "|")


@pytest.fixture(scope="module")
def found(request):
    printer = Printer()
    request.config.pluginmanager.register(printer)
    return printer.found


class RawClient:
    """A FastCGI client of our own: its actions reach the worker without a web server in between."""

    def __init__(self, address, keep):
        self.keep = keep
        self.connection = fastcgi.Connection(address)
        if keep:
            self.send(WARM)
            assert self.read() == b"warm"

    def send(self, query):
        self.connection.send_request(fastcgi.cgi_params(query), keep=self.keep)

    def first(self):
        return self.connection.read_record()

    def read(self):
        response = self.connection.read_response()
        assert response.complete, response
        return response.body

    def close(self):
        self.connection.close()

    def arrived(self):
        pass

    def left(self):
        pass


class WebClient:
    """A browser of a web server."""

    def __init__(self, server, address, keep):
        self.server, self.address, self.keep = server, address, keep
        if keep:
            answer = server.request(f"/?{WARM}")
            assert answer.complete and answer.text == "warm", answer
        self.notices = self._notices()
        self.connection = server.connect()

    def _notices(self):
        return self.server.log().count("prematurely closed connection")

    def send(self, query):
        self.connection.send(f"/?{query}")

    def first(self):
        assert self.connection.sock.recv(1000)

    def read(self):
        answer = self.connection.read()
        assert answer.complete, answer
        return answer.body

    def close(self):
        self.connection.close()

    def arrived(self):
        """Over TCP nginx drops a request whose client leaves before its own connect() is complete."""
        if isinstance(self.server, Nginx) and not self.address.is_unix:
            wait_until(lambda: _queued(self.address.port), "the request in the worker's queue")

    def left(self):
        """Of the four only nginx passes it on, and logs that."""
        if isinstance(self.server, Nginx):
            noticed = lambda: self._notices() > self.notices
            wait_until(noticed, lambda: f"nginx to notice:\n{self.server.log()}")


def _queued(port):
    """True if bytes wait in a connection's socket on our side of this TCP port."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in file.readlines()[1:]:
            words = line.split()
            listening = words[3] == "0A"
            if int(words[1].split(":")[1], 16) == port and not listening:
                if int(words[4].split(":")[1], 16) > 0:
                    return True
    return False


def live(client, address, moment, told, ignored, name, journal):
    """The life of one request; returns the cell that was found."""
    looks = MANY if told else FEW
    begin = f"id={name}&ignore={int(ignored)}&later=:end&note=started"
    got = "nothing"
    if moment == "stays":
        client.send(f"{begin}&look=3&text=hello&note=rest")
        got = "all" if client.read() == b"hello" else "wrong"
    elif moment == "before":
        with fastcgi.Connection(address) as other:
            other.send_request(fastcgi.cgi_params(f"id=busy-{name}&wait=free-{name}"))
            journal.wait("wait", f"busy-{name}")
            client.send(f"{begin}&look={looks}&note=rest")
            client.arrived()
            client.close()
            client.left()
            assert not journal.events(name)
            journal.signal(f"free-{name}")
            assert other.read_response().complete
    elif moment == "silent":
        client.send(f"{begin}&wait=go-{name}&look={looks}&note=rest")
        journal.wait("wait", name)
        client.close()
        client.left()
        journal.signal(f"go-{name}")
    elif moment == "flowing":
        client.send(f"{begin}&flow={looks}&note=rest")
        client.first()
        got = "a part"
        client.close()
    elif moment == "after":
        client.send(f"{begin}&text=hello&finish&wait=go-{name}&look={looks}&note=rest")
        got = "all" if client.read() == b"hello" else "wrong"
        client.close()
        journal.signal(f"go-{name}")
    end = journal.wait("shutdown", name)
    notes = [event.detail for event in journal.events(name, "note")]
    assert notes[:1] == ["started"], "the application did not see the request"
    handler = "goes-on" if notes[1:] == ["rest"] else "left"
    return Cell(int(end.detail.rpartition("status=")[2]), handler, got)


@pytest.mark.parametrize("mode", ["run", "loop"])
@pytest.mark.parametrize(("server", "keep"), KINDS)
def test_matrix(request, manager, app, listen, keep, server, mode, tmp_path, journal, found):
    program = SERVERS[server]
    if program is not None and program.path() is None:
        pytest.skip(f"{program.program} is not installed (packaging/install-deps test)")
    daemon = manager({
        "command": f"{app('life')} -m {mode} {tmp_path}",
        "listen": listen,
        "post_response.max_children": 0,  # with one busy worker all others wait
    })
    front = None
    if program is not None:
        front = program(tmp_path, listen, keep=keep).start()
        request.addfinalizer(front.stop)
    connection = ("unix" if listen.is_unix else "TCP") + (" kept" if keep else " closed")
    wrong = []
    for ignored in (False, True):
        for moment in GETS:
            policy = mode + (",ignored" if ignored else "")
            want = expected(server, moment, policy)
            client = WebClient(front, listen, keep) if front else RawClient(listen, keep)
            try:
                if keep:
                    wait_until(lambda: scoreboard.record(daemon).kept > 0, "a kept connection")
                name = f"{moment}{ignored:d}"
                seen = live(client, listen, moment, want.status == 1, ignored, name, journal)
            finally:
                client.close()
            found[server, connection, moment, policy] = seen
            if seen != want:
                wrong.append(f"{moment}, {policy}: found {seen}, expected {want}")
    assert not wrong, "\n".join(wrong)
