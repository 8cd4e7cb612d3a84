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

static const char value_no_memory[] = "cannot be kept: out of memory";

/* From large to small, so that the first that divides a value writes it shortest. */
static const struct scalar_unit value_sizes[] = {
    {"G", INT64_C(1) << 30}, {"M", INT64_C(1) << 20}, {"K", INT64_C(1) << 10}, {"", 1}};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int value_fail(char *error, size_t size, const char *text)
{
    (void)snprintf(error, size, "%s", text);
    return -1;
}

bool value_parse_number(const char *text, int64_t *out)
{
    bool negative = *text == '-';
    int64_t number;
    text += negative;
    if (!scalar_digits(&text, &number) || *text != '\0')
        return false;
    *out = negative ? -number : number;
    return true;
}

static void value_unit_text(int64_t number, const struct scalar_unit *units, size_t count,
                            char *out)
{
    size_t i = 0;
    while (i + 1 < count && (number == 0 || number % units[i].factor != 0))
        i++;
    (void)snprintf(out, VALUE_PARSE_TEXT_SIZE, "%" PRId64 "%s", number / units[i].factor,
                   units[i].suffix);
}

bool value_parse_size(const char *text, int64_t *out)
{
    return scalar_with_unit(text, value_sizes, COUNT(value_sizes), out);
}

void value_parse_size_text(int64_t bytes, char *out)
{
    value_unit_text(bytes, value_sizes, COUNT(value_sizes), out);
}

void value_parse_time_text(int64_t milliseconds, char *out)
{
    value_unit_text(milliseconds, scalar_times, SCALAR_TIMES, out);
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

/* A value that is being read: `cursor` moves over its text, the result goes to `out`. */
struct value_state {
    const char *cursor;
    const struct value_parse_source *source;
    FILE *out;
    char *error;
    size_t size;
};

static int value_put_char(const struct value_state *parse, char c)
{
    return fputc(c, parse->out) != EOF ? 0 : value_fail(parse->error, parse->size, value_no_memory);
}

/* Puts what a variable holds. */
static int value_put_text(const struct value_state *parse, const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c) && *c != '\t')
            return value_fail(parse->error, parse->size,
                              "takes a control character from a variable");
    return fputs(text, parse->out) >= 0 ? 0
                                        : value_fail(parse->error, parse->size, value_no_memory);
}

/* At a '$': puts the value of ${NAME} or $pool, or else the dollar itself. */
static int value_put_dollar(struct value_state *parse)
{
    const char *text = parse->cursor;
    if (text[1] == '{') {
        size_t length = strcspn(text + 2, "}");
        char name[256];
        if (text[2 + length] == '\0')
            return value_fail(parse->error, parse->size, "has a ${ without its }");
        if (length == 0 || length >= sizeof name)
            return value_fail(parse->error, parse->size, "has a ${...} that is no variable's name");
        memcpy(name, text + 2, length);
        name[length] = '\0';
        parse->cursor += 2 + length + 1;

        const char *(*variable)(const char *) = parse->source->variable;
        const char *value = variable != NULL ? variable(name) : NULL;
        if (value != NULL)
            return value_put_text(parse, value);
        (void)snprintf(parse->error, parse->size,
                       "takes ${%s} from the environment, where no such variable is set", name);
        return -1;
    }
    size_t word = strlen("$pool");
    if (strncmp(text, "$pool", word) == 0 && !isalnum((unsigned char)text[word]) &&
        text[word] != '_') {
        parse->cursor += word;
        if (parse->source->pool == NULL)
            return value_fail(parse->error, parse->size,
                              "has $pool, which stands for a name in a pool alone");
        return value_put_text(parse, parse->source->pool);
    }
    return value_put_char(parse, *parse->cursor++);
}

/* At an opening quote: puts the text up to the closing one and goes past it. */
static int value_put_quoted(struct value_state *parse)
{
    char quote = *parse->cursor++;
    while (*parse->cursor != quote) {
        const char *at = parse->cursor;
        int result;
        if (*at == '\0')
            return value_fail(parse->error, parse->size, "has a quote that is never closed");
        if (quote == '"' && *at == '$') {
            result = value_put_dollar(parse);
        } else {
            if (quote == '"' && *at == '\\' && at[1] != '\0' && strchr("\"\\$", at[1]) != NULL)
                parse->cursor++;
            result = value_put_char(parse, *parse->cursor++);
        }
        if (result != 0)
            return -1;
    }
    parse->cursor++;
    return 0;
}

/* Does an unquoted '#' stand here that was meant to begin a comment? */
static bool value_is_comment(const char *text, bool first)
{
    return *text == '#' && (!first || text[1] == '\0' || isblank((unsigned char)text[1]));
}

/* Puts one word, or with `whole` the rest, in which quotes and backslashes mean nothing. `first`:
 * it begins the value. */
