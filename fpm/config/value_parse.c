/* value_parse.c: the meaning of values' texts. See value_parse.h. */
#include "fpm/config/value_parse.h"

#include "sapi-shim/util/scalar.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char no_memory[] = "cannot be kept: out of memory";

/* From large to small, so that the first that divides a value writes it shortest. */
static const struct scalar_unit sizes[] = {
    {"G", INT64_C(1) << 30}, {"M", INT64_C(1) << 20}, {"K", INT64_C(1) << 10}, {"", 1}};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int parse_fail(char *error, size_t size, const char *text)
{
    (void)snprintf(error, size, "%s", text);
    return -1;
}

int value_parse_number(const char *text, int64_t *out)
{
    bool negative = *text == '-';
    int64_t number;
    text += negative;
    if (!scalar_digits(&text, &number) || *text != '\0')
        return -1;
    *out = negative ? -number : number;
    return 0;
}

static void parse_unit_text(int64_t number, const struct scalar_unit *units, size_t count,
                            char *out)
{
    size_t i = 0;
    while (i + 1 < count && (number == 0 || number % units[i].factor != 0))
        i++;
    (void)snprintf(out, VALUE_PARSE_TEXT_SIZE, "%" PRId64 "%s", number / units[i].factor,
                   units[i].suffix);
}

int value_parse_size(const char *text, int64_t *out)
{
    return scalar_with_unit(text, sizes, COUNT(sizes), out) ? 0 : -1;
}

int value_parse_time(const char *text, int64_t *out)
{
    return scalar_time(text, out) ? 0 : -1;
}

void value_parse_size_text(int64_t bytes, char *out)
{
    parse_unit_text(bytes, sizes, COUNT(sizes), out);
}

void value_parse_time_text(int64_t milliseconds, char *out)
{
    parse_unit_text(milliseconds, scalar_times, SCALAR_TIMES, out);
}

int value_parse_bool(const char *text, bool *out)
{
    return scalar_bool(text, out) ? 0 : -1;
}

int value_parse_mode(const char *text, int *out)
{
    int mode = 0;
    if (*text == '\0' || strlen(text) > 5)
        return -1;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '7')
            return -1;
        mode = mode * 8 + (*text - '0');
    }
    if (mode > 07777)
        return -1;
    *out = mode;
    return 0;
}

/* ---- quotes and replacements ---- */

static int parse_put(FILE *out, const char *text, char *error, size_t size)
{
    for (const char *c = text; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c) && *c != '\t')
            return parse_fail(error, size, "takes a control character from a variable");
    return fputs(text, out) >= 0 ? 0 : parse_fail(error, size, no_memory);
}

/* *cursor is behind "${"; puts the variable's value and leaves *cursor behind the '}'. */
static int parse_put_variable(const char **cursor, const struct value_parse_source *source,
                              FILE *out, char *error, size_t size)
{
    size_t length = strcspn(*cursor, "}");
    char name[256];
    if ((*cursor)[length] == '\0')
        return parse_fail(error, size, "has a ${ without its }");
    if (length == 0 || length >= sizeof name)
        return parse_fail(error, size, "has a ${...} that is no variable's name");
    memcpy(name, *cursor, length);
    name[length] = '\0';
    *cursor += length + 1;

    const char *value = source->variable != NULL ? source->variable(name) : NULL;
    if (value == NULL) {
        (void)snprintf(error, size,
                       "takes ${%s} from the environment, where no such variable is set", name);
        return -1;
    }
    return parse_put(out, value, error, size);
}

static bool parse_is_pool_name(const char *dollar)
{
    static const char word[] = "$pool";
    unsigned char next;
    if (strncmp(dollar, word, sizeof word - 1) != 0)
        return false;
    next = (unsigned char)dollar[sizeof word - 1];
    return !isalnum(next) && next != '_';
}

/* *cursor is at a '$'; puts what it stands for and leaves *cursor behind it. */
static int parse_put_dollar(const char **cursor, const struct value_parse_source *source, FILE *out,
                            char *error, size_t size)
{
    if ((*cursor)[1] == '{') {
        *cursor += 2;
        return parse_put_variable(cursor, source, out, error, size);
    }
    if (parse_is_pool_name(*cursor)) {
        *cursor += strlen("$pool");
        if (source->pool == NULL)
            return parse_fail(error, size, "has $pool, which stands for a name in a pool alone");
        return parse_put(out, source->pool, error, size);
    }
    *cursor += 1;
    return fputc('$', out) == EOF ? parse_fail(error, size, no_memory) : 0;
}

