"""A program that is linked with the library keeps it, for each way to accept, also if the linker drops unused libraries."""

import subprocess

import pytest

from harness import build, fastcgi
from harness.held import wait_total
from harness.totals import totals

pytestmark = pytest.mark.unsanitized

STDIO = """#include <fcgi_stdio.h>
int main(void) { while (FCGI_Accept() >= 0) printf("Content-type: text/plain\\r\\n\\r\\nfine"); return 0; }
"""
STDIO_FINISH = """#include <fcgi_stdio.h>
int main(void)
{
    while (FCGI_Accept() >= 0) { puts("Content-type: text/plain\\r\\n\\r\\nfine"); FCGI_Finish(); }
    return 0;
}
"""
GLOBAL = """#include <fcgiapp.h>
int main(void)
{
    FCGX_Stream *in, *out, *err; FCGX_ParamArray envp;
    while (FCGX_Accept(&in, &out, &err, &envp) >= 0) FCGX_PutS("Content-type: text/plain\\r\\n\\r\\nfine", out);
    return 0;
}
"""
REENTRANT = """#include <fcgiapp.h>
int main(void)
{
    FCGX_Request r;
    FCGX_Init(); FCGX_InitRequest(&r, 0, 0);
    while (FCGX_Accept_r(&r) >= 0) { FCGX_PutS("Content-type: text/plain\\r\\n\\r\\nfine", r.out); FCGX_Finish_r(&r); }
    return 0;
}
"""


@pytest.mark.parametrize("source", [STDIO, STDIO_FINISH, GLOBAL, REENTRANT],
                         ids=["FCGI_Accept", "FCGI_Finish", "FCGX_Accept", "FCGX_Accept_r"])
@pytest.mark.parametrize("flags", [["-Wl,--as-needed"], ["-Wl,--no-as-needed"]], ids=["as-needed", "all"])
def test_linked_is_attached(manager, tmp_path, source, flags):
    if build.SANITIZED:
        pytest.skip("the library's sanitizer would have to be linked first")
    (tmp_path / "app.c").write_text(source)
    subprocess.run(
        [*build.compiler(), *flags, "app.c", f"-L{build.BUILD}", f"-Wl,-rpath,{build.BUILD}", "-lovertime", "-lfcgi",
         "-o", "app"],
        cwd=tmp_path, check=True, timeout=120,
    )
    daemon = manager({"command": tmp_path / "app"})
    wait_total(daemon, idle=1, unknown=0)
    for _ in range(3):
        assert fastcgi.request(daemon.address).text.strip() == "fine"
    wait_total(daemon, idle=1)
    assert totals(daemon)["requests"] == 3
