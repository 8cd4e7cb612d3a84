"""Who knows whom: layers look down only, and no two files know each other.

A unit is a .c file with its header, or either alone. It knows the units whose headers it includes,
its own aside.
"""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("fpm", "sapi-shim")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


def unit(path):
    """fpm/pool.c -> fpm/pool"""
    return str(path.relative_to(ROOT).with_suffix(""))


def included(path):
    """The units whose headers a file includes; a header is named from the root or from beside it."""
    units = set()
    for name in INCLUDE.findall(path.read_text()):
        target = ROOT / name if (ROOT / name).exists() else path.parent / name
        assert target.exists(), f"{path.relative_to(ROOT)} includes {name}, which does not exist"
        units.add(unit(target.resolve()))
    return units


def graph():
    known = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*.[ch]")):
            known.setdefault(unit(path), set()).update(included(path))
    for name, others in known.items():
        others.discard(name)
    return known


def ring(known):
    """One ring, as a list of units that ends where it begins, or an empty list."""
    done, trail = set(), []

    def visit(name):
        if name in trail:
            return trail[trail.index(name):] + [name]
        if name in done:
            return []
        trail.append(name)
        for other in sorted(known.get(name, ())):
            found = visit(other)
            if found:
                return found
        trail.pop()
        done.add(name)
        return []

    for name in sorted(known):
        found = visit(name)
        if found:
            return found
    return []


def test_finds_rings():
    assert ring({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert ring({"a": {"b"}, "b": {"a"}}) == ["a", "b", "a"]
    assert ring({"x": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]


def test_reads_the_sources():
    known = graph()
    assert "sapi-shim/contract" in known
    assert "fpm/value" in known["fpm/directive"]


def test_no_two_files_know_each_other():
    known = graph()
    pairs = sorted(
        {tuple(sorted((a, b))) for a in known for b in known[a] if a in known.get(b, ())}
    )
    assert pairs == []


def test_no_ring():
    found = ring(graph())
    assert not found, " -> ".join(found)


def test_library_knows_nothing_of_the_manager():
    strangers = {
        name: sorted(other for other in others if not other.startswith("sapi-shim/"))
        for name, others in graph().items()
        if name.startswith("sapi-shim/")
    }
    assert {name: others for name, others in strangers.items() if others} == {}


def test_manager_knows_little_of_the_library():
    """The treaty, how a slot is read, how texts are read, and what log lines and the status say."""
    names = ("contract", "slot", "scalar", "statm", "utf8", "line", "format", "endings", "measure")
    names += ("view", "queue", "status", "status_json")
    allowed = {"sapi-shim/" + name for name in names}
    programs = {"fpm/overtime_status": {"sapi-shim/answer"}}  # on the library, not in the manager
    strangers = {
        name: sorted(
            other
            for other in others
            if other.startswith("sapi-shim/") and other not in allowed | programs.get(name, set())
        )
        for name, others in graph().items()
        if name.startswith("fpm/")
    }
    assert {name: others for name, others in strangers.items() if others} == {}
