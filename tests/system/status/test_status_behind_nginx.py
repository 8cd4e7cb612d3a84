"""The status behind nginx, by the location of conf/nginx.conf."""

import json
import os
import pathlib
import urllib.request

import pytest

from harness.address import Address, free_port

SAMPLE = pathlib.Path(__file__).resolve().parents[3] / "conf" / "nginx.conf"


@pytest.mark.skipif(not os.path.exists("/etc/nginx/fastcgi_params"), reason="no /etc/nginx/fastcgi_params")
def test_the_sample(manager, nginx, app, tmp_path):
    beside = Address.make("unix", tmp_path, "beside")
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}", "pm.status_path": "/status", "pm.status_listen": beside,
    })
    port = free_port()
    text = SAMPLE.read_text().replace("listen 8080", f"listen 127.0.0.1:{port}")
    text = text.replace("/run/overtime/www-status.sock", beside.path)
    text = text.replace("/run/overtime/www.sock", daemon.address.path)
    nginx(daemon.address, http=text)

    def get(target):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{target}", timeout=30) as answer:
            return answer.headers["Content-Type"], answer.read().decode()

    assert get("/?id=a&text=hello")[1] == "hello"
    kind, body = get("/status?json&full")
    found = json.loads(body)
    assert kind == "application/json" and found["accepted conn"] == 1 and len(found["processes"]) == 1
    assert found["overtime"]["histograms"]["queue_wait"]["count"] == 1
    assert get("/status?html")[0].startswith("text/html")
    assert get("/status?openmetrics")[1].endswith("# EOF\n")
    assert get("/status")[1].startswith("pool:                 www\n")
