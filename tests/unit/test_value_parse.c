/* test_value_parse.c: the values of texts, the refused texts, and values written back as text. */
#include "fpm/config/value_parse.h"
#include "sapi-shim/util/scalar.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define REFUSED      (-1)

struct number_case {
    const char *text;
    int64_t expected;
};

static void check_numbers(const struct number_case *cases, size_t count,
                          bool (*parse)(const char *, int64_t *))
{
    for (size_t i = 0; i < count; i++) {
        int64_t out = -7;
        bool good = parse(cases[i].text, &out);
        if (cases[i].expected == REFUSED) {
            cr_expect(!good && out == -7, "'%s' was taken as %" PRId64, cases[i].text, out);
        } else {
            cr_expect(good && out == cases[i].expected, "'%s' gave %" PRId64, cases[i].text, out);
        }
    }
}

Test(value, times)
{
    static const struct number_case cases[] = {
        {"0", 0},
        {"30", 30000},
        {"500ms", 500},
        {"5s", 5000},
        {"2m", 120000},
        {"3H", 10800000},
        {"1d", 86400000},
        {"007", 7000},
        {"", REFUSED},
        {" 5", REFUSED},
        {"5 ", REFUSED},
        {"5 s", REFUSED},
        {"-5s", REFUSED},
        {"+5s", REFUSED},
        {"1.5s", REFUSED},
        {"1h30m", REFUSED},
        {"s", REFUSED},
        {"5sec", REFUSED},
        {"0x10", REFUSED},
        {"9223372036854775807ms", INT64_MAX},
        {"9223372036854775808ms", REFUSED},
        {"9223372036854775807", REFUSED},
        {"106751991168d", REFUSED},
        {"99999999999999999999999999", REFUSED},
    };
    check_numbers(cases, COUNT(cases), scalar_time);
}

Test(value, sizes)
{
    static const struct number_case cases[] = {
        {"0", 0},
        {"1024", 1024},
        {"64K", 65536},
        {"64k", 65536},
        {"2M", 2097152},
        {"1G", 1073741824},
        {"", REFUSED},
        {"64KB", REFUSED},
        {"64 K", REFUSED},
        {"-1", REFUSED},
        {"K", REFUSED},
        {"1T", REFUSED},
        {"8589934591G", INT64_C(8589934591) << 30},
        {"8589934592G", REFUSED},
    };
    check_numbers(cases, COUNT(cases), value_parse_size);
}

Test(value, numbers)
{
    static const struct number_case cases[] = {
        {"0", 0},
        {"42", 42},
        {"0042", 42},
        {"", REFUSED},
        {"4x", REFUSED},
        {"x", REFUSED},
        {"+1", REFUSED},
        {"1 ", REFUSED},
        {"--1", REFUSED},
        {"-", REFUSED},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775808", REFUSED},
    };
    int64_t out;
    check_numbers(cases, COUNT(cases), value_parse_number);
    cr_assert(value_parse_number("-20", &out) && out == -20);
}

Test(value, modes_and_answers)
{
    static const char *const refused[] = {"", "8", "0999", "-1", "rw", "10000", "000660", "0x1"};
    static const char *const yes[] = {"yes", "YES", "on", "true", "1"};
    static const char *const no[] = {"no", "Off", "false", "0"};
    int mode = -7;
    bool answer;
    cr_assert(value_parse_mode("0660", &mode) == 0 && mode == 0660);
    cr_assert(value_parse_mode("7777", &mode) == 0 && mode == 07777);
    for (size_t i = 0; i < COUNT(refused); i++) {
        cr_expect(value_parse_mode(refused[i], &mode) == -1, "mode '%s'", refused[i]);
        cr_expect(strcmp(refused[i], "yes") == 0 || !scalar_bool("maybe", &answer));
    }
    for (size_t i = 0; i < COUNT(yes); i++)
        cr_expect(scalar_bool(yes[i], &answer) && answer, "'%s'", yes[i]);
    for (size_t i = 0; i < COUNT(no); i++)
        cr_expect(scalar_bool(no[i], &answer) && !answer, "'%s'", no[i]);
    cr_assert(!scalar_bool("", &answer));
}

