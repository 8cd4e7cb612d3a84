/* client.c: see client.h. */
#include "fpm/ctl/client.h"

#include "fpm/control/control_proto.h"
#include "fpm/ctl/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    CLIENT_SECONDS = 30
};

/* The connection failed: explains errno, 0 = it was closed. */
static int client_lost(char *error, size_t size)
{
    if (errno == EAGAIN)
        snprintf(error, size, "the manager has not answered for %d seconds; is it stopped?",
                 CLIENT_SECONDS);
    else
        snprintf(error, size, "the connection to the manager broke off: %s",
                 errno != 0 ? strerror(errno) : "it was closed");
    return OPTIONS_FAILED;
}

/* Returns a descriptor, or -1 with a sentence, and *status is the exit status. */
static int client_connect(const char *path, enum client_patience patience, int *status, char *error,
                          size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = CLIENT_SECONDS};
    bool limited = patience == CLIENT_SOON || patience == CLIENT_ACCEPTED;
    if (strlen(path) >= sizeof address.sun_path) {
        snprintf(error, size, "%s: the path is too long for a socket", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        (!limited || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0))
        return fd;
    *status = errno == EACCES || errno == EPERM ? OPTIONS_FAILED : EX_UNAVAILABLE;
    if (*status == OPTIONS_FAILED)
        snprintf(error, size,
                 "you may not use %s: be root, or a member of `control.group` where the "
                 "configuration names one",
                 path);
    else
        snprintf(error, size,
                 "no manager at %s: %s; is overtime running, and is this its `control.listen`?",
                 path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

/* Reads the first line: done, or refused with the sentences that follow. */
static int client_verdict(FILE *answer, char *error, size_t size)
{
    char line[CONTROL_LINE_MAX];
    size_t length = strlen(CONTROL_ERROR " ");
    errno = 0;
    if (fgets(line, sizeof line, answer) == NULL)
        return client_lost(error, size);
    if (strcmp(line, CONTROL_OK "\n") == 0)
        return EX_OK;
    if (strncmp(line, CONTROL_ERROR " ", length) != 0) {
        snprintf(error, size, "the answer is malformed: is this the control socket of overtime?");
        return OPTIONS_FAILED;
    }
    int used = snprintf(error, size, "%s", line + length);
    while (used > 0 && (size_t)used < size && fgets(line, sizeof line, answer) != NULL)
        used += snprintf(error + used, size - (size_t)used, "%s", line);
    length = strlen(error);
    if (length > 0 && error[length - 1] == '\n')
        error[length - 1] = '\0';
    return OPTIONS_FAILED;
}

/* Sends the line and reads the verdict. The caller closes *answer, the rest, also after a refusal.
 */
static int client_ask(const char *socket, const struct client_words *words,
                      enum client_patience patience, FILE **answer, char *error, size_t size)
{
    char line[CONTROL_LINE_MAX];
    bool fits = true;
    *answer = NULL;

    /* The line holds words without blanks and newlines. */
    int length = snprintf(line, sizeof line, "%s %s", CONTROL_HELLO, words->verb);
    for (size_t i = 0; i < 4 && words->switches[i] != NULL; i++)
        length += snprintf(line + length, sizeof line - (size_t)length, " %s", words->switches[i]);
    for (int i = 0; i < words->argc && fits; i++) {
        const char *word = words->argv[i];
        fits = *word != '\0' && strpbrk(word, " \n") == NULL &&
               (size_t)length + strlen(word) + 3 <= sizeof line;
        if (fits)
            length += snprintf(line + length, sizeof line - (size_t)length, " %s", word);
    }
    if (!fits) {
        snprintf(error, size, "an argument is empty, too long, or has a blank or a newline");
        return EX_USAGE;
    }
    line[length++] = '\n';

    int status = EX_UNAVAILABLE;
    int fd = client_connect(socket, patience, &status, error, size);
    if (fd < 0)
        return status;
    *answer = fdopen(fd, "r");
    if (*answer == NULL) {
        (void)close(fd);
        return client_lost(error, size);
    }
    /* A manager that refuses at once need not have read the line. */
    errno = 0;
    if (send(fd, line, (size_t)length, MSG_NOSIGNAL) != length && errno != EPIPE)
        return client_lost(error, size);
    return client_verdict(*answer, error, size);
}

int client_show(const char *socket, const struct client_words *words, enum client_patience patience,
                char *error, size_t size)
{
    FILE *answer;
    char data[8192];
    size_t got;
    int status = client_ask(socket, words, patience, &answer, error, size);
    errno = 0;
    while (status == EX_OK && patience != CLIENT_ACCEPTED &&
           (got = fread(data, 1, sizeof data, answer)) > 0)
        if (patience != CLIENT_GONE && fwrite(data, 1, got, stdout) != got)
            break;
    if (status == EX_OK && patience != CLIENT_GONE && ferror(answer))
        status = client_lost(error, size);
    if (status == EX_OK && (fflush(stdout) != 0 || ferror(stdout))) {
        snprintf(error, size, "cannot write: %s", strerror(errno));
        status = OPTIONS_FAILED;
    }
    if (answer != NULL)
        (void)fclose(answer);
    return status;
}

int client_fetch(const char *socket, const struct client_words *words, char **answer, char *error,
                 size_t size)
{
    FILE *from;
    size_t length = 0;
    *answer = NULL;
    int status = client_ask(socket, words, CLIENT_SOON, &from, error, size);
    errno = 0;
    if (status == EX_OK && getdelim(answer, &length, '\0', from) < 0) {
        status = ferror(from) ? client_lost(error, size) : status;
        free(*answer);
        *answer = status == EX_OK ? strdup("") : NULL;
    }
    if (from != NULL)
        (void)fclose(from);
    return status;
}

void client_print(json_t *object)
{
    (void)json_dumpf(object, stdout, JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
    (void)fputc('\n', stdout);
    json_decref(object);
}
