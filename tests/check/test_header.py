"""overtime.h as applications include it: in C, in C++, and with the short names."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-I", str(ROOT / "sapi-shim")]


def compile_text(tmp_path, text, suffix=".c", flags=()):
    source = tmp_path / f"source{suffix}"
    source.write_text(text, encoding="ascii")
    compiler = "cc" if suffix == ".c" else "c++"
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    command = [compiler, *WARNINGS, *flags, "-c", str(source), "-o", str(tmp_path / "object.o")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("suffix", [".c", ".cc"])
def test_header_stands_alone(tmp_path, suffix):
    text = "#include <overtime.h>\nint main(void) { return ot_finish_request() ? 1 : 0; }\n"
    done = compile_text(tmp_path, text, suffix)
    assert done.returncode == 0, done.stderr


def test_short_names(tmp_path):
    text = (
        "#define OVERTIME_SHORT_NAMES\n#include <overtime.h>\n"
        "int main(void) { set_label(\"x\"); return finish_request() + request_finished()"
        " + (int)connection_status() + connection_aborted() + ignore_user_abort(-1)"
        " + set_time_limit(1) + register_shutdown_function(0, 0) + checkpoint() + abort_fd(); }\n"
    )
    done = compile_text(tmp_path, text)
    assert done.returncode == 0, done.stderr


RUN = "int main() { return ot_run(nullptr, nullptr); }\n"


def test_cxx_is_refused_the_jump(tmp_path):
    done = compile_text(tmp_path, "#include <overtime.h>\n" + RUN, ".cc")
    assert done.returncode != 0
    assert "without running C++ destructors" in done.stderr


def test_cxx_may_insist(tmp_path):
    define = "#define OVERTIME_CXX_MAY_SKIP_DESTRUCTORS\n#include <overtime.h>\n"
    done = compile_text(tmp_path, define + RUN, ".cc")
    assert done.returncode == 0, done.stderr
