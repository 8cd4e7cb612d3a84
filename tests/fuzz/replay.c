/* replay.c: runs a fuzz target once for each file that is named, without a fuzzer.
 *
 * The normal test run replays the seed corpus with it, under any compiler. A folder stands for the
 * files in it.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    char *bytes = NULL;
    size_t size = 0;
    FILE *copy = open_memstream(&bytes, &size);
    for (int byte; copy != NULL && (byte = fgetc(file)) != EOF;)
        fputc(byte, copy);
    fclose(file);
    if (copy == NULL || fclose(copy) != 0) {
        perror(path);
        free(bytes);
        return -1;
    }
    /* A block of exactly this size, so that sanitizers see a read beyond its end. */
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (data != NULL) {
        memcpy(data, bytes, size);
        LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
    free(bytes);
    return data != NULL ? 0 : -1;
}

/* Returns the number of files that were run, or -1. */
static int replay(const char *path)
{
    struct stat stat_now;
    if (stat(path, &stat_now) != 0 || !S_ISDIR(stat_now.st_mode))
        return replay_file(path) == 0 ? 1 : -1;
    DIR *folder = opendir(path);
    int count = 0;
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char inner[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (replay_file(inner) != 0) {
            count = -1;
            break;
        }
        count++;
    }
    if (folder != NULL)
        closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int count = replay(argv[i]);
        if (count < 0)
            return 1;
        total += count;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