/* *cursor is at an opening quote; puts what it holds and leaves *cursor behind the closing one. */
static int parse_put_quoted(const char **cursor, const struct value_parse_source *source, FILE *out,
                            char *error, size_t size)
{
    char quote = *(*cursor)++;
    while (**cursor != quote) {
        if (**cursor == '\0')
            return parse_fail(error, size, "has a quote that is never closed");
        if (quote == '"' && **cursor == '$') {
            if (parse_put_dollar(cursor, source, out, error, size) != 0)
                return -1;
            continue;
        }
        if (quote == '"' && **cursor == '\\' && (*cursor)[1] != '\0' &&
            strchr("\"\\$", (*cursor)[1]) != NULL)
            (*cursor)++;
        if (fputc(*(*cursor)++, out) == EOF)
            return parse_fail(error, size, no_memory);
    }
    (*cursor)++;
    return 0;
}

/* One word, or with `whole` everything up to the end, in which quotes then only count at the start.
 */
static int parse_put_plain(const char **cursor, const struct value_parse_source *source, FILE *out,
                           bool whole, char *error, size_t size)
{
    while (**cursor != '\0' && (whole || !isblank((unsigned char)**cursor))) {
        int result = 0;

        if (**cursor == '$') {
            result = parse_put_dollar(cursor, source, out, error, size);
        } else if (!whole && (**cursor == '"' || **cursor == '\'')) {
            result = parse_put_quoted(cursor, source, out, error, size);
        } else {
            if (!whole && **cursor == '\\' && *++(*cursor) == '\0')
                return parse_fail(error, size, "ends with a backslash that has nothing to act on");
            result = fputc(*(*cursor)++, out) == EOF ? parse_fail(error, size, no_memory) : 0;
        }
        if (result != 0)
            return -1;
    }
    return 0;
}

/* Ends a memory stream: hands its text over if all went well so far, else frees it. */
static int parse_harvest(FILE *stream, char **text, int result, char **out, char *error,
                         size_t size)
{
    if (fclose(stream) != 0 && result == 0)
        result = parse_fail(error, size, no_memory);
    if (result != 0) {
        free(*text);
        return -1;
    }
    *out = *text;
    return 0;
}

int value_parse_text(const char *text, const struct value_parse_source *source, char **out,
                     char *error, size_t size)
{
    char *buffer = NULL;
    size_t length;
    FILE *stream = open_memstream(&buffer, &length);
    int result;
    *out = NULL;
    if (stream == NULL)
        return parse_fail(error, size, no_memory);
    if (*text == '"' || *text == '\'') {
        result = parse_put_quoted(&text, source, stream, error, size);
        if (result == 0 && *text != '\0')
            result = parse_fail(error, size, "goes on behind its closing quote");
    } else {
        result = parse_put_plain(&text, source, stream, true, error, size);
    }
    return parse_harvest(stream, &buffer, result, out, error, size);
}

/* ---- words and lists ---- */

/* Appends `item` itself and keeps the NULL behind the last. On failure `item` is freed. */
static int parse_append(char ***items, size_t *count, char *item)
{
    char **grown = reallocarray(*items, *count + 2, sizeof **items);
    if (grown == NULL) {
        free(item);
        return -1;
    }
    grown[(*count)++] = item;
    grown[*count] = NULL;
    *items = grown;
    return 0;
}

static int parse_add_word(const char **cursor, const struct value_parse_source *source,
                          struct value_parse_words *out, char *error, size_t size)
{
    char *buffer = NULL, *word;
    size_t length;
    FILE *stream = open_memstream(&buffer, &length);
    if (stream == NULL)
        return parse_fail(error, size, no_memory);
    int result = parse_put_plain(cursor, source, stream, false, error, size);
    if (parse_harvest(stream, &buffer, result, &word, error, size) != 0)
        return -1;
    return parse_append(&out->argv, &out->argc, word) == 0 ? 0 : parse_fail(error, size, no_memory);
}