Test(value, shortest_texts_read_back)
{
    static const struct {
        int64_t number;
        const char *as_time, *as_size;
    } cases[] = {
        {0, "0", "0"},          {1, "1ms", "1"},
        {1000, "1s", "1000"},   {1500, "1500ms", "1500"},
        {60000, "1m", "60000"}, {86400000, "1d", "84375K"},
        {1024, "1024ms", "1K"}, {1048576, "1048576ms", "1M"},
    };
    char out[VALUE_PARSE_TEXT_SIZE];
    int64_t back;

    for (size_t i = 0; i < COUNT(cases); i++) {
        value_parse_time_text(cases[i].number, out);
        cr_expect_str_eq(out, cases[i].as_time);
        cr_expect(scalar_time(out, &back) && back == cases[i].number);
        value_parse_size_text(cases[i].number, out);
        cr_expect_str_eq(out, cases[i].as_size);
        cr_expect(value_parse_size(out, &back) && back == cases[i].number);
    }
    value_parse_time_text(INT64_MAX, out);
    cr_assert_str_eq(out, "9223372036854775807ms");
}

static const char *variable(const char *name)
{
    if (strcmp(name, "TWO") == 0)
        return "two words \"'\\ $pool";
    if (strcmp(name, "EMPTY") == 0)
        return "";
    return strcmp(name, "NEWLINE") == 0 ? "a\nb" : NULL;
}
static const struct value_parse_source source = {.pool = "www", .variable = variable};

Test(value, whole_texts)
{
    static const struct {
        const char *text, *expected; /* NULL: refused */
    } cases[] = {
        {"plain", "plain"},
        {"two words", "two words"},
        {"it's \"here\"", "it's \"here\""},
        {"\"in; quotes\"", "in; quotes"},
        {"\" kept \"", " kept "},
        {"\"\"", ""},
        {"''", ""},
        {"'$pool ${TWO} \\'", "$pool ${TWO} \\"},
        {"\"a\\\"b\\\\c\\$pool\\n\"", "a\"b\\c$pool\\n"},
        {"/run/$pool.sock", "/run/www.sock"},
        {"$pool$pool", "wwwwww"},
        {"$pools", "$pools"},
        {"$pool_x", "$pool_x"},
        {"$", "$"},
        {"a$b", "a$b"},
        {"[${TWO}]", "[two words \"'\\ $pool]"},
        {"\"${TWO}\"", "two words \"'\\ $pool"},
        {"${EMPTY}", ""},
        {"back\\slash", "back\\slash"},
        {"\"open", NULL},
        {"'open", NULL},
        {"\"a\" b", NULL},
        {"${TWO", NULL},
        {"${}", NULL},
        {"${NONE}", NULL},
        {"${NEWLINE}", NULL},
    };
    char error[256];
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *out = NULL;
        error[0] = '\0';
        int result = value_parse_text(cases[i].text, &source, &out, error, sizeof error);
        if (cases[i].expected == NULL) {
            cr_expect(result == -1 && out == NULL && *error != '\0', "<%s> gave <%s>",
                      cases[i].text, out);
        } else {
            cr_expect(result == 0, "<%s>: %s", cases[i].text, error);
            cr_expect_str_eq(out, cases[i].expected);
        }
        free(out);
    }
}

Test(value, pool_has_no_meaning_outside_of_pools)
{
    const struct value_parse_source global = {.variable = variable};
    char error[256], *out;
    cr_assert(value_parse_text("$pool", &global, &out, error, sizeof error) == -1);
    cr_assert(strstr(error, "$pool") != NULL);
}

Test(value, words)
{
    static const struct {
        const char *text;
        size_t argc; /* 0: refused */
        const char *argv[4];
    } cases[] = {
        {"app", 1, {"app"}},
        {"  app \t -x  ", 2, {"app", "-x"}},
        {"app 'a  b' \"c d\" e\\ f", 4, {"app", "a  b", "c d", "e f"}},
        {"app ''", 2, {"app", ""}},
        {"app a'b'\"c\"d", 2, {"app", "abcd"}},
        {"app --x=\"1 2\"", 2, {"app", "--x=1 2"}},
        {"app '\\' \"\\\\\" \\\\", 4, {"app", "\\", "\\", "\\"}},
        {"app \"\\x\"", 2, {"app", "\\x"}},
        {"app it\\'s", 2, {"app", "it's"}},
        {"app ${TWO} x", 3, {"app", "two words \"'\\ $pool", "x"}},
        {"app ${EMPTY}", 2, {"app", ""}},
        {"app $pool '$pool' \\$pool", 4, {"app", "www", "$pool", "$pool"}},
        {"app *.c ~ `ls`", 4, {"app", "*.c", "~", "`ls`"}},
        {"", 0, {NULL}},
        {"   ", 0, {NULL}},
        {"'' x", 0, {NULL}},
        {"app 'open", 0, {NULL}},
        {"app \"open", 0, {NULL}},
        {"app \\", 0, {NULL}},
        {"app ${NONE}", 0, {NULL}},
    };
    char error[256];

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct value_parse_words out;
        int result = value_parse_words(cases[i].text, &source, &out, error, sizeof error);
        if (cases[i].argc == 0) {
            cr_expect(result == -1 && out.argv == NULL && out.text == NULL, "<%s>", cases[i].text);
            continue;
        }
        cr_assert(result == 0, "<%s>: %s", cases[i].text, error);
        cr_assert_eq(out.argc, cases[i].argc, "<%s> gave %zu words", cases[i].text, out.argc);
        for (size_t j = 0; j < out.argc; j++)
            cr_expect_str_eq(out.argv[j], cases[i].argv[j]);
        cr_expect_null(out.argv[out.argc]);
        cr_expect_str_eq(out.text, cases[i].text);
        value_parse_words_free(&out);
        cr_expect_null(out.argv);
    }
}

