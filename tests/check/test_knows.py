"""Which file includes which: no folder includes a header of one above it, and there is no ring.

A unit is a .c file with its header, or either alone. It knows the units whose headers it includes,
except its own. A folder knows only the folders below it in ORDER.
"""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("fpm", "sapi-shim")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)

# From top to bottom. A file may include what stands in its own folder or in one further down.
ORDER = (
    "fpm",  # main, master: put the manager together
    "fpm/upgrade",
    "fpm/ctl",  # overtimectl, a program of its own
    "fpm/control",
    "fpm/manager",
    "fpm/pool",
    "fpm/slow_log",
    "fpm/access_log",
    "fpm/worker",
    "fpm/config",
    "fpm/log",
    "fpm/helpers",  # programs in libexec
    "fpm/util",
    "sapi-shim/api",
    "sapi-shim/request",
    "sapi-shim/connection",
    "sapi-shim/access_log",
    "sapi-shim/status",
    "sapi-shim/scoreboard",
    "sapi-shim/protocol",
    "sapi-shim/util",
    "sapi-shim",  # contract.h, overtime.h, exit_causes.def, settings.def
)

# The folders of the library that the manager and its programs may know: the contract, how a slot is
# read, how texts are escaped, and what the status and the access log say.
SHARED = {"sapi-shim", "sapi-shim/scoreboard", "sapi-shim/status", "sapi-shim/access_log", "sapi-shim/util"}


# An upgrade hands state over. These subjects have values that only they can name in it; of the others
# upgrade_state.c saves plain fields, and the subject has one function, SUBJECT_adopt, that goes on
# with what was read. Nothing else knows that there are upgrades.
NAME_SAVED_STATE = {
    "fpm/access_log/access_log",
    "fpm/access_log/writer_proto",  # a change raises the version
    "fpm/control/control_server",
    "fpm/main",
    "fpm/pool/socket",
    "fpm/pool/socket_activation",
    "fpm/util/saved_state",
}
NAME_UPGRADE = {"fpm/main", "fpm/master"}


def unit(path):
    """fpm/pool/pool.c -> fpm/pool/pool"""
    return str(path.relative_to(ROOT).with_suffix(""))


def folder(name):
    """fpm/pool/pool -> fpm/pool"""
    return name.rpartition("/")[0]


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
    for top in FOLDERS:
        for path in sorted((ROOT / top).rglob("*.[ch]")):
            known.setdefault(unit(path), set()).update(included(path))
    for name, others in known.items():
        others.discard(name)
    return known


def ring(known):
    """One ring, as a list of units that ends with its first unit, or an empty list."""
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


def upward(known, order):
    """The pairs (unit, unit that it includes) whose folders stand in the wrong order."""
    place = {name: i for i, name in enumerate(order)}
    return sorted(
        (name, other)
        for name, others in known.items()
        for other in others
        if folder(name) != folder(other) and place[folder(other)] < place[folder(name)]
    )


def test_finds_rings():
    assert ring({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert ring({"a": {"b"}, "b": {"a"}}) == ["a", "b", "a"]
    assert ring({"x": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]


def test_finds_what_looks_up():
    order = ("top", "bottom")
    assert upward({"top/a": {"bottom/b", "top/c"}, "bottom/b": set()}, order) == []
    assert upward({"bottom/b": {"top/a"}}, order) == [("bottom/b", "top/a")]


def test_reads_the_sources():
    known = graph()
    assert "sapi-shim/contract" in known
    assert "fpm/config/value_parse" in known["fpm/config/directive"]


def test_every_folder_has_its_place():
    assert {folder(name) for name in graph()} == set(ORDER)


def test_no_two_files_know_each_other():
    known = graph()
    pairs = sorted(
        {tuple(sorted((a, b))) for a in known for b in known[a] if a in known.get(b, ())}
    )
    assert pairs == []


def test_no_ring():
    found = ring(graph())
    assert not found, " -> ".join(found)


def test_no_folder_looks_up():
    assert upward(graph(), ORDER) == []


def test_library_knows_nothing_of_the_manager():
    strangers = {
        name: sorted(other for other in others if not other.startswith("sapi-shim/"))
        for name, others in graph().items()
        if name.startswith("sapi-shim/")
    }
    assert {name: others for name, others in strangers.items() if others} == {}


def test_manager_knows_little_of_the_library():
    strangers = sorted(
        (name, other)
        for name, others in graph().items()
        for other in others
        if name.startswith("fpm/") and other.startswith("sapi-shim/") and folder(other) not in SHARED
    )
    assert strangers == []


def naming(pattern):
    """The units of fpm/, but for fpm/upgrade/, whose files match the pattern."""
    return {
        unit(path)
        for path in (ROOT / "fpm").rglob("*.[ch]")
        if folder(unit(path)) != "fpm/upgrade" and re.search(pattern, path.read_text())
    }


def test_few_know_of_upgrades():
    assert naming(r"(?i)saved_state") == NAME_SAVED_STATE
    assert naming(r"\bupgrade_[a-z]+\(|fpm/upgrade/") == NAME_UPGRADE


def test_one_way_to_adopt():
    for path in (ROOT / "fpm").rglob("*.h"):
        assert len(re.findall(r"\b\w+_adopt\(", path.read_text())) <= 1, path
