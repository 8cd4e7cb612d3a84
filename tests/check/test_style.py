"""What clang-format does not hold: static names carry the prefix of their file, and includes stand in order.

A static function or object begins with its file's name, or with the first word of it: in config_check.c
`config_check_files` or `config_files`. Includes are three runs, each sorted: the file's own header,
headers of the project, headers of the system.
"""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]

NOISE = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | ^[ \t]*\#(?:\\\n|[^\n])*""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
BODY = re.compile(r"\b(struct|union|enum)(?:\s+\w+)?\s*\{[^{}]*\}")
GROUP = re.compile(r"\{[^{}]*\}")
ATTRIBUTE = re.compile(r"__attribute__\s*\(\([^()]*(?:\([^()]*\)[^()]*)*\)\)|_Atomic\s*\([^()]*\)")
FUNCTION = re.compile(r"(\w+)\s*\((?!\s*\*)|\(\s*\*\s*(?:const\s+)?(\w+)")
OBJECT = re.compile(r"(\w+)\s*(?:\[[^\]]*\]\s*)*,")
INCLUDE = re.compile(r"#include ([\"<][^\">]+\.h[\">])")
RUN = re.compile(r"(?:^(?:#include [\"<][^\">]+\.h[\">].*)?\n)+", re.MULTILINE)


def sources(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.[ch]"))]


def statics(text):
    """The names of the static functions and objects at file level, in their order."""
    text = NOISE.sub(" ", text)
    while GROUP.search(text):
        text = BODY.sub(r"\1", text) if BODY.search(text) else GROUP.sub(";", text)
    names = []
    for declaration in ATTRIBUTE.sub(" ", text).split(";"):
        if not re.match(r"\s*(?:_Thread_local\s+)?static\s", declaration):
            continue
        if "(" in declaration.split("=")[0]:
            names += [name for name in FUNCTION.search(declaration).groups() if name]
        else:
            names += OBJECT.findall(re.sub(r"=[^,]*", "", declaration) + ",")
    return names


def foreign(stem, names):
    """The names that begin neither with the file's name nor with its first word."""
    prefixes = (stem, stem.split("_")[0])
    return sorted({name for name in names if name not in prefixes and not name.startswith(tuple(p + "_" for p in prefixes))})


def disorder(stem, text):
    """The first include of each run that does not stand where it should."""

    def place(name):
        own = name[0] == '"' and pathlib.PurePath(name.strip('"')).stem in (stem, stem.removeprefix("test_"))
        return (0 if own else 1 if name[0] == '"' else 2, name)

    runs = [INCLUDE.findall(run) for run in RUN.findall(text)]
    pairs = [next((a for a, b in zip(run, sorted(run, key=place)) if a != b), None) for run in runs]
    return [name for name in pairs if name]


def test_finds_statics():
    text = """
        static int a_count, *b = {1}; /* static int c; */
        static const struct a *const d[] = {{1}, {2}};
        static _Thread_local struct ot_x e;
        __attribute__((format(printf, 1, 2))) static int f(const char *format, ...)
        {
            static int inside;
        }
        static int (*g(int x))(void);
        static void (*h)(int);
        static const struct { struct b { int c; } d; } k[] = {{1}};
        extern int i;
        int j(void) { return 0; }
    """
    assert statics(text) == ["a_count", "b", "d", "e", "f", "g", "h", "k"]


def test_finds_foreign_names():
    assert foreign("a_b", ["a_b_c", "a_c", "a_b", "a", "b_c", "abc"]) == ["abc", "b_c"]


def test_finds_disorder():
    assert disorder("a", '#include "x/a.h"\n\n#include "b.h"\n\n#include <a.h>\n') == []
    assert disorder("test_a", '#include "x/a.h"\n#include "b.h"\nint x;\n#include <a.h>\n') == []
    assert disorder("a", '#include "b.h"\n#include "x/a.h"\n') == ['"b.h"']
    assert disorder("a", '#include <d.h>\n#include <c.h>\nint x;\n#include <b.h>\n') == ["<d.h>"]


def test_statics_carry_the_prefix_of_their_file():
    found = {
        str(path.relative_to(ROOT)): foreign(path.stem, statics(path.read_text()))
        for path in sources("fpm", "sapi-shim")
    }
    assert {path: names for path, names in found.items() if names} == {}


def test_includes_stand_in_order():
    found = {
        str(path.relative_to(ROOT)): disorder(path.stem, path.read_text())
        for path in sources("fpm", "sapi-shim", "tests", "conf", "packaging")
    }
    assert {path: names for path, names in found.items() if names} == {}
