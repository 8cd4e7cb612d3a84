"""Every command and file of the pages in packaging/doc works as it stands, and the pages link to what exists."""

import os
import re
import subprocess

import pytest

from harness import build, document

pytestmark = pytest.mark.unsanitized

PAGES = sorted(document.PAGES.glob("*.md"))
SCREEN = 130  # lines: a page is read in one go


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which `make install` put everything."""
    reason = document.why_not()
    if build.SANITIZED or reason:
        pytest.skip(reason or "the sanitizer build is not for installing")
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(["make", "install", f"BUILD={build.BUILD}", f"DESTDIR={folder}"], cwd=build.ROOT,
                   capture_output=True, timeout=300, check=True, stdin=subprocess.DEVNULL)
    for path in [folder, *folder.parents]:
        if path.stat().st_mode & 0o755 != 0o755 and path.owner() == "root":
            path.chmod(0o755)
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if document.steps(page.read_text())], ids=lambda page: page.stem)
def test_page(page, installed, tmp_path):
    document.run(page, installed, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_one_screen(page):
    if page.stem != "security":  # a table of its own kind
        assert len(page.read_text().splitlines()) <= SCREEN


def test_all_are_linked_from_the_readme():
    readme = (build.ROOT / "README.md").read_text()
    assert [page.name for page in PAGES if f"packaging/doc/{page.name}" not in readme] == []


# ---- the harness itself ----

def test_nothing_is_written_to_this_machine(installed, tmp_path):
    paths = [f"{folder}/{tmp_path.name}.left" for folder in ("/etc", "/etc/overtime", "/tmp", "/run", "/srv", "/var/log")]
    page = tmp_path / "page.md"
    page.write_text("A page.\n\n```sh\n" + "".join(f"echo a >{path}\n" for path in paths) + "cat " + " ".join(paths) + "\n```\n")
    (tmp_path / "a").mkdir()
    document.run(page, installed, tmp_path / "a")
    assert [path for path in paths if os.path.exists(path)] == []


def test_a_command_that_fails_is_found(installed, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("A page.\n\n```sh\ntrue\nfalse\necho not reached\n```\n")
    (tmp_path / "a").mkdir()
    with pytest.raises(document.Failure):
        document.run(page, installed, tmp_path / "a")


def test_other_output_is_found(installed, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("In `/srv/x/a.txt`:\n\n```ini\nhello you\n```\n\n```sh\ncat /srv/x/a.txt\n```\n\n```text\nhello ...u\n```\n")
    (tmp_path / "a").mkdir()
    document.run(page, installed, tmp_path / "a")
    page.write_text(page.read_text().replace("hello ...u", "hello me"))
    (tmp_path / "b").mkdir()
    with pytest.raises(document.Failure):
        document.run(page, installed, tmp_path / "b")
