/* overtimectl.c: the program `overtimectl`: one verb, one line to the manager, one answer.
 *
 * Shows what the manager says and exits with an honest status: 0 done, 1 refused or failed with the
 * reason on standard error, 64 wrong usage, 69 no manager at that socket.
 */
#include "fpm/control_proto.h"
#include "fpm/version.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    CTL_FAILED = 1,
    CTL_ANSWER_SECONDS = 30
};

struct ctl_options {
    const char *socket;
    bool json;
    bool wait;
    bool all;
};

/* What a verb may be used with. */
static const struct ctl_verb {
    const char *name;
    const char *usage;
    int arguments_min, arguments_max;
    bool waits; /* --wait means something */
    bool all;   /* and --all */
} ctl_verbs[] = {
    {CONTROL_PING, "ping                   is the manager there?", 0, 0, false, false},
    {CONTROL_STATUS, "status [POOL]          pools: workers by state, counters", 0, 1, false,
     false},
    {CONTROL_WORKERS, "workers [POOL]         what every worker does now", 0, 1, false, false},
    {CONTROL_CONFIG, "config                 every effective value with its origin", 0, 0, false,
     false},
    {CONTROL_STOP, "stop [--wait]          stop now", 0, 0, true, false},
    {CONTROL_QUIT, "quit [--wait]          stop when the workers have done their work", 0, 0, true,
     false},
    {CONTROL_REOPEN_LOGS, "reopen-logs            after log rotation", 0, 0, false, false},
    {CONTROL_RELOAD,
     "reload [--all] [--wait]  read the file anew; --all: new workers for every pool", 0, 0, true,
     true},
    {CONTROL_UPGRADE, "upgrade [--wait]       run the program's present file in place of this one",
     0, 0, true, false},
    {CONTROL_TOP, "top                    (not implemented yet)", 0, 0, false, false},
    {CONTROL_TRACE, "trace PID              (not implemented yet)", 1, 1, false, false},
    {CONTROL_REQUEST, "request POOL PATH      (not implemented yet)", 2, 15, false, false},
    {NULL, NULL, 0, 0, false, false},
};

static void ctl_usage(FILE *out)
{
    fputs("usage: overtimectl [-s CONTROL_SOCKET] [--json] VERB [ARGUMENT]\n", out);
    for (const struct ctl_verb *verb = ctl_verbs; verb->name != NULL; verb++)
        fprintf(out, "  %s\n", verb->usage);
    fputs("  -s, --socket PATH      control socket (default " CONTROL_DEFAULT ")\n"
          "      --json             answer as JSON\n"
          "      --wait             return when it is done\n"
          "      --all              with reload: replace the workers of unchanged pools, too\n"
          "  -v, --version          print the version\n"
          "  -h, --help             print this\n",
          out);
}

static int ctl_bad_usage(const char *complaint, const char *what)
{
    fprintf(stderr, "overtimectl: %s%s%s (overtimectl -h shows what there is)\n", complaint,
            what != NULL ? " " : "", what != NULL ? what : "");
    return EX_USAGE;
}

/* Returns -1 to go on, or an exit status. */
static int ctl_parse(int argc, char **argv, struct ctl_options *options)
{
    static const struct option names[] = {
        {"socket", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {"wait", no_argument, NULL, 'w'},
        {"all", no_argument, NULL, 'a'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":s:vh", names, NULL)) != -1) {
        switch (option) {
        case 's':
            options->socket = optarg;
            break;
        case 'j':
            options->json = true;
            break;
        case 'w':
            options->wait = true;
            break;
        case 'a':
            options->all = true;
            break;
        case 'v':
            printf("overtimectl %s\n", OVERTIME_VERSION);
            return EX_OK;
        case 'h':
            ctl_usage(stdout);
            return EX_OK;
        case ':':
            return ctl_bad_usage("a value is missing after", argv[optind - 1]);
        default:
            return ctl_bad_usage("unknown option", argv[optind - 1]);
        }
    }
    return -1;
}

static const struct ctl_verb *ctl_find(const char *name)
{
    for (const struct ctl_verb *verb = ctl_verbs; verb->name != NULL; verb++)
        if (strcmp(verb->name, name) == 0)
            return verb;
    return NULL;
}

