/* plot.c: see plot.h. */
#include "fpm/ctl/plot.h"

#include "fpm/ctl/plot_data.h"
#include "fpm/ctl/plot_svg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

const char plot_more[] =
    "FILE is what `overtimectl record` wrote. For each pool: workers by state with their limits, "
    "the\n"
    "listen queue, half and 99 of 100 of the times to answer, requests a second. A gap in it is "
    "one\n"
    "in the picture. Times are local; TZ=UTC in front of the command makes them others.\n";

static int plot_fail(const char *path, const char *what)
{
    fprintf(stderr, "overtimectl: %s: %s\n", path, what);
    return CTL_FAILED;
}

/* The whole picture first: a file that is there is not lost for one that could not be drawn. */
static int plot_write(const struct plot_data *data, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *picture = open_memstream(&text, &size), *out = stdout;
    if (picture == NULL)
        return plot_fail(path != NULL ? path : "standard output", strerror(errno));
    plot_svg(picture, data);
    bool failed = ferror(picture) != 0;
    failed = fclose(picture) != 0 || failed;
    if (!failed && path != NULL)
        out = fopen(path, "we");
    failed = failed || out == NULL || fwrite(text, 1, size, out) != size || fflush(out) != 0;
    int why = errno;
    if (out != NULL && out != stdout && fclose(out) != 0 && !failed) {
        why = errno;
        failed = true;
    }
    free(text);
    return failed ? plot_fail(path != NULL ? path : "standard output", strerror(why)) : EX_OK;
}

int plot_run(const struct options *call)
{
    const char *path = call->argv[0];
    char error[256];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return plot_fail(path, strerror(errno));
    struct plot_data *data = calloc(1, sizeof *data);
    int status = CTL_FAILED;
    if (data == NULL || plot_data_read(data, file, error, sizeof error) != 0)
        (void)plot_fail(path, data == NULL ? "out of memory" : error);
    else
        status = plot_write(data, options_value(call, 'o'));
    if (status == EX_OK && data->bad_lines > 0)
        fprintf(stderr, "overtimectl: %s: lines that are no samples and were left out: %zu\n", path,
                data->bad_lines);
    if (status == EX_OK && data->pools_left_out > 0)
        fprintf(stderr, "overtimectl: %s: more than %d pools, those above are left out\n", path,
                PLOT_POOLS_MAX);
    (void)fclose(file);
    if (data != NULL)
        plot_data_free(data);
    free(data);
    return status;
}