int value_parse_words(const char *text, const struct value_parse_source *source,
                      struct value_parse_words *out, char *error, size_t size)
{
    const char *cursor = text + strspn(text, " \t");
    int result = 0;
    *out = (struct value_parse_words){0};
    while (result == 0 && *cursor != '\0') {
        result = parse_add_word(&cursor, source, out, error, size);
        cursor += strspn(cursor, " \t");
    }
    if (result == 0 && (out->argc == 0 || *out->argv[0] == '\0'))
        result = parse_fail(error, size, "names no program");
    if (result == 0 && (out->text = strdup(text)) == NULL)
        result = parse_fail(error, size, no_memory);
    if (result != 0)
        value_parse_words_free(out);
    return result;
}

int value_parse_list_add(struct value_parse_list *list, const char *item)
{
    char *copy = strdup(item);
    return copy == NULL ? -1 : parse_append(&list->items, &list->count, copy);
}

/* *cursor is at an item; adds it and leaves *cursor at the next or at the end. */
static int parse_add_item(const char **cursor, struct value_parse_list *out, char *error,
                          size_t size)
{
    size_t length = strcspn(*cursor, ", \t");
    char *item;
    if (length == 0)
        return parse_fail(error, size, "has a comma with nothing beside it");
    if ((item = strndup(*cursor, length)) == NULL ||
        parse_append(&out->items, &out->count, item) != 0)
        return parse_fail(error, size, no_memory);
    *cursor += length;
    *cursor += strspn(*cursor, " \t");
    if (**cursor == ',') {
        *cursor += 1;
        *cursor += strspn(*cursor, " \t");
        if (**cursor == '\0')
            return parse_fail(error, size, "has a comma with nothing beside it");
    }
    return 0;
}

int value_parse_list(const char *text, struct value_parse_list *out, char *error, size_t size)
{
    const char *cursor = text + strspn(text, " \t");
    int result = 0;
    *out = (struct value_parse_list){0};
    while (result == 0 && *cursor != '\0')
        result = parse_add_item(&cursor, out, error, size);
    if (result == 0 && out->count == 0)
        result = parse_fail(error, size, "holds nothing");
    if (result != 0)
        value_parse_list_free(out);
    return result;
}

/* ---- addresses ---- */

/* The shortest form of a numeric address of `family`, or NULL. */
static char *parse_numeric_host(int family, const char *text)
{
    unsigned char bytes[16];
    char shortest[INET6_ADDRSTRLEN];
    if (inet_pton(family, text, bytes) != 1 ||
        inet_ntop(family, bytes, shortest, sizeof shortest) == NULL)
        return NULL;
    return strdup(shortest);
}

static int parse_set_port(const char *text, struct value_parse_address *out, char *error,
                          size_t size)
{
    int64_t port;
    if (value_parse_number(text, &port) != 0 || port < 1 || port > 65535)
        return parse_fail(error, size, "must have a port from 1 to 65535");
    out->kind = VALUE_PARSE_ADDRESS_TCP;
    return asprintf(&out->port, "%" PRId64, port) >= 0
               ? 0
               : (out->port = NULL, parse_fail(error, size, no_memory));
}

/* "host:port"; `host` is a copy and ours to cut. */
static int parse_set_host(char *host, struct value_parse_address *out, char *error, size_t size)
{
    char *colon = strrchr(host, ':');
    int family = AF_INET;
    if (strncmp(host, "unix:", 5) == 0) {
        (void)snprintf(error, size, "must be the path alone: %.200s", host + 5);
        return -1;
    }
    if (colon == NULL || (*host == '[' && (colon == host || colon[-1] != ']')))
        return parse_fail(error, size, "must be /path, port, ip:port or [ip6]:port");
    *colon = '\0';
    if (*host == '[') {
        colon[-1] = '\0';
        host++;
        family = AF_INET6;
    } else if (*host == '\0' || strcmp(host, "*") == 0) {
        return parse_set_port(colon + 1, out, error, size);
    }
    out->host = parse_numeric_host(family, host);
    if (out->host == NULL) {
        return parse_fail(error, size,
                          strchr(host, ':') != NULL && family == AF_INET
                              ? "must have its IPv6 address in brackets: [ip6]:port"
                              : "must have a numeric address: names are not looked up");
    }
    return parse_set_port(colon + 1, out, error, size);
}