Test(value, lists)
{
    static const struct {
        const char *text;
        size_t count; /* 0: refused */
        const char *last;
    } cases[] = {
        {"a", 1, "a"},   {"a,b", 2, "b"}, {" a , b c ", 3, "c"}, {"a  b", 2, "b"},
        {"", 0, NULL},   {"  ", 0, NULL}, {"a,,b", 0, NULL},     {",a", 0, NULL},
        {"a,", 0, NULL}, {",", 0, NULL},  {"a , , b", 0, NULL},
    };
    char error[256];

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct value_parse_list out;
        int result = value_parse_list(cases[i].text, &out, error, sizeof error);
        cr_expect_eq(result, cases[i].count == 0 ? -1 : 0, "<%s>", cases[i].text);
        cr_expect_eq(out.count, cases[i].count, "<%s>", cases[i].text);
        if (cases[i].count > 0 && out.count == cases[i].count)
            cr_expect_str_eq(out.items[out.count - 1], cases[i].last);
        value_parse_list_free(&out);
    }
}

#define LONG_50  "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONG_107 LONG_50 LONG_50 "/123456"

Test(value, addresses)
{
    static const struct {
        const char *text;
        enum value_parse_address_kind kind; /* NONE: refused */
        const char *host, *port, *path;
    } cases[] = {
        {"/run/a.sock", VALUE_PARSE_ADDRESS_UNIX, NULL, NULL, "/run/a.sock"},
        {LONG_107, VALUE_PARSE_ADDRESS_UNIX, NULL, NULL, LONG_107},
        {LONG_107 "8", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"9000", VALUE_PARSE_ADDRESS_TCP, NULL, "9000", NULL},
        {"09000", VALUE_PARSE_ADDRESS_TCP, NULL, "9000", NULL},
        {"*:9000", VALUE_PARSE_ADDRESS_TCP, NULL, "9000", NULL},
        {":9000", VALUE_PARSE_ADDRESS_TCP, NULL, "9000", NULL},
        {"127.0.0.1:1", VALUE_PARSE_ADDRESS_TCP, "127.0.0.1", "1", NULL},
        {"[::1]:65535", VALUE_PARSE_ADDRESS_TCP, "::1", "65535", NULL},
        {"[2001:DB8:0:0::1]:80", VALUE_PARSE_ADDRESS_TCP, "2001:db8::1", "80", NULL},
        {"", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"0", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"65536", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"99999999999999999999", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"127.0.0.1", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"127.0.0.1:", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"127.0.0.1:x", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"127.0.0.1:-1", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"127.0.0.256:80", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"127.1:80", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"localhost:80", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"::1:80", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"[::1]", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"[::1]80", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"[::1:80", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"[]:80", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"[127.0.0.1]:80", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"run/a.sock", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
        {"/run/", VALUE_PARSE_ADDRESS_NONE, NULL, NULL, NULL},
    };
    char error[256];

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct value_parse_address out;
        error[0] = '\0';
        int result = value_parse_address(cases[i].text, &out, error, sizeof error);
        cr_expect_eq(result, cases[i].kind == VALUE_PARSE_ADDRESS_NONE ? -1 : 0, "<%s>: %s",
                     cases[i].text, error);
        cr_expect_eq(out.kind, cases[i].kind, "<%s>", cases[i].text);
        cr_expect((result == 0) == (*error == '\0'), "<%s>", cases[i].text);
        const struct {
            const char *got, *expected;
        } parts[] = {
            {out.host, cases[i].host}, {out.port, cases[i].port}, {out.path, cases[i].path}};
        for (size_t j = 0; j < COUNT(parts); j++) {
            cr_expect((parts[j].got == NULL) == (parts[j].expected == NULL) &&
                          (parts[j].got == NULL || strcmp(parts[j].got, parts[j].expected) == 0),
                      "<%s>: %s instead of %s", cases[i].text, parts[j].got, parts[j].expected);
        }
        value_parse_address_free(&out);
        cr_expect_null(out.text);
    }
}

