/* fuzz_config.c: a configuration file. What is accepted, printed, and read again prints the same.
 *
 * Inputs with `include` are left out: they would read this machine's files.
 */
#include "fpm/config/config.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct config *fuzz_config_load(const void *bytes, size_t size)
{
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct config_report report = {0};
    struct config *config = config_load(path, CONFIG_ALLOW_ROOT, &report);
    FUZZ_CHECK((config == NULL) == (report.failed > 0));
    config_report_free(&report);
    close(fd);
    return config;
}

/* Positions differ between the two files: only the values count, as JSON has them. */
static char *fuzz_config_values(const struct config *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL || config_json(config, NULL, out) != 0 || fclose(out) != 0)
        abort();
    return text;
}

static char *fuzz_config_dump(const struct config *config, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    if (out == NULL || config_dump(config, out) != 0 || fclose(out) != 0)
        abort();
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (memmem(data, size, "include", 7) != NULL)
        return 0;
    struct config *config = fuzz_config_load(data, size);
    if (config == NULL)
        return 0;
    size_t length = 0;
    char *dump = fuzz_config_dump(config, &length);
    struct config *again = fuzz_config_load(dump, length);
    FUZZ_CHECK(again != NULL);
    size_t length_again = 0;
    char *dump_again = fuzz_config_dump(again, &length_again);
    char *values = fuzz_config_values(config);
    FUZZ_CHECK(values[0] == '{');
    config_free(&config);
    config_free(&again);
    free(values);
    free(dump);
    free(dump_again);
    return 0;
}
