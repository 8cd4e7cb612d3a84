/* test_options.c: the command line of overtimectl: tables, checks, and misspelled commands. */
#include "fpm/ctl/options.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>
#include <sysexits.h>

static const struct options_option options[] = {
    {'s', true, "socket", "PATH", ""},
    {'j', false, "json", NULL, ""},
    {'p', true, "param", "X", ""},
    {0, false, NULL, NULL, NULL},
};
static const struct options_verb commands[] = {
    {"status", "[POOL]", 0, 1, "j", "help", NULL, NULL},
    {"start", "", 0, 0, "", "help", NULL, NULL},
    {"request", "POOL PATH", 2, 2, "jp", "help", NULL, NULL},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};
static const struct options_tables tables = {commands, options, "s"};

static int parse(struct options *call, char *error, size_t size, const char *const *given)
{
    static char *words[OPTIONS_GIVEN_MAX + 4];
    int count = 0;
    for (; given[count] != NULL; count++)
        words[count] = (char *)(uintptr_t)given[count];
    words[count] = NULL;
    int status = options_parse(call, &tables, count, words, error, size);
    return status == 0 && call->verb != NULL ? options_check(call, error, size) : status;
}

#define PARSE(...)                                                                                 \
    parse(&call, error, sizeof error, (const char *[]){"overtimectl", __VA_ARGS__, NULL})

Test(options, reads_options_anywhere)
{
    struct options call;
    char error[256];
    cr_assert_eq(PARSE("-p", "a=1", "request", "www", "--json", "/x", "-pb=2", "--param=c=3"), 0);
    cr_assert_str_eq(call.verb->name, "request");
    cr_assert_eq(call.argc, 2);
    cr_assert_str_eq(call.argv[1], "/x");
    cr_assert(options_has(&call, 'j') && !options_has(&call, 's'));
    cr_assert_str_eq(options_value(&call, 'p'), "c=3", "the last one counts");
    cr_assert_eq(call.given_count, 4u);
    cr_assert_eq(options_value(&call, 's'), NULL);
}

Test(options, says_what_is_wrong)
{
    struct options call;
    char error[256];
    cr_assert_eq(PARSE("status", "a", "b"), EX_USAGE);
    cr_assert(strstr(error, "too many arguments") && strstr(error, "status [POOL]"));
    cr_assert_eq(PARSE("request", "a"), EX_USAGE);
    cr_assert(strstr(error, "too few arguments"));
    cr_assert_eq(PARSE("start", "--json"), EX_USAGE);
    cr_assert(strstr(error, "\"start\" takes no --json"));
    cr_assert_eq(PARSE("start", "--nonsense"), EX_USAGE);
    cr_assert(strstr(error, "--nonsense"));
    cr_assert_eq(PARSE("status", "-s"), EX_USAGE);
    cr_assert(strstr(error, "a value is missing"));
    cr_assert_eq(PARSE("stauts"), EX_USAGE);
    cr_assert(strstr(error, "is it \"status\"?"));
    cr_assert_eq(PARSE("--json"), 0);
    cr_assert_eq(call.verb, NULL);
}

Test(options, has_a_limit)
{
    struct options call;
    char error[256];
    const char *words[OPTIONS_GIVEN_MAX + 4] = {"overtimectl", "status"};
    for (int i = 0; i <= OPTIONS_GIVEN_MAX; i++)
        words[i + 2] = "--json";
    cr_assert_eq(parse(&call, error, sizeof error, words), EX_USAGE);
    cr_assert(strstr(error, "too many options"));
}

static bool suggests(const char *typed, const char *verb)
{
    char error[256], quoted[64];
    cr_assert_null(options_find_verb(&tables, typed, error, sizeof error));
    snprintf(quoted, sizeof quoted, "is it \"%s\"?", verb != NULL ? verb : "");
    return verb != NULL ? strstr(error, quoted) != NULL : strstr(error, "is it") == NULL;
}

Test(options, names_a_similar_verb)
{
    cr_expect(suggests("stat", "status"));
    cr_expect(suggests("stattus", "status"));
    cr_expect(suggests("strat", "start"));
    cr_expect(suggests("reqest", "request"));
    cr_expect(suggests("dance", NULL));
    cr_expect(suggests("", NULL));
    char longest[4096];
    memset(longest, 's', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    cr_expect(suggests(longest, NULL));
}
