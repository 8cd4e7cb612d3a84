"""Every snippet of README, manuals and samples passes `overtime -t`, and works behind the real web server."""

import json
import os
import re
import subprocess
import urllib.error
import urllib.request

import pytest

from harness import build, fastcgi
from harness.address import free_port
from harness.web import Apache

ROOT = build.ROOT
README = (ROOT / "README.md").read_text()
MANUALS = sorted((ROOT / "packaging" / "man").iterdir())
FILES = {"apache.conf", "nginx.conf", "overtime.ini", "pool.d/www.ini"}


def fenced(kind):
    return re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL)


def displays():
    """The literal displays of the manuals that are configurations."""
    found = []
    for path in MANUALS:
        for text in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", path.read_text(), re.DOTALL | re.MULTILINE):
            text = text.replace("\\e", "\\").replace("\\&", "")
            if re.search(r"^\[[\w.-]+\]$", text, re.MULTILINE) and " = " in text:
                found.append((path.name, text))
    return found


def local(text, directory, app):
    """With the paths, users and addresses of this machine in place of the examples'."""
    program = f"{app('worker')} {directory}"
    text = re.sub(r"(?m)^command = \S+", f"command = {program}", text)
    text = re.sub(r"/(run|var/log|srv/\w+)/(overtime/)?", f"{directory}/", text)
    text = re.sub(r"(?m)^;?(user|group|control\.owner|control\.group|listen\.owner|listen\.group) = (?!www-data).*\n", "", text)
    return re.sub(r"\b10\.0\.0\.5:9000\b", f"127.0.0.1:{free_port()}", text)


def check(directory, text):
    """Runs `overtime -t` on the text, whose pools run as root where root runs the test."""
    path = directory / "snippet.ini"
    if os.geteuid() == 0:
        text = re.sub(r"(?m)^user = .*\n", "", text)
        text = re.sub(r"(?m)^(\[(?!global\])[\w.-]+\])$", r"\1\nuser = root", text)
    path.write_text(text)
    words = [str(build.OVERTIME), "-t", "-c", str(path)] + ["-R"] * (os.geteuid() == 0)
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, **build.sanitizer_environment(directory)})
    assert done.returncode == 0, f"{done.stderr}\n{text}"
    assert "nothing is substituted" not in done.stderr and "no effect" not in done.stderr, done.stderr


def test_none_is_forgotten():
    """A new sample, or a manual's new display, must be looked at here."""
    samples = {str(p.relative_to(ROOT / "conf")) for p in (ROOT / "conf").rglob("*") if p.suffix in (".ini", ".conf")}
    assert samples == FILES
    assert len(fenced("ini")) == 2 and len(fenced("nginx")) == 2 and len(fenced("apache")) == 2
    assert [name for name, _ in displays()] == ["overtime.8"] + ["overtime.ini.5.in"] * 2


@pytest.mark.parametrize("number", range(3))
def test_displays_of_the_manuals(tmp_path, app, number):
    check(tmp_path, local(displays()[number][1], tmp_path, app))


def test_the_readme(tmp_path, app):
    whole, status = fenced("ini")
    check(tmp_path, local(whole, tmp_path, app))
    check(tmp_path, local(whole + status, tmp_path, app))


@pytest.mark.parametrize("commented", [True, False], ids=["as-it-is", "all-examples"])
def test_the_samples(tmp_path, app, commented):
    """As they are, and with every example in force that does not exclude another one."""
    main = (ROOT / "conf" / "overtime.ini").read_text()
    pool = (ROOT / "conf" / "pool.d" / "www.ini").read_text()
    if not commented:
        wanted = r"(?m)^;((?:pm\.status|ping|slowlog(?= )|access\.|request_|post_)[\w.\[\]]* = .*)$"
        given = set(re.findall(r"(?m)^([\w.\[\]]+) = ", pool))
        pool = re.sub(wanted, lambda m: m[0] if m[1].split(" =")[0] in given else m[1], pool)
        assert "\npm.status_listen = " in pool and "\nslowlog = /var/log/overtime/$pool.slow" in pool, pool
    main = re.sub(r"(?m)^include = .*\n", "", main)
    check(tmp_path, local(main + "\n" + pool, tmp_path, app))


# ---- behind the real web servers ----

