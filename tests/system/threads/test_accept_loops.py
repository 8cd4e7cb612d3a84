"""Several threads of a worker, each with its own accept loop and its own current request."""

import threading

import pytest

from harness import fastcgi

THREADS = 4


@pytest.mark.parametrize("mode", ["loop", "finish", "run"])
def test_requests_at_the_same_time(serve, listen, mode, journal):
    """One thread is in post-response work, the others answer; each runs its own shutdown functions."""
    serve("-m", mode, "-t", THREADS)
    for number in range(THREADS - 1):
        query = f"id=w{number}&shutdown=s{number}&text=accepted{number}&finish&wait=go&note=worked"
        assert fastcgi.request(listen, query=query).text == f"accepted{number}"
        journal.wait("wait", f"w{number}")
    assert fastcgi.request(listen, query="id=last&text=fine").text == "fine"
    journal.signal("go")
    for number in range(THREADS - 1):
        journal.wait("shutdown", f"w{number}")
        assert journal.names(f"w{number}")[-3:] == ["note worked", "end", f"shutdown s{number} finished=1"]


def test_many_clients(serve, web, listen, keep, journal):
    serve("-m", "run", "-t", THREADS)
    server = web(listen, keep=keep)
    wrong = []

    def client(number):
        for turn in range(20):
            finish = "&finish" if turn % 3 == 0 and not keep else ""
            text = f"client{number}turn{turn}"
            answer = server.request(f"/?id=c{number}&text={text}{finish}")
            if answer.text != text or not answer.complete:
                wrong.append((text, answer))
            journal.wait("end", f"c{number}", count=turn + 1)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
