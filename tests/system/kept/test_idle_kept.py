"""More idle kept connections than workers: all are served."""

import threading

from harness import fastcgi


def test_raw_connections(serve, listen, journal):
    serve("-m", "run", count=2)
    connections = [fastcgi.Connection(listen) for _ in range(20)]
    try:
        for turn in range(3):
            for number, connection in enumerate(connections):
                query = f"id=c{number}&text=turn{turn}"
                connection.send_request(fastcgi.cgi_params(query), keep=True)
                response = connection.read_response()
                assert response.text == f"turn{turn}" and response.complete, (number, response)
        assert fastcgi.request(listen, query="id=new&text=new").text == "new"
        assert not any(connection.at_eof for connection in connections)
    finally:
        for connection in connections:
            connection.close()


def test_through_a_web_server(serve, web, listen, journal):
    """One worker, eight clients at once."""
    serve("-m", "loop")
    server = web(listen, keep=True)
    wrong = []

    def client(number):
        for turn in range(25):
            answer = server.request(f"/?id=c{number}&text=turn{turn}")
            if not answer.complete or answer.text != f"turn{turn}":
                wrong.append((number, turn, answer))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    assert len(journal.events(name="begin")) == 8 * 25
