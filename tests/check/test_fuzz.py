"""The seed corpora of the fuzz targets run without a finding; `make fuzz` searches for more."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("OVERTIME_BUILD", ROOT / "build"))
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in (ROOT / "tests" / "fuzz").glob("fuzz_*.c"))


@pytest.mark.parametrize("target", TARGETS)
def test_corpus(target):
    corpus = ROOT / "tests" / "fuzz" / "corpus" / target
    seeds = list(corpus.iterdir())
    done = subprocess.run([BUILD / "fuzz" / target, corpus], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{len(seeds)} inputs\n" and seeds


def test_a_finding_is_a_failure(tmp_path):
    """The same programs fail where a property does not hold: a target that cannot fail proves nothing."""
    source = tmp_path / "fuzz_never.c"
    source.write_text(
        '#include "tests/fuzz/fuzz.h"\n'
        "int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)\n"
        "{\n    (void)data;\n    FUZZ_CHECK(size != 3);\n    return 0;\n}\n",
        encoding="ascii",
    )
    program = tmp_path / "never"
    replay = ROOT / "tests" / "fuzz" / "replay.c"
    subprocess.run(["cc", "-D_GNU_SOURCE", f"-I{ROOT}", source, replay, "-o", program], check=True)
    for text, fine in (("ab", True), ("abc", False)):
        (tmp_path / "input").write_text(text, encoding="ascii")
        done = subprocess.run([program, tmp_path / "input"], capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == fine, done