def get(port, target):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{target}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def pasted(manager, tmp_path, app):
    """A manager with the README's two snippets, one under the other."""
    text = local("".join(fenced("ini")), tmp_path, app)
    text = text.replace("[global]\n", f"[global]\ncontrol.listen = {tmp_path}/overtime.ctl\n")
    text = re.sub(r"(?m)^error_log = .*$", f"error_log = {tmp_path}/overtime.log", text)
    if os.geteuid() == 0:
        text = re.sub(r"(?m)^user = .*$", "user = root\nlisten.group = www-data", text)
    sanitizer = "".join(f'env[{k}] = "{v}"\n' for k, v in build.sanitizer_environment(tmp_path).items())
    return manager(text=text + sanitizer, listen=[f"{tmp_path}/www.sock"])


def looks(port):
    assert get(port, "/?id=a&text=hello") == (200, "hello")
    kind, body = get(port, "/status?json&full")
    assert kind == 200 and json.loads(body)["accepted conn"] == 1
    for path in ("/status/42", "/status/"):
        assert get(port, f"{path}?id=b&text=mine") == (200, "mine"), path


@pytest.mark.skipif(not os.path.exists("/etc/nginx/fastcgi_params"), reason="no /etc/nginx/fastcgi_params")
@pytest.mark.parametrize("source", ["README", "sample"])
def test_nginx(manager, nginx, app, tmp_path, source):
    daemon = pasted(manager, tmp_path, app)
    port = free_port()
    if source == "sample":
        http = (ROOT / "conf" / "nginx.conf").read_text().replace("listen 8080", f"listen 127.0.0.1:{port}")
    else:
        http = f"server {{ listen 127.0.0.1:{port};\n{''.join(fenced('nginx'))}}}"
    nginx(daemon.address, http=http.replace("/run/overtime/", f"{tmp_path}/"))
    looks(port)


@pytest.mark.parametrize("source", ["README", "sample"])
def test_apache(request, manager, app, tmp_path, source):
    if Apache.path() is None or not os.path.exists(f"{Apache.modules}/mod_headers.so"):
        pytest.skip("Apache is not installed (packaging/install-deps test)")
    daemon = pasted(manager, tmp_path, app)
    modules = "".join(f"LoadModule {name}_module {Apache.modules}/mod_{name}.so\n" for name in ("headers", "authz_host"))
    if source == "sample":
        port = free_port()
        lines = (ROOT / "conf" / "apache.conf").read_text().replace("8080", f"127.0.0.1:{port}")
        lines = lines.replace("<VirtualHost *:127", "<VirtualHost 127")
    else:
        port, (application, status) = None, fenced("apache")
        lines = status + application
    web = Apache(tmp_path, daemon.address, server=modules + lines.replace("/run/overtime/", f"{tmp_path}/"))
    # The harness's own line would come before those of a VirtualHost.
    conf = web.directory / "apache.conf"
    conf.write_text(re.sub(r'ProxyPass "/" .*\s*\Z', "", conf.read_text()) if source == "sample" else conf.read_text())
    request.addfinalizer(web.stop)
    web.start()
    looks(port or web.port)


ON_NEWS = """
#include <fcgiapp.h>
#include <overtime.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

struct code {
    bool thrown;
};

static bool step(const struct code *code)
{
    return !code->thrown;
}

static void throw_timeout_or_abort(struct code *code)
{
    code->thrown = true;
}

%s
static int handle(FCGX_Request *request, void *argument)
{
    struct code code = {false};
    (void)argument;
    evaluate(&code);
    ot_set_time_limit(0);
    FCGX_FPrintF(request->out, "Content-Type: text/plain\\r\\n\\r\\nthrown %%u", ot_connection_status());
    return 0;
}

int main(void)
{
    %s
    return ot_run(handle, NULL);
}
"""


def test_the_example_of_ot_on_news(manager, tmp_path):
    """The interpreter's loop, which never reaches a safe point, ends at the limit."""
    text = (ROOT / "packaging/man/overtime.3").read_text()
    (example,) = [found for found in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.DOTALL | re.MULTILINE)
                  if "ot_on_news(" in found]
    functions, _, call = example.replace("\\e", "\\").rpartition("\n\n")
    (tmp_path / "app.c").write_text(ON_NEWS % (functions, call))
    subprocess.run([*build.compiler(), "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/sapi-shim",
                    *["-fsanitize=address,undefined"] * build.SANITIZED, "app.c", f"-L{build.BUILD}",
                    f"-Wl,-rpath,{build.BUILD}", "-lovertime", "-lfcgi", "-o", "app"], cwd=tmp_path, check=True, timeout=300)
    daemon = manager({"command": tmp_path / "app", "max_execution_time": "300ms", "hard_timeout": "60s",
                      "bailout": "none"})
    assert fastcgi.request(daemon.address).text == "thrown 2"
