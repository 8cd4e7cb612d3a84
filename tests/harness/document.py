"""Runs a page of packaging/doc as its reader would: each command, in order, as root of a machine of its own.

A page is Markdown. Its fenced blocks mean:

- `sh`: commands, run in order by one shell; the first that fails ends the page.
- any other language: the contents of the file whose path stands in the last pair of backticks before the block.
- `text` right after commands: what they print. A line of it must be printed as it is; `...` stands for any
  characters.
- a block with no language is not run, nor is one after the comment `<!-- not run: REASON -->`.

The machine is made of namespaces: the product is installed in /usr/local, /etc is a copy with the installed
configuration, and /run, /srv, /var/log, /var/www and /tmp are empty. No process and no file outlives it.
"""

import os
import pathlib
import re
import shutil
import subprocess

from harness import build

PAGES = build.ROOT / "packaging" / "doc"
BLOCK = re.compile(r"^(?P<fence>```+)(?P<language>\w*)\n(?P<text>.*?)^(?P=fence)$", re.DOTALL | re.MULTILINE)
NOT_RUN = re.compile(r"<!-- not run: .*? -->\s*\Z", re.DOTALL)
LIMIT = 120  # seconds for one page

# What stands for programs that a machine without systemd and without a network has not.
STAND_INS = {
    "sudo": 'exec "$@"',
    "apt-get": """for word; do
    case $word in -*|install|update|*=*) ;;
    *) dpkg-query -W -f '${db:Status-Status}' "$word" 2>/dev/null | grep -qx installed || { echo "no package $word" >&2; exit 100; } ;;
    esac
done""",
    "systemctl": """verb=$1; shift; [ "$1" != --now ] || shift
running() { [ -e "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }
case $verb/${1%.service} in
*/overtime)
    case $verb in
    enable|start) setsid overtime -F -g /run/overtime.pid </dev/null 2>>/var/log/overtime.journal &
        for i in $(seq 200); do overtimectl ping >/dev/null 2>&1 && exit 0; sleep 0.05; done
        cat /var/log/overtime.journal >&2; exit 1 ;;
    reload) exec overtimectl reload --wait ;;
    stop) exec overtimectl quit --wait ;;
    esac ;;
*/nginx) if running /run/nginx.pid; then nginx -s reload; else nginx; fi ;;
*/apache2) if running /run/apache2/apache2.pid; then apachectl graceful; else apachectl start; fi ;;
daemon-reload/*) ;;
*) echo "systemctl $verb $*: unknown here" >&2; exit 1 ;;
esac""",
    "journalctl": "cat /var/log/overtime.journal",
}

MACHINE = r"""
set -euo pipefail
umask 022
install=$1 page=$2 tools=$3
ip link set lo up 2>/dev/null || true

# A copy of /etc, so that what the page and its programs write there is not written to this machine.
mkdir "$tools/etc" && cp -a /etc/. "$tools/etc/"
rm -rf "$tools/etc/overtime" && cp -a "$install/etc/overtime" "$tools/etc/"
# What `make install` does where nothing is installed for a package.
mount --bind "$install/usr/local" /usr/local
/sbin/ldconfig -X -C "$tools/etc/ld.so.cache"
mount --bind "$tools/etc" /etc

# The page's own files are below /tmp: they stay, at the same place of an empty /tmp.
for folder in /run /srv /var/log; do mount -t tmpfs -o mode=755 none $folder; done
mkdir -p /run/page && mount --bind "$tools" /run/page
mount -t tmpfs -o mode=1777 none /tmp
mkdir -p "$tools" && mount --bind /run/page "$tools"
mkdir -p /var/log/nginx /var/log/apache2 /var/log/overtime /run/lock /run/apache2
[ ! -d /var/www ] || mount --bind "$tools/web" /var/www
export PATH="$tools/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export HOME=/srv/home LC_ALL=C.UTF-8
mkdir -p $HOME && cd $HOME
exec bash -euo pipefail "$page"
"""


class Failure(AssertionError):
    """A command of a page failed, or printed something else."""


def steps(text):
    """The page's steps: ("run", commands, what they print or None) and ("file", path, contents)."""
    found, end = [], 0
    for block in BLOCK.finditer(text):
        between, language = text[end:block.start()], block["language"]
        end = block.end()
        if not language or NOT_RUN.search(between):
            continue
        if language == "sh":
            found.append(["run", block["text"], None])
        elif language == "text":
            if not found or found[-1][0] != "run" or between.strip():
                raise Failure(f"expected output without commands before it: {block['text']}")
            found[-1][2] = block["text"]
        else:
            paths = re.findall(r"`([\w./-]+)`", between)
            if not paths:
                raise Failure(f"no path before this block of {language}: {block['text']}")
            found.append(["file", paths[-1], block["text"]])
    return found


def script(page, directory):
    """One shell script that takes all steps; the output of step N is in the file N.out."""
    lines = []
    for number, (kind, first, second) in enumerate(steps(page)):
        if kind == "file":
            (directory / f"{number}.file").write_text(second)
            lines += [f"mkdir -p \"$(dirname '{first}')\"", f"cp '{directory}/{number}.file' '{first}'"]
        else:
            lines += [f"exec >'{directory}/{number}.out' 2>&1", first.rstrip("\n")]
    (directory / "page.sh").write_text("\n".join(lines) + "\n")
    return directory / "page.sh"


def not_printed(expected, output):
    """The lines of `expected` that `output` does not have, in any order."""
    lines = output.splitlines()
    missing = []
    for line in expected.splitlines():
        pattern = ".*".join(re.escape(part) for part in line.strip().split("..."))
        if not any(re.fullmatch(pattern, found.strip()) for found in lines):
            missing.append(line)
    return missing


def why_not():
    """Why pages cannot run here, or None."""
    if os.geteuid() != 0:
        return "only root can make namespaces"
    done = subprocess.run(["unshare", "-mpnf", "--mount-proc", "true"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"no namespaces: {done.stderr.strip()}"


def run(page, install, directory):
    """Runs the page in a machine with the product that is installed below `install`."""
    bin_folder = directory / "bin"
    bin_folder.mkdir()
    (directory / "web").mkdir()
    for name, text in STAND_INS.items():
        (bin_folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (bin_folder / name).chmod(0o755)
    (bin_folder / "ldconfig").write_text("#!/bin/sh\n")
    directory.chmod(0o755)
    own = directory / "install"
    shutil.copytree(install, own, symlinks=True)
    path = script(page.read_text(), directory)
    (directory / "machine.sh").write_text(MACHINE)
    done = subprocess.run(
        ["unshare", "-mpnf", "--mount-proc", "--propagation", "private", "--kill-child",
         "bash", directory / "machine.sh", own, path, directory],
        capture_output=True, text=True, timeout=LIMIT, check=False, stdin=subprocess.DEVNULL)
    outputs = {int(found.stem): found.read_text(errors="replace") for found in directory.glob("*.out")}
    if done.returncode != 0:
        last = max(outputs, default=None)
        raise Failure(f"{page.name} failed ({done.returncode}):\n{steps(page.read_text())[last][1] if outputs else ''}"
                      f"--- printed:\n{outputs.get(last, '')}{done.stderr}")
    for number, (kind, commands, expected) in enumerate(steps(page.read_text())):
        if kind == "run" and expected:
            missing = not_printed(expected, outputs[number])
            if missing:
                raise Failure(f"{page.name}: {commands}--- did not print:\n" + "\n".join(missing)
                              + f"\n--- but:\n{outputs[number]}")