static int ctl_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = CTL_ANSWER_SECONDS};
    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "overtimectl: %s: the path is too long for a socket\n", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0)
        return fd;
    fprintf(stderr,
            "overtimectl: no manager at %s: %s; is overtime running, and is this its "
            "`control.listen`?\n",
            path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

/* Composes the line; arguments with a blank or a newline cannot be said. */
static int ctl_compose(char *line, size_t size, const struct ctl_options *options, int argc,
                       char **argv)
{
    bool reload = strcmp(argv[0], CONTROL_RELOAD) == 0;
    bool waits = reload || strcmp(argv[0], CONTROL_UPGRADE) == 0;
    int used = snprintf(line, size, "%s %s%s%s%s", CONTROL_HELLO, argv[0],
                        options->json ? " " CONTROL_JSON : "",
                        reload && options->all ? " " CONTROL_ALL : "",
                        waits && options->wait ? " " CONTROL_WAIT : "");
    for (int i = 1; i < argc; i++) {
        if (*argv[i] == '\0' || strpbrk(argv[i], " \n") != NULL || used < 0 || (size_t)used >= size)
            return -1;
        used += snprintf(line + used, size - (size_t)used, " %s", argv[i]);
    }
    if (used < 0 || (size_t)used + 2 > size)
        return -1;
    line[used++] = '\n';
    return used;
}

static int ctl_lost(void)
{
    fprintf(stderr, "overtimectl: the manager went away or did not answer: %s\n",
            errno != 0 ? strerror(errno) : "connection closed");
    return CTL_FAILED;
}

/* Reads the first line and says what it means. */
static int ctl_verdict(FILE *answer)
{
    char line[CONTROL_LINE_MAX];
    errno = 0;
    if (fgets(line, sizeof line, answer) == NULL)
        return ctl_lost();
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, CONTROL_OK) == 0)
        return EX_OK;
    size_t length = strlen(CONTROL_ERROR " ");
    bool error = strncmp(line, CONTROL_ERROR " ", length) == 0;
    fprintf(stderr, "overtimectl: %s\n", error ? line + length : "the answer makes no sense");
    while (error && fgets(line, sizeof line, answer) != NULL)
        fprintf(stderr, "overtimectl: %s", line);
    return CTL_FAILED;
}

static int ctl_show(FILE *answer)
{
    char data[8192];
    size_t got;
    while ((got = fread(data, 1, sizeof data, answer)) > 0)
        if (fwrite(data, 1, got, stdout) != got)
            break;
    if (ferror(answer))
        return ctl_lost();
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "overtimectl: cannot write: %s\n", strerror(errno));
        return CTL_FAILED;
    }
    return EX_OK;
}

/* The manager holds the connection until it is gone. */
static int ctl_until_gone(FILE *answer, int fd)
{
    struct timeval forever = {0};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    while (fgetc(answer) != EOF)
        continue;
    return EX_OK;
}

static int ctl_ask(int fd, const char *line, size_t size, const struct ctl_verb *verb, bool wait)
{
    struct timeval forever = {0};
    if (wait) /* the answer takes as long as the work of the slowest worker */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    if (send(fd, line, size, MSG_NOSIGNAL) != (ssize_t)size)
        return ctl_lost();
    FILE *answer = fdopen(fd, "r");
    if (answer == NULL)
        return ctl_lost();
    int status = ctl_verdict(answer);
    bool ends = strcmp(verb->name, CONTROL_STOP) == 0 || strcmp(verb->name, CONTROL_QUIT) == 0;
    if (status == EX_OK && ends)
        status = wait ? ctl_until_gone(answer, fd) : EX_OK;
    else if (status == EX_OK)
        status = ctl_show(answer);
    (void)fclose(answer);
    return status;
}

int main(int argc, char **argv)
{
    struct ctl_options options = {.socket = CONTROL_DEFAULT};
    char line[CONTROL_LINE_MAX];
    int status = ctl_parse(argc, argv, &options);
    if (status >= 0)
        return status;
    argc -= optind;
    argv += optind;
    if (argc == 0)
        return ctl_bad_usage("what shall it be?", NULL);
    const struct ctl_verb *verb = ctl_find(argv[0]);
    if (verb == NULL)
        return ctl_bad_usage("unknown verb", argv[0]);
    if (argc - 1 < verb->arguments_min || argc - 1 > verb->arguments_max)
        return ctl_bad_usage("too few or too many arguments for", argv[0]);
    if (options.wait && !verb->waits)
        return ctl_bad_usage("there is nothing to wait for with", argv[0]);
    if (options.all && !verb->all)
        return ctl_bad_usage("--all means nothing with", argv[0]);
    int size = ctl_compose(line, sizeof line, &options, argc, argv);
    if (size < 0)
        return ctl_bad_usage("arguments with blanks, empty or too long ones cannot be sent", NULL);
    int fd = ctl_connect(options.socket);
    return fd < 0 ? EX_UNAVAILABLE : ctl_ask(fd, line, (size_t)size, verb, options.wait);
}