static int value_put_plain(struct value_state *parse, bool whole, bool first)
{
    const char *begin = parse->cursor;
    while (*parse->cursor != '\0' && (whole || !isblank((unsigned char)*parse->cursor))) {
        int result;
        if ((parse->cursor == begin || isblank((unsigned char)parse->cursor[-1])) &&
            value_is_comment(parse->cursor, first && parse->cursor == begin))
            return value_fail(parse->error, parse->size,
                              "has an unquoted # after a blank: a comment after a value "
                              "begins with ;, and a # that belongs to it needs quotes");
        if (*parse->cursor == '$') {
            result = value_put_dollar(parse);
        } else if (!whole && (*parse->cursor == '"' || *parse->cursor == '\'')) {
            result = value_put_quoted(parse);
        } else {
            if (!whole && *parse->cursor == '\\' && *++parse->cursor == '\0')
                return value_fail(parse->error, parse->size,
                                  "ends with a backslash that has nothing to act on");
            result = value_put_char(parse, *parse->cursor++);
        }
        if (result != 0)
            return -1;
    }
    return 0;
}

/* Reads one word, or the whole value: then quotes count if it begins with one. */
static int value_run(struct value_state *parse, bool whole, bool first, char **out)
{
    char *buffer = NULL;
    size_t length;
    int result;
    *out = NULL;
    parse->out = open_memstream(&buffer, &length);
    if (parse->out == NULL)
        return value_fail(parse->error, parse->size, value_no_memory);
    if (whole && (*parse->cursor == '"' || *parse->cursor == '\'')) {
        result = value_put_quoted(parse);
        if (result == 0 && *parse->cursor != '\0')
            result = value_fail(parse->error, parse->size, "goes on after its closing quote");
    } else {
        result = value_put_plain(parse, whole, first);
    }
    if (fclose(parse->out) != 0 && result == 0)
        result = value_fail(parse->error, parse->size, value_no_memory);
    if (result == 0)
        *out = buffer;
    else
        free(buffer);
    return result;
}

int value_parse_text(const char *text, const struct value_parse_source *source, char **out,
                     char *error, size_t size)
{
    struct value_state parse = {.cursor = text, .source = source, .size = size};
    parse.error = error;
    return value_run(&parse, true, true, out);
}

/* ---- words and lists ---- */

/* Appends `item` itself and a NULL after it. On failure, and for no item, `item` is freed. */
static int value_append(char ***items, size_t *count, char *item)
{
    char **grown = item != NULL ? reallocarray(*items, *count + 2, sizeof **items) : NULL;
    if (grown == NULL) {
        free(item);
        return -1;
    }
    grown[(*count)++] = item;
    grown[*count] = NULL;
    *items = grown;
    return 0;
}

int value_parse_words(const char *text, const struct value_parse_source *source,
                      struct value_parse_words *out, char *error, size_t size)
{
    struct value_state parse = {.cursor = text, .source = source, .error = error, .size = size};
    int result = 0;
    *out = (struct value_parse_words){0};
    while (result == 0 && *(parse.cursor += strspn(parse.cursor, " \t")) != '\0') {
        char *word;
        result = value_run(&parse, false, out->argc == 0, &word);
        if (result == 0 && value_append(&out->argv, &out->argc, word) != 0)
            result = value_fail(error, size, value_no_memory);
    }
    if (result == 0 && (out->argc == 0 || *out->argv[0] == '\0'))
        result = value_fail(error, size, "names no program");
    if (result == 0 && (out->text = strdup(text)) == NULL)
        result = value_fail(error, size, value_no_memory);
    if (result != 0)
        value_parse_words_free(out);
    return result;
}

int value_parse_list_add(struct value_parse_list *list, const char *item)
{
    return value_append(&list->items, &list->count, strdup(item));
}

int value_parse_list(const char *text, struct value_parse_list *out, char *error, size_t size)
{
    const char *cursor = text + strspn(text, " \t");
    bool comma = false; /* the item before ended with one */
    *out = (struct value_parse_list){0};
    const char *problem = *cursor == '\0' ? "holds nothing" : NULL;
    while (problem == NULL && (*cursor != '\0' || comma)) {
        size_t length = strcspn(cursor, ", \t");
        if (length == 0)
            problem = "has a comma with nothing beside it";
        else if (value_append(&out->items, &out->count, strndup(cursor, length)) != 0)
            problem = value_no_memory;
        cursor += length;
        cursor += strspn(cursor, " \t");
        comma = *cursor == ',';
        cursor += comma;
        cursor += strspn(cursor, " \t");
    }
    if (problem == NULL)
        return 0;
    value_parse_list_free(out);
    return value_fail(error, size, problem);
}

/* ---- addresses ---- */

static int value_set_port(const char *text, struct value_parse_address *out, char *error,
                          size_t size)
{
    int64_t port;
    if (!value_parse_number(text, &port) || port < 1 || port > 65535)
        return value_fail(error, size, "must have a port from 1 to 65535");
    out->kind = VALUE_PARSE_ADDRESS_TCP;
    if (asprintf(&out->port, "%" PRId64, port) >= 0)
        return 0;
    out->port = NULL;
    return value_fail(error, size, value_no_memory);
}

