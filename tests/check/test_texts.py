"""CONTRIBUTING.md and README.md name files, folders and functions that exist."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXTS = ("CONTRIBUTING.md", "README.md")
OTHERS = {"fcgi_stdio.h"}
FILE = re.compile(r"`([\w.-]+(?:/[\w.-]+)*/?)`")
FUNCTION = re.compile(r"`(\w+)\(\)`")
TOPS = ("fpm/", "sapi-shim/", "tests/", "conf/", "packaging/")
SUFFIXES = (".c", ".h", ".py", ".def", ".html", ".md", ".ini")


def source_files():
    found = []
    for top in TOPS:
        found += [path for path in (ROOT / top).rglob("*") if path.suffix in SUFFIXES]
    return found


def words(text, pattern):
    prose = re.sub(r"^```.*?^```", "", (ROOT / text).read_text(), flags=re.MULTILINE | re.DOTALL)
    return sorted(set(pattern.findall(prose)))


@pytest.mark.parametrize("text", TEXTS)
def test_files_exist(text):
    """A path from the top, or the name alone of a file that the text has named before."""
    names = {path.name for path in source_files()}
    missing = []
    for word in words(text, FILE):
        if "/" in word:
            placeholder = re.search("SUBJECT|NAME|UNIT", word)
            if word.startswith(TOPS) and not placeholder and not (ROOT / word).exists():
                missing.append(word)
        elif word.endswith(SUFFIXES) and word not in names | OTHERS and not (ROOT / word).exists():
            missing.append(word)
    assert not missing, f"{text} names what does not exist: {missing}"


@pytest.mark.parametrize("text", TEXTS)
def test_functions_exist(text):
    code = "\n".join(path.read_text() for path in source_files() if path.suffix in (".c", ".py"))
    missing = [name for name in words(text, FUNCTION) if not re.search(rf"\b{name}\(", code)]
    assert not missing, f"{text} names functions that do not exist: {missing}"


def test_every_folder_is_on_the_map():
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    folders = {path.parent for top in ("fpm", "sapi-shim") for path in (ROOT / top).rglob("*.[ch]")}
    missing = [name for folder in folders if f"| `{(name := str(folder.relative_to(ROOT)))}/` |" not in contributing]
    assert not missing, f"CONTRIBUTING.md has no line for {missing}"
