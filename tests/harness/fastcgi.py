"""A raw FastCGI client: every byte under the test's control.

`request()` sends one request; `Connection` does what web servers never do: send half a header, send a
few bytes at a time, stay silent, reset, keep the connection open for ever.
"""

import contextlib
import http.client
import io
import select
import socket
import struct
import time

from .address import as_address
from .wait import LIMIT, now

BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR, DATA = range(1, 9)
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11
RESPONDER = 1
KEEP_CONN = 1
RECORD_MAX = 65535


def record(kind, content=b"", request_id=1, padding=0):
    """One record; content of at most 65,535 bytes."""
    header = struct.pack("!BBHHBB", 1, kind, request_id, len(content), padding, 0)
    return header + content + b"\0" * padding


def begin(keep=False, request_id=1, role=RESPONDER):
    flags = KEEP_CONN if keep else 0
    return record(BEGIN_REQUEST, struct.pack("!HB5x", role, flags), request_id)


def _length(number):
    return struct.pack("!B", number) if number < 128 else struct.pack("!I", number | 0x80000000)


def pairs(params):
    """Name-value pairs, encoded."""
    out = b""
    for name, value in params.items():
        name, value = str(name).encode(), value if isinstance(value, bytes) else str(value).encode()
        out += _length(len(name)) + _length(len(value)) + name + value
    return out


def stream(kind, content, request_id=1, end=True):
    """A stream's records, each of the largest size, and its end."""
    pieces = [content[at : at + RECORD_MAX] for at in range(0, len(content), RECORD_MAX)]
    return b"".join(record(kind, piece, request_id) for piece in pieces + [b""] * end)


def cgi_params(query="", method="GET", body=b"", **more):
    """The most important parameters that a web server sends."""
    params = {
        "REQUEST_METHOD": method,
        "QUERY_STRING": query,
        "REQUEST_URI": "/?" + query if query else "/",
        "SCRIPT_NAME": "/",
        "CONTENT_LENGTH": str(len(body)) if body else "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_NAME": "localhost",
        "REMOTE_ADDR": "127.0.0.1",
    }
    params.update(more)
    return params


class Response:
    """The response to one request."""

    def __init__(self):
        self.stdout = b""
        self.stderr = b""
        self.end_request = None  # the 8 bytes of END_REQUEST's content
        self.after_end = b""  # bytes after END_REQUEST: must stay empty
        self.eof = False  # the connection's end was seen
        self.reset = False  # ... and it was a reset
        self.end_at = None  # monotonic seconds
        self.eof_at = None

    @property
    def app_status(self):
        return struct.unpack("!I", self.end_request[:4])[0] if self.end_request else None

    @property
    def protocol_status(self):
        return self.end_request[4] if self.end_request else None

    @property
    def _parts(self):
        head, blank, body = self.stdout.partition(b"\r\n\r\n")
        return (head, body) if blank else (b"", self.stdout)

    @property
    def headers(self):
        return http.client.parse_headers(io.BytesIO(self._parts[0] + b"\r\n\r\n"))

    @property
    def status(self):
        """The Status header's number, 200 without one."""
        return int(self.headers.get("Status", "200").split()[0])

    @property
    def body(self):
        return self._parts[1]

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def complete(self):
        return self.end_request is not None

    def __repr__(self):
        return (
            f"<Response stdout={self.stdout[:200]!r} ({len(self.stdout)} bytes) stderr={self.stderr[:200]!r} "
            f"end_request={self.end_request!r} eof={self.eof} reset={self.reset} "
            f"after_end={self.after_end[:40]!r}>"
        )