Test(value, comments_end_a_value)
{
    static const struct {
        const char *rest, *value;
    } cases[] = {
        {"a ; b", "a"},
        {"a", "a"},
        {"a;b", "a;b"},
        {"a\t;b", "a"},
        {"; b", ""},
        {"", ""},
        {"  ", ""},
        {"a  \r", "a"},
        {"\"a ; b\" ; c", "\"a ; b\""},
        {"'a ; b' ; c", "'a ; b'"},
        {"\"a \\\" ; b\" ; c", "\"a \\\" ; b\""},
        {"it's ; c", "it's"},
        {"Bob's house ; Alice's comment", "Bob's house"},
        {"say \"a ; b\" ; c", "say \"a"},
        {"a \\; b", "a \\; b"},
        {"a\\ ; b", "a\\"},
        {"'it\\' ; b's", "'it\\'"},
    };
    static const struct {
        const char *rest, *value;
    } words[] = {
        {"a \\; b ; c", "a \\; b"},
        {"it\\'s a 'b ; c' ; d", "it\\'s a 'b ; c'"},
        {"sh -c 'a; b ; c' ; d's", "sh -c 'a; b ; c'"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t length = value_parse_length(cases[i].rest, false);
        cr_expect(length == strlen(cases[i].value) &&
                      strncmp(cases[i].rest, cases[i].value, length) == 0,
                  "<%s> was cut to %zu", cases[i].rest, length);
    }
    for (size_t i = 0; i < COUNT(words); i++) {
        size_t length = value_parse_length(words[i].rest, true);
        cr_expect(length == strlen(words[i].value) &&
                      strncmp(words[i].rest, words[i].value, length) == 0,
                  "<%s> was cut to %zu", words[i].rest, length);
    }
}

Test(value, what_is_quoted_reads_back)
{
    static const char *const texts[] = {
        "",     "plain",     "two words", " a ", "a;b", "a ; b",    "'",   "\"",    "\\", "$pool",
        "${X}", "it's ; \"", "'a' b",     "\t",  "a\\", "\\\"$;' ", "# a", "a # b", "#"};
    char error[256];
    for (size_t i = 0; i < COUNT(texts); i++) {
        char *text = value_parse_quote_text(texts[i]), *word = value_parse_quote_word(texts[i]);
        char *back = NULL, *line = NULL;
        struct value_parse_words words;

        cr_assert(text != NULL && word != NULL);
        cr_expect_eq(value_parse_length(text, false), strlen(text), "<%s>", text);
        cr_assert_eq(value_parse_text(text, &source, &back, error, sizeof error), 0);
        cr_expect_str_eq(back, texts[i]);
        cr_assert(asprintf(&line, "app %s", word) > 0);
        cr_expect_eq(value_parse_length(line, true), strlen(line), "<%s>", line);
        cr_assert_eq(value_parse_words(line, &source, &words, error, sizeof error), 0);
        cr_expect_eq(words.argc, 2, "<%s>", line);
        cr_expect_str_eq(words.argv[1], texts[i]);
        value_parse_words_free(&words);
        free(text);
        free(word);
        free(back);
        free(line);
    }
}

Test(value, a_comment_with_a_hash_behind_a_value_is_refused)
{
    static const struct {
        const char *text;
        bool fine;
    } cases[] = {
        {"/status   # who may read it", false},
        {"/status\t#", false},
        {"# nothing", false},
        {"#", false},
        {"a #b", false},
        {"#fff", true},
        {"a#b", true},
        {"\"/status # x\"", true},
        {"'# x'", true},
    };
    char error[256], *out;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct value_parse_words words;
        int result = value_parse_text(cases[i].text, &source, &out, error, sizeof error);
        cr_expect_eq(result == 0, cases[i].fine, "<%s>", cases[i].text);
        if (result == 0)
            free(out);
        else
            cr_expect(strstr(error, "a comment after a value begins with ;"), "%s", error);
        result = value_parse_words(cases[i].text, &source, &words, error, sizeof error);
        cr_expect_eq(result == 0, cases[i].fine, "<%s>", cases[i].text);
        if (result == 0)
            value_parse_words_free(&words);
    }
}
