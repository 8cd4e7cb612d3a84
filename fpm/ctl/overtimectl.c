/* overtimectl.c: the program `overtimectl`: its verbs and options, and which file does each.
 *
 * Most verbs are one line to the manager and its answer; the others run in this program. Exit
 * status: 0 done, 1 refused or failed with the reason on standard error, 64 wrong usage, 69 no
 * manager at that socket.
 */
#include "fpm/control/control_proto.h"
#include "fpm/ctl/client.h"
#include "fpm/ctl/fcgi_request.h"
#include "fpm/ctl/options.h"
#include "fpm/ctl/recorder.h"
#include "fpm/ctl/top.h"
#include "fpm/util/version.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static int overtimectl_help(const struct options *call);

static const struct options_option overtimectl_options[] = {
    {'s', true, "socket", "PATH", "control socket (default " CONTROL_DEFAULT ")"},
    {'j', false, "json", NULL, "answer as one JSON object in one line"},
    {'w', false, "wait", NULL, "return when it is done"},
    {'a', false, "all", NULL, "replace the workers of unchanged pools, too, or of one"},
    {'d', true, "data", "BODY", "the request's body; - reads it from standard input"},
    {'p', true, "param", "NAME=VALUE", "set a FastCGI parameter; may be repeated"},
    {'t', true, "timeout", "SECONDS", "give up after that long (default 60; 0: never)"},
    {'R', false, "raw", NULL, "pass control characters on to a terminal"},
    {'1', false, "once", NULL, "one look as text, for scripts"},
    {'i', false, "interval", "TIME", "between looks, as 500ms or 2s (default 1s)"},
    {'n', false, "count", "N", "end after so many"},
    {'v', true, "version", NULL, "print the version"},
    {'h', true, "help", NULL, "print this, or the help of the verb"},
    {0, false, NULL, NULL, NULL},
};

static const struct options_verb overtimectl_verbs[] = {
    {CONTROL_PING, "", 0, 0, "j", "is the manager there, and in which state?", NULL, NULL},
    {CONTROL_STATUS, "[POOL]", 0, 1, "j", "pools: workers by state, counters", NULL, NULL},
    {CONTROL_WORKERS, "[POOL]", 0, 1, "j", "what every worker does now", NULL, NULL},
    {CONTROL_CONFIG, "[POOL]", 0, 1, "j", "every effective value with its origin", NULL, NULL},
    {CONTROL_REQUEST, "POOL PATH", 2, 2, "jdptR", "one request straight to the pool",
     fcgi_request_more, fcgi_request_run},
    {CONTROL_TRACE, "PID", 1, 1, "j", "where a worker is: the stacks of its threads",
     "The worker is held for about a millisecond. Waiting system calls may return EINTR, as under "
     "any\n"
     "debugger.\n",
     NULL},
    {CONTROL_TOP, "[POOL]", 0, 1, "1i", "pools and workers live, as top(1)", top_more, top_run},
    {"record", "FILE", 1, 1, "in", "sample the status into a file", recorder_more, recorder_run},
    {CONTROL_RELOAD, "[--all [POOL]] [--wait]", 0, 1, "jwa", "read the configuration anew",
     "Nothing changes if the file has an error. --all replaces the workers of pools that did not\n"
     "change, too, or of this one. --wait returns when the new workers serve and the older ones "
     "are\n"
     "gone.\n",
     NULL},
    {CONTROL_REOPEN_LOGS, "", 0, 0, "j", "after log rotation", NULL, NULL},
    {CONTROL_UPGRADE, "[--wait]", 0, 0, "jw", "run the program's present file in place of this one",
     NULL, NULL},
    {CONTROL_QUIT, "[--wait]", 0, 0, "jw", "stop when the workers have done their work", NULL,
     NULL},
    {CONTROL_STOP, "[--wait]", 0, 0, "jw", "stop now", NULL, NULL},
    {"help", "[VERB]", 0, 1, "", "what there is, or how a verb is used", NULL, overtimectl_help},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};

static const struct options_tables overtimectl_tables = {
    .verbs = overtimectl_verbs,
    .options = overtimectl_options,
    .for_all = "svh",
};

/* Says why, and returns the exit status. */
static int overtimectl_fail(int status, const char *sentence)
{
    fprintf(stderr, "overtimectl: %s%s\n", sentence,
            status == EX_USAGE ? " (overtimectl --help shows all verbs and options)" : "");
    return status;
}

static int overtimectl_help(const struct options *call)
{
    const struct options_verb *verb = NULL;
    char error[256];
    if (call->argc == 1) {
        verb = options_find_verb(call->tables, call->argv[0], error, sizeof error);
        if (verb == NULL)
            return overtimectl_fail(EX_USAGE, error);
    }
    options_help(call->tables, verb, stdout);
    return EX_OK;
}

/* Has the manager answer the verb. */
static int overtimectl_ask(const struct options *call)
{
    const char *name = call->verb->name;
    struct client_words words = {.verb = name, .argc = call->argc, .argv = call->argv};
    bool stops = strcmp(name, CONTROL_STOP) == 0 || strcmp(name, CONTROL_QUIT) == 0;
    bool upgrades = strcmp(name, CONTROL_UPGRADE) == 0;
    bool wait = options_has(call, 'w'), json = options_has(call, 'j');
    char error[CONTROL_LINE_MAX];
    size_t switches = 0;
    if (json)
        words.switches[switches++] = CONTROL_JSON;
    if (options_has(call, 'a'))
        words.switches[switches++] = CONTROL_ALL;
    if (wait && !stops)
        words.switches[switches++] = CONTROL_WAIT;
    enum client_patience patience = wait || upgrades ? CLIENT_LATE : CLIENT_SOON;
    if (stops)
        patience = wait ? CLIENT_GONE : CLIENT_ACCEPTED;
    int status = client_show(options_socket(call), &words, patience, error, sizeof error);
    if (status != EX_OK)
        return overtimectl_fail(status, error);
    /* A manager that stops answers nothing more. */
    if (stops && json)
        client_print(json_pack("{s:s}", "state", wait ? "stopped" : "stopping"));
    return EX_OK;
}

int main(int argc, char **argv)
{
    struct options call;
    char error[256];
    int status = options_parse(&call, &overtimectl_tables, argc, argv, error, sizeof error);
    if (status != 0)
        return overtimectl_fail(status, error);
    if (options_has(&call, 'v')) {
        printf("overtimectl %s\n", OVERTIME_VERSION);
        return EX_OK;
    }
    if (options_has(&call, 'h')) {
        options_help(call.tables, call.verb, stdout);
        return EX_OK;
    }
    if (call.verb == NULL) {
        fputs("overtimectl: a verb is missing:", stderr);
        for (const struct options_verb *verb = overtimectl_verbs; verb->name != NULL; verb++)
            fprintf(stderr, "%s %s", verb == overtimectl_verbs ? "" : ",", verb->name);
        fputs("; `overtimectl help` shows what they do\n", stderr);
        return EX_USAGE;
    }
    status = options_check(&call, error, sizeof error);
    if (status != 0)
        return overtimectl_fail(status, error);
    return call.verb->run != NULL ? call.verb->run(&call) : overtimectl_ask(&call);
}
