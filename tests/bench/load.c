/* load.c: a load generator that speaks FastCGI, or HTTP to a web
 * server: the command line, and what holds it together.
 *
 * Usage: see usage_text. Prints a report as JSON on standard output. Exit 0 if the run took place,
 * whatever became of the requests; 64 usage; 70 the run could not be begun or reported.
 */
#include "tests/bench/load_engine.h"
#include "tests/bench/load_plan.h"
#include "tests/bench/load_tally.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] =
    "usage: load --to ADDRESS (--rate N [--poisson] | --clients N [--think MS] | --burst N "
    "[--every MS])\n"
    "            [--count N] [--for SECONDS] [--seed N] [--trace FILE] [KIND...]\n"
    "KIND: [--kind NAME] [--weight N] [--to ADDRESS] [--query TEXT] [--param NAME=VALUE] [--body "
    "BYTES]\n"
    "      [--keep | --close] [--timeout MS] [--slow-send MS,PIECES] [--slow-read MS,BYTES]\n"
    "      [--length BYTES] [--pattern] [--text TEXT] [--status N] [--http PATH]\n"
    "ADDRESS is a path or IPV4:PORT. What stands before the first --kind holds for all kinds.\n";

enum option_name {
    OPTION_TO = 256,
    OPTION_RATE,
    OPTION_POISSON,
    OPTION_CLIENTS,
    OPTION_THINK,
    OPTION_BURST,
    OPTION_EVERY,
    OPTION_COUNT,
    OPTION_FOR,
    OPTION_SEED,
    OPTION_TRACE,
    OPTION_KIND,
    OPTION_WEIGHT,
    OPTION_QUERY,
    OPTION_PARAM,
    OPTION_BODY,
    OPTION_KEEP,
    OPTION_CLOSE,
    OPTION_TIMEOUT,
    OPTION_SLOW_SEND,
    OPTION_SLOW_READ,
    OPTION_LENGTH,
    OPTION_PATTERN,
    OPTION_TEXT,
    OPTION_STATUS,
    OPTION_HTTP
};

static const struct option options[] = {
    {"to", required_argument, NULL, OPTION_TO},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"poisson", no_argument, NULL, OPTION_POISSON},
    {"clients", required_argument, NULL, OPTION_CLIENTS},
    {"think", required_argument, NULL, OPTION_THINK},
    {"burst", required_argument, NULL, OPTION_BURST},
    {"every", required_argument, NULL, OPTION_EVERY},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"for", required_argument, NULL, OPTION_FOR},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"trace", required_argument, NULL, OPTION_TRACE},
    {"kind", required_argument, NULL, OPTION_KIND},
    {"weight", required_argument, NULL, OPTION_WEIGHT},
    {"query", required_argument, NULL, OPTION_QUERY},
    {"param", required_argument, NULL, OPTION_PARAM},
    {"body", required_argument, NULL, OPTION_BODY},
    {"keep", no_argument, NULL, OPTION_KEEP},
    {"close", no_argument, NULL, OPTION_CLOSE},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"slow-send", required_argument, NULL, OPTION_SLOW_SEND},
    {"slow-read", required_argument, NULL, OPTION_SLOW_READ},
    {"length", required_argument, NULL, OPTION_LENGTH},
    {"pattern", no_argument, NULL, OPTION_PATTERN},
    {"text", required_argument, NULL, OPTION_TEXT},
    {"status", required_argument, NULL, OPTION_STATUS},
    {"http", required_argument, NULL, OPTION_HTTP},
    {NULL, 0, NULL, 0},
};

static void usage(const char *problem)
{
    fprintf(stderr, "load: %s\n%s", problem, usage_text);
    exit(64);
}

/* A number of at least `min`; `end`: where it stops, NULL if nothing may follow it. */
static double number(const char *text, double min, char **end)
{
    char *stop = NULL;
    double value = strtod(text, &stop);

    if (stop == text || (end == NULL && *stop != '\0') || !(value >= min) || value > 1e12)
        usage(text);
    if (end != NULL)
        *end = stop;
    return value;
}

static uint64_t whole(const char *text, double min)
{
    return (uint64_t)number(text, min, NULL);
}

static int64_t milliseconds(const char *text, double min)
{
    return (int64_t)(number(text, min, NULL) * (double)LOAD_MS);
}

/* "MS,COUNT": the time in nanoseconds, and the count. */
static int64_t time_and_count(const char *text, double min, double *count)
{
    char *rest = NULL;
    double ms = number(text, 0, &rest);

    if (*rest != ',')
        usage(text);
    *count = number(rest + 1, min, NULL);
    return (int64_t)(ms * (double)LOAD_MS);
}

static void set_target(struct load_target *target, const char *text)
{
    *target = (struct load_target){0};
    if (strchr(text, '/') != NULL) {
        target->address.local.sun_family = AF_UNIX;
        if (strlen(text) >= sizeof target->address.local.sun_path)
            usage(text);
        (void)stpcpy(target->address.local.sun_path, text);
        target->size = sizeof target->address.local;
        return;
    }
    struct sockaddr_in internet = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN] = "";
    const char *colon = strchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof host)
        usage(text);
    memcpy(host, text, (size_t)(colon - text));
    if (inet_pton(AF_INET, host, &internet.sin_addr) != 1)
        usage(text);
    internet.sin_port = htons((uint16_t)whole(colon + 1, 1));
    memcpy(&target->address, &internet, sizeof internet);
    target->size = sizeof internet;
}

