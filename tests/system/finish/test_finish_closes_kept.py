"""ot_finish_request closes kept connections: the next request goes to another worker at once."""


def test_next_request_is_served_elsewhere(serve, web, listen, journal):
    """If the connection were kept, the web server would send its next request to the busy worker."""
    serve("-m", "run", count=2)
    server = web(listen, keep=True)
    for number in range(6):
        warm = server.request(f"/?id=warm{number}&text=warm")
        assert warm.complete and warm.text == "warm"
        answer = server.request(f"/?id=busy{number}&text=accepted&finish&wait=go{number}")
        assert (answer.complete, answer.text) == (True, "accepted")
        busy = journal.wait("wait", f"busy{number}").pid
        for other in range(3):
            answer = server.request(f"/?id=n{number}.{other}&text=next")
            assert (answer.complete, answer.text) == (True, "next")
            assert int(answer.headers["X-Worker"]) != busy
        assert not journal.events(f"busy{number}", "end")
        journal.signal(f"go{number}")
        journal.wait("end", f"busy{number}")
