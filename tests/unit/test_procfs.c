/* test_procfs.c: a line of /proc/PID/statm, and malformed ones. */
#include "sapi-shim/util/procfs.h"

#include <criterion/criterion.h>

Test(procfs, private_memory)
{
    static const struct {
        const char *line;
        bool good;
        uint64_t bytes;
    } cases[] = {
        {"1000 300 100 7 0 80 0\n", true, 200ull * 4096},
        {"1000 300 300 7 0 80 0\n", true, 0},
        {"1000 100 300 7 0 80 0\n", true, 0}, /* counted at different moments */
        {"1000 300 100", true, 200ull * 4096},
        {"1000 300\n", false, 0},
        {"1000 300 ", false, 0},
        {"", false, 0},
        {"resident 300 100\n", false, 0},
        {"1000 300x 100\n", false, 0},
        {"1000 99999999999999999999 100\n", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bytes = 0;
        cr_expect(procfs_private(cases[i].line, 4096, &bytes) == cases[i].good, "case %zu", i);
        cr_expect(bytes == cases[i].bytes, "case %zu", i);
    }
}