static void set_name(struct load_kind *kind, const char *name)
{
    if (name[0] == '\0' || strlen(name) >= sizeof kind->name ||
        name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-")] != '\0')
        usage(name);
    (void)stpcpy(kind->name, name);
}

static void set_kind_option(struct load_kind *kind, int option, const char *value)
{
    double count = 0;

    switch (option) {
    case OPTION_TO:
        set_target(&kind->target, value);
        break;
    case OPTION_WEIGHT:
        kind->weight = number(value, 0, NULL);
        break;
    case OPTION_QUERY:
        kind->query = value;
        break;
    case OPTION_PARAM:
        if (kind->param_count == LOAD_PARAMS_MAX || strchr(value, '=') == NULL)
            usage(value);
        kind->params[kind->param_count++] = value;
        break;
    case OPTION_BODY:
        kind->body = whole(value, 0);
        break;
    case OPTION_KEEP:
    case OPTION_CLOSE:
        kind->keep = option == OPTION_KEEP;
        break;
    case OPTION_TIMEOUT:
        kind->timeout = milliseconds(value, 1);
        break;
    case OPTION_SLOW_SEND:
        kind->send_time = time_and_count(value, 2, &count);
        kind->send_pieces = (unsigned)count;
        break;
    case OPTION_SLOW_READ:
        kind->read_pause = time_and_count(value, 1, &count);
        kind->read_size = count < 65536 ? (size_t)count : 65536;
        break;
    case OPTION_LENGTH:
        kind->expect.length = (int64_t)whole(value, 0);
        break;
    case OPTION_PATTERN:
        kind->expect.pattern = true;
        break;
    case OPTION_TEXT:
        kind->expect.text = value;
        break;
    case OPTION_STATUS:
        kind->expect.status = (unsigned)whole(value, 100);
        break;
    case OPTION_HTTP:
        kind->http = value;
        kind->expect.http = true;
        break;
    default:
        usage("what?");
    }
}

/* False if the option is one of a kind. */
static bool set_plan_option(struct load_plan *plan, int option, const char *value)
{
    switch (option) {
    case OPTION_RATE:
        plan->rate = number(value, 1e-3, NULL);
        plan->pattern = LOAD_OPEN;
        break;
    case OPTION_POISSON:
        plan->poisson = true;
        break;
    case OPTION_CLIENTS:
        plan->clients = (unsigned)whole(value, 1);
        plan->pattern = LOAD_CLOSED;
        break;
    case OPTION_THINK:
        plan->think = milliseconds(value, 0);
        break;
    case OPTION_BURST:
        plan->burst = (unsigned)whole(value, 1);
        plan->pattern = LOAD_BURST;
        break;
    case OPTION_EVERY:
        plan->every = milliseconds(value, 1);
        break;
    case OPTION_COUNT:
        plan->count = whole(value, 1);
        break;
    case OPTION_FOR:
        plan->length = milliseconds(value, 1e-3) * 1000;
        break;
    case OPTION_SEED:
        plan->seed = whole(value, 0);
        break;
    case OPTION_TRACE:
        plan->trace = value;
        break;
    default:
        return false;
    }
    return true;
}

static void check_plan(struct load_plan *plan)
{
    if ((plan->rate > 0) + (plan->clients > 0) + (plan->burst > 0) != 1)
        usage("one of --rate, --clients, --burst is needed");
    if (plan->pattern == LOAD_BURST && plan->every == 0) {
        if (plan->count != 0 || plan->length != 0)
            usage("--burst without --every is a single one");
        plan->count = plan->burst;
    }
    if (plan->count == 0 && plan->length == 0)
        usage("--count or --for is needed");
    double weights = 0;
    for (size_t i = 0; i < plan->kind_count; i++) {
        const struct load_kind *kind = &plan->kinds[i];
        if (kind->target.size == 0)
            usage("--to is needed");
        if (kind->http != NULL && (kind->keep || kind->body > 0 || kind->expect.text == NULL))
            usage("--http needs --text, and goes with neither --keep nor --body");
        if (kind->read_pause > 0 && kind->keep)
            usage("--slow-read and --keep do not go together");
        if (kind->send_pieces > 1 && kind->send_time < kind->send_pieces)
            usage("--slow-send takes more time than that");
        weights += kind->weight;
    }
    if (weights <= 0)
        usage("--weight: some kind must have one");
}

static void parse(struct load_plan *plan, int argc, char **argv)
{
    struct load_kind common = {.name = "all",
                               .weight = 1,
                               .query = "",
                               .expect = {.length = -1, .status = 200},
                               .timeout = 30 * LOAD_S};
    struct load_kind *kind = &common;
    int option = 0;

    *plan = (struct load_plan){.seed = 1};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?')
            usage("the options:");
        if (option == OPTION_KIND) {
            if (plan->kind_count == LOAD_KINDS_MAX)
                usage("too many kinds");
            kind = &plan->kinds[plan->kind_count++];
            *kind = common;
            set_name(kind, optarg);
        } else if (!set_plan_option(plan, option, optarg)) {
            set_kind_option(kind, option, optarg);
        }
    }
    if (optind != argc)
        usage(argv[optind]);
    if (plan->kind_count == 0)
        plan->kinds[plan->kind_count++] = common;
    check_plan(plan);
}

int main(int argc, char **argv)
{
    static struct load_plan plan;
    static struct load_tally tally;

    parse(&plan, argc, argv);
    if (load_tally_open(&tally, &plan) != 0) {
        fprintf(stderr, "load: cannot write %s: %s\n", plan.trace, strerror(errno));
        return 70;
    }
    if (load_engine_run(&plan, &tally) != 0) {
        fprintf(stderr, "load: cannot begin: %s\n", strerror(errno));
        return 70;
    }
    if (load_tally_report(&tally, stdout) != 0) {
        fprintf(stderr, "load: the report is not whole: %s\n",
                tally.short_of_memory ? "out of memory" : "cannot write it");
        return 70;
    }
    load_tally_close(&tally);
    return 0;
}