/* "host:port"; cuts `host`, the caller's copy. */
static int value_set_host(char *host, struct value_parse_address *out, char *error, size_t size)
{
    char *colon = strrchr(host, ':'), shortest[INET6_ADDRSTRLEN];
    unsigned char bytes[sizeof(struct in6_addr)];
    int family = AF_INET;
    if (strncmp(host, "unix:", 5) == 0) {
        (void)snprintf(error, size, "must be the path alone: %.200s", host + 5);
        return -1;
    }
    if (colon == NULL || (*host == '[' && (colon == host || colon[-1] != ']')))
        return value_fail(error, size, "must be /path, port, ip:port or [ip6]:port");
    *colon = '\0';
    if (*host == '\0' || strcmp(host, "*") == 0)
        return value_set_port(colon + 1, out, error, size);
    if (*host == '[') {
        colon[-1] = '\0';
        host++;
        family = AF_INET6;
    }
    if (inet_pton(family, host, bytes) != 1 ||
        inet_ntop(family, bytes, shortest, sizeof shortest) == NULL)
        return value_fail(error, size,
                          strchr(host, ':') != NULL && family == AF_INET
                              ? "must have its IPv6 address in brackets: [ip6]:port"
                              : "must have a numeric address: names are not looked up");
    out->host = strdup(shortest);
    if (out->host == NULL)
        return value_fail(error, size, value_no_memory);
    return value_set_port(colon + 1, out, error, size);
}

int value_parse_address(const char *text, struct value_parse_address *out, char *error, size_t size)
{
    int result = -1;
    *out = (struct value_parse_address){.text = strdup(text)};
    char *copy = strdup(text), *to = copy;
    if (out->text == NULL || copy == NULL) {
        result = value_fail(error, size, value_no_memory);
    } else if (*text == '/' && strlen(text) > VALUE_PARSE_SOCKET_PATH_MAX) {
        (void)snprintf(error, size, "is too long for a unix socket: %zu bytes, the kernel takes %d",
                       strlen(text), VALUE_PARSE_SOCKET_PATH_MAX);
    } else if (*text == '/' && text[strlen(text) - 1] == '/') {
        result = value_fail(error, size, "must name a socket, not a folder");
    } else if (*text == '/') {
        /* What // and /./ repeat is left out. */
        for (const char *from = copy; *from != '\0'; *to++ = *from++)
            while (from[0] == '/' && (from[1] == '/' || (from[1] == '.' && from[2] == '/')))
                from += from[1] == '/' ? 1 : 2;
        *to = '\0';
        out->kind = VALUE_PARSE_ADDRESS_UNIX;
        out->path = copy;
        return 0;
    } else if (*text != '\0' && strspn(text, "0123456789") == strlen(text)) {
        result = value_set_port(text, out, error, size);
    } else {
        result = value_set_host(copy, out, error, size);
    }
    free(copy);
    if (result != 0)
        value_parse_address_free(out);
    return result;
}

/* ---- back to text ---- */

/* Puts quotes around the text and backslashes where a quoted text needs them. */
static char *value_quote(const char *text)
{
    char *out = NULL;
    size_t length;
    FILE *stream = open_memstream(&out, &length);
    if (stream == NULL)
        return NULL;
    bool fine = fputc('"', stream) != EOF;
    for (; *text != '\0' && fine; text++)
        fine = (strchr("\"\\$", *text) == NULL || fputc('\\', stream) != EOF) &&
               fputc(*text, stream) != EOF;
    fine = fputc('"', stream) != EOF && fine;
    if (fclose(stream) != 0 || !fine) {
        free(out);
        return NULL;
    }
    return out;
}

char *value_parse_quote_text(const char *text)
{
    bool plain = *text != '\0' && strpbrk(text, "\"';#$\\") == NULL &&
                 !isblank((unsigned char)*text) && !isblank((unsigned char)text[strlen(text) - 1]);
    return plain ? strdup(text) : value_quote(text);
}

char *value_parse_quote_word(const char *word)
{
    bool plain = *word != '\0' && strpbrk(word, "\"';#$\\ \t") == NULL;
    return plain ? strdup(word) : value_quote(word);
}

/* The closing quote, or the quote itself if there is none: then it is a mere apostrophe. */
static const char *value_closing(const char *quote_at)
{
    for (const char *c = quote_at + 1; *c != '\0'; c++) {
        if (*c == *quote_at)
            return c;
        if (*quote_at == '"' && *c == '\\' && c[1] != '\0')
            c++;
    }
    return quote_at;
}

size_t value_parse_length(const char *rest, bool words)
{
    const char *c;
    size_t length;
    for (c = rest; *c != '\0'; c++)
        if ((*c == '"' || *c == '\'') && (words || c == rest))
            c = value_closing(c);
        else if (words && *c == '\\' && c[1] != '\0')
            c++;
        else if (*c == ';' && (c == rest || isblank((unsigned char)c[-1])))
            break;
    length = (size_t)(c - rest);
    while (length > 0 && isspace((unsigned char)rest[length - 1]))
        length--;
    return length;
}

/* ---- release ---- */

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