static int parse_set_path(const char *text, struct value_parse_address *out, char *error,
                          size_t size)
{
    if (strlen(text) > VALUE_PARSE_SOCKET_PATH_MAX) {
        (void)snprintf(error, size, "is too long for a unix socket: %zu bytes, the kernel takes %d",
                       strlen(text), VALUE_PARSE_SOCKET_PATH_MAX);
        return -1;
    }
    if (text[strlen(text) - 1] == '/')
        return parse_fail(error, size, "must name a socket, not a folder");
    out->kind = VALUE_PARSE_ADDRESS_UNIX;
    out->path = strdup(text);
    return out->path != NULL ? 0 : parse_fail(error, size, no_memory);
}

int value_parse_address(const char *text, struct value_parse_address *out, char *error, size_t size)
{
    int result;
    *out = (struct value_parse_address){.text = strdup(text)};
    if (out->text == NULL)
        return parse_fail(error, size, no_memory);
    if (*text == '/') {
        result = parse_set_path(text, out, error, size);
    } else if (*text != '\0' && strspn(text, "0123456789") == strlen(text)) {
        result = parse_set_port(text, out, error, size);
    } else {
        char *copy = strdup(text);
        result = copy != NULL ? parse_set_host(copy, out, error, size)
                              : parse_fail(error, size, no_memory);
        free(copy);
    }
    if (result != 0)
        value_parse_address_free(out);
    return result;
}

bool value_parse_address_clash(const struct value_parse_address *a,
                               const struct value_parse_address *b)
{
    if (a->kind != b->kind || a->kind == VALUE_PARSE_ADDRESS_NONE)
        return false;
    if (a->kind == VALUE_PARSE_ADDRESS_UNIX)
        return strcmp(a->path, b->path) == 0;
    return strcmp(a->port, b->port) == 0 &&
           (a->host == NULL || b->host == NULL || strcmp(a->host, b->host) == 0);
}

/* ---- back to text ---- */

/* Puts `mark` around the text and a backslash before each of `escaped`. */
static char *parse_quote(const char *text, const char *escaped, const char *mark)
{
    char *out = NULL;
    size_t length;
    FILE *stream = open_memstream(&out, &length);
    if (stream == NULL)
        return NULL;
    bool fine = fputs(mark, stream) >= 0;
    for (; *text != '\0' && fine; text++) {
        fine = (strchr(escaped, *text) == NULL || fputc('\\', stream) != EOF) &&
               fputc(*text, stream) != EOF;
    }
    fine = fputs(mark, stream) >= 0 && fine;
    if (fclose(stream) != 0 || !fine) {
        free(out);
        return NULL;
    }
    return out;
}

char *value_parse_quote_text(const char *text)
{
    bool plain = *text != '\0' && strpbrk(text, "\"';$\\") == NULL &&
                 !isblank((unsigned char)*text) && !isblank((unsigned char)text[strlen(text) - 1]);
    return plain ? strdup(text) : parse_quote(text, "\"\\$", "\"");
}

char *value_parse_quote_word(const char *word)
{
    bool plain = *word != '\0' && strpbrk(word, "\"';$\\ \t") == NULL;
    return plain ? strdup(word) : parse_quote(word, "\"\\$", "\"");
}

/* The quote's end if it has one, else the quote itself: then it is a mere apostrophe. */
static const char *parse_closing(const char *quote_at)
{
    for (const char *c = quote_at + 1; *c != '\0'; c++) {
        if (*c == *quote_at)
            return c;
        if (*quote_at == '"' && *c == '\\' && c[1] != '\0')
            c++;
    }
    return quote_at;
}

size_t value_parse_length(const char *rest)
{
    const char *c;
    size_t length;
    for (c = rest; *c != '\0'; c++)
        if (*c == '"' || *c == '\'')
            c = parse_closing(c);
        else if (*c == '\\' && c[1] != '\0')
            c++;
        else if (*c == ';' && (c == rest || isblank((unsigned char)c[-1])))
            break;
    length = (size_t)(c - rest);
    while (length > 0 && isspace((unsigned char)rest[length - 1]))
        length--;
    return length;
}

/* ---- the end ---- */

void value_parse_list_free(struct value_parse_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct value_parse_list){0};
}

void value_parse_words_free(struct value_parse_words *words)
{
    for (size_t i = 0; i < words->argc; i++)
        free(words->argv[i]);
    free(words->argv);
    free(words->text);
    *words = (struct value_parse_words){0};
}

void value_parse_address_free(struct value_parse_address *address)
{
    free(address->text);
    free(address->path);
    free(address->host);
    free(address->port);
    *address = (struct value_parse_address){0};
}
