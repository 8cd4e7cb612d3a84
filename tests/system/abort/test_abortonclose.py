"""HAProxy with `option abortonclose`: the application learns that the client of a silent request has left, unless
HAProxy keeps its connections. overtime(3) says so."""

import pytest

from harness.front import Haproxy


@pytest.mark.parametrize("keep", [False, True], ids=["closed", "kept"])
@pytest.mark.parametrize("option", [False, True], ids=["without", "abortonclose"])
def test_a_silent_request(manager, app, listen, tmp_path, journal, option, keep):
    if Haproxy.path() is None:
        pytest.skip("haproxy is not installed (packaging/install-deps test)")
    manager({"command": f"{app('life')} -m loop {tmp_path}", "listen": listen})
    server = Haproxy(tmp_path, listen, keep=keep)
    if option:
        path = server.directory / "haproxy.cfg"
        path.write_text(path.read_text().replace("mode http\n", "mode http\n    option abortonclose\n"))
    server.start()
    told = option and not keep
    try:
        with server.connect() as client:
            client.send(f"/?id=a&wait=left&look={3000 if told else 300}&status&note=rest")
            journal.wait("wait", "a")
        # The worker sees the abort after the client has left, or never.
        journal.signal("left")
        journal.wait("note", "a")
        assert journal.wait("status", "a").detail == str(int(told))
    finally:
        server.stop()