class Connection:
    """One connection to a FastCGI application."""

    def __init__(self, address, limit=None):
        self.limit = LIMIT if limit is None else limit
        self.sock = as_address(address).connect(self.limit)
        self._input = b""
        self._eof = False
        self._reset = False

    # Sending

    def send(self, data):
        """Raw bytes."""
        self.sock.sendall(data)

    def send_begin(self, keep=False, request_id=1):
        self.send(begin(keep, request_id))

    def send_params(self, params, request_id=1, end=True):
        self.send(stream(PARAMS, pairs(params), request_id, end))

    def send_stdin(self, content=b"", end=True, request_id=1):
        self.send(stream(STDIN, content, request_id, end))

    def send_request(self, params, body=b"", keep=False, request_id=1):
        """A whole request, in as few writes as the socket takes."""
        self.send_duplex(
            begin(keep, request_id)
            + stream(PARAMS, pairs(params), request_id)
            + stream(STDIN, body, request_id)
        )

    def send_duplex(self, data):
        """Sends all while taking in what arrives, so that neither side waits for the other.

        An application that ends the response before it has read everything may close the connection:
        the rest is not sent then, as with a real web server.
        """
        view = memoryview(data)
        end = now() + self.limit
        while view and not self._eof:
            reading, writing, _ = select.select([self.sock], [self.sock], [], max(0, end - now()))
            if not reading and not writing:
                raise TimeoutError("neither readable nor writable")
            if reading:
                self._fill()
            if writing:
                try:
                    view = view[self.sock.send(view[:65536], socket.MSG_DONTWAIT) :]
                except BlockingIOError:
                    pass
                except (BrokenPipeError, ConnectionResetError):
                    return

    def trickle(self, data, pause=0.005, step=1):
        """Sends a few bytes at a time. The pause separates the pieces; nothing depends on its length."""
        for at in range(0, len(data), step):
            self.sock.sendall(data[at : at + step])
            time.sleep(pause)

    # Receiving

    def _fill(self):
        """One recv into the input buffer; notes the end."""
        try:
            data = self.sock.recv(262144)
        except ConnectionResetError:
            data, self._reset = b"", True
        if data:
            self._input += data
        else:
            self._eof = True

    def _wait_input(self, end):
        """True if bytes or the end came, False at the limit."""
        ready, _, _ = select.select([self.sock], [], [], max(0, end - now()))
        if not ready:
            return False
        self._fill()
        return True

    def read_record(self, limit=None):
        """(type, request id, content), or None at the connection's end; TimeoutError at the limit."""
        end = now() + (self.limit if limit is None else limit)
        while True:
            if len(self._input) >= 8:
                _, kind, request_id, size, padding, _ = struct.unpack("!BBHHBB", self._input[:8])
                if len(self._input) >= 8 + size + padding:
                    content = self._input[8 : 8 + size]
                    self._input = self._input[8 + size + padding :]
                    return kind, request_id, content
            if self._eof:
                return None
            if not self._wait_input(end):
                raise TimeoutError("no whole FastCGI record in time")

    def read_response(self, limit=None, wait_eof=False):
        """Records up to END_REQUEST or the end; with wait_eof up to the connection's end."""
        end = now() + (self.limit if limit is None else limit)
        response = Response()
        while response.end_request is None:
            got = self.read_record(max(0, end - now()))
            if got is None:
                break
            kind, _, content = got
            if kind == STDOUT:
                response.stdout += content
            elif kind == STDERR:
                response.stderr += content
            elif kind == END_REQUEST:
                response.end_request, response.end_at = content, now()
        if wait_eof:
            self.read_eof(max(0, end - now()))
            response.after_end = self._input
        response.eof, response.reset = self._eof, self._reset
        response.eof_at = now() if self._eof else None
        return response

    def read_eof(self, limit=None):
        """Waits for the connection's end; bytes before it stay in the buffer."""
        end = now() + (self.limit if limit is None else limit)
        while not self._eof:
            if not self._wait_input(end):
                raise TimeoutError("the connection was not ended in time")

    @property
    def at_eof(self):
        """True if the peer has ended the connection by now."""
        while not self._eof and self._wait_input(now()):
            pass
        return self._eof

    @property
    def unread(self):
        """Bytes that came and were not parsed yet."""
        return self._input

    # Ending

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """Ends with RST (TCP); a unix socket is only closed."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def request(address, params=None, body=b"", keep=False, limit=None, query="", method=None):
    """One request on its own connection. Without `params` those of a web server, with `query`.

    The connection is not kept: waits for its end as well.
    """
    if params is None:
        params = cgi_params(query, method or ("POST" if body else "GET"), body)
    with Connection(address, limit) as connection:
        connection.send_request(params, body, keep)
        return connection.read_response(wait_eof=not keep)
