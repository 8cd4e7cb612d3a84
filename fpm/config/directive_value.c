/* directive_value.c: the value of one directive. See directive_value.h. */
#include "fpm/config/directive_value.h"

#include "fpm/util/account.h"
#include "sapi-shim/util/cidr.h"
#include "sapi-shim/util/scalar.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The field, whose struct is the caller's to write or not. */
static void *directive_value_at(const struct directive *row, const void *owner)
{
    return (char *)(uintptr_t)owner + row->offset;
}

/* The types whose field is a char pointer come first. */
static bool directive_value_is_text(const struct directive *row)
{
    return row->type <= DIRECTIVE_GROUP;
}

static int directive_value_refuse(const struct directive *row, char *error, size_t size)
{
    char accepted[256] = "";
    directive_accepts(row, accepted, sizeof accepted);
    (void)snprintf(error, size, "must be %s", accepted);
    return -1;
}

static int directive_value_no_memory(char *error, size_t size)
{
    (void)snprintf(error, size, "cannot be kept: out of memory");
    return -1;
}

/* ---- from text ---- */

static int directive_value_set_text(char **field, const char *text, char *error, size_t size)
{
    char *copy = strdup(text);
    if (copy == NULL)
        return directive_value_no_memory(error, size);
    free(*field);
    *field = copy;
    return 0;
}

static int directive_value_set_number(const struct directive *row, int64_t *field, const char *text,
                                      char *error, size_t size)
{
    int64_t number = 0;
    bool good;
    if ((row->type == DIRECTIVE_LIMIT_COUNT || row->type == DIRECTIVE_LIMIT_SIZE) &&
        strcasecmp(text, "unlimited") == 0) {
        *field = INT64_MAX;
        return 0;
    }
    if (row->type == DIRECTIVE_TIME)
        good = scalar_time(text, &number);
    else if (row->type == DIRECTIVE_SIZE || row->type == DIRECTIVE_LIMIT_SIZE)
        good = value_parse_size(text, &number);
    else
        good = value_parse_number(text, &number);
    if (!good || number < row->min || number > row->max)
        return directive_value_refuse(row, error, size);
    *field = number;
    return 0;
}

static int directive_value_set_networks(struct value_parse_list *field, const char *text,
                                        char *error, size_t size)
{
    struct value_parse_list list;
    struct cidr network;
    size_t good = 0;
    if (value_parse_list(text, &list, error, size) != 0)
        return -1;
    while (good < list.count && cidr_parse(list.items[good], strlen(list.items[good]), &network))
        good++;
    if (list.count > DIRECTIVE_NETWORKS_MAX)
        (void)snprintf(error, size, "has %zu entries; at most %d are allowed", list.count,
                       DIRECTIVE_NETWORKS_MAX);
    else if (good < list.count)
        (void)snprintf(error, size,
                       "%.60s is neither an IP address nor a network such as 192.0.2.0/24",
                       list.items[good]);
    bool refused = list.count > DIRECTIVE_NETWORKS_MAX || good < list.count;
    value_parse_list_free(refused ? &list : field);
    if (!refused)
        *field = list;
    return refused ? -1 : 0;
}

/* Sets a field of any type except words and maps, whose text is split first. */
static int directive_value_set_plain(const struct directive *row, void *field, const char *text,
                                     char *error, size_t size)
{
    const struct directive_choice *choice = row->choices;
    struct value_parse_address address;
    struct account account;
    gid_t gid;
    int mode;
    bool found = true;
    switch (row->type) {
    case DIRECTIVE_URI:
    case DIRECTIVE_PATH:
    case DIRECTIVE_FOLDER:
        if (*text != '/' && (row->word == NULL || strcmp(text, row->word) != 0) &&
            (row->other_word == NULL || strcmp(text, row->other_word) != 0) &&
            (row->third_word == NULL || strcmp(text, row->third_word) != 0))
            return directive_value_refuse(row, error, size);
        return directive_value_set_text(field, text, error, size);
    case DIRECTIVE_USER:
    case DIRECTIVE_GROUP:
        found = row->type == DIRECTIVE_USER ? account_user(text, &account, error, size) == 0
                                            : account_group(text, &gid, error, size) == 0;
        /* fall through */
    case DIRECTIVE_TEXT:
        return found ? directive_value_set_text(field, text, error, size) : -1;
    case DIRECTIVE_BOOL:
        return scalar_bool(text, field) ? 0 : directive_value_refuse(row, error, size);
    case DIRECTIVE_NUMBER:
    case DIRECTIVE_SIZE:
    case DIRECTIVE_TIME:
    case DIRECTIVE_LIMIT_COUNT:
    case DIRECTIVE_LIMIT_SIZE:
        return directive_value_set_number(row, field, text, error, size);
    case DIRECTIVE_CHOICE:
        while (choice->word != NULL && strcmp(choice->word, text) != 0)
            choice++;
        if (choice->word == NULL)
            return directive_value_refuse(row, error, size);
        *(int *)field = choice->value;
        return 0;
    case DIRECTIVE_MODE:
        if (value_parse_mode(text, &mode) != 0 || mode < row->min || mode > row->max)
            return directive_value_refuse(row, error, size);
        *(int *)field = mode;
        return 0;
    case DIRECTIVE_LIST:
    case DIRECTIVE_INCLUDE:
        return value_parse_list_add(field, text) == 0 ? 0 : directive_value_no_memory(error, size);
    case DIRECTIVE_NETWORKS:
        return directive_value_set_networks(field, text, error, size);
    case DIRECTIVE_ADDRESS:
    case DIRECTIVE_SOCKET_PATH:
        if (row->type == DIRECTIVE_SOCKET_PATH && *text != '/')
            return directive_value_refuse(row, error, size);
        if (value_parse_address(text, &address, error, size) != 0)
            return -1;
        value_parse_address_free(field);
        *(struct value_parse_address *)field = address;
        return 0;
    case DIRECTIVE_MAP:
    case DIRECTIVE_WORDS:
        break;
    }
    return directive_value_refuse(row, error, size);
}

int directive_value_set(const struct directive *row, void *owner, const char *text,
                        const struct value_parse_source *source, char *error, size_t size)
{
    void *field = directive_value_at(row, owner);
    struct value_parse_words words;
    char *plain;
    if (*text == '\0') {
        (void)snprintf(error, size,
                       "has no value; remove the line, or write \"\" where an empty "
                       "text is meant");
        return -1;
    }
    if (row->type == DIRECTIVE_WORDS) {
        if (value_parse_words(text, source, &words, error, size) != 0)
            return -1;
        value_parse_words_free(field);
        *(struct value_parse_words *)field = words;
        return 0;
    }
    if (value_parse_text(text, source, &plain, error, size) != 0)
        return -1;
    int result = directive_value_set_plain(row, field, plain, error, size);
    free(plain);
    return result;
}

int directive_value_set_pair(const struct directive *row, void *owner, const char *name,
                             const char *text, const struct directive_origin *origin,
                             const struct value_parse_source *source, char *error, size_t size)
{
    struct directive_map *map = directive_value_at(row, owner);
    char *value;

    /* Every shell and getenv accept such a name. */
    size_t length = 0;
    while (isalnum((unsigned char)name[length]) || name[length] == '_')
        length++;
    if (length == 0 || name[length] != '\0' || isdigit((unsigned char)*name)) {
        (void)snprintf(error, size,
                       "a variable's name has letters, digits and _, and begins with no digit");
        return -1;
    }
    if (map->count >= DIRECTIVE_PAIRS_MAX) {
        (void)snprintf(error, size, "is one entry more than the %d that are allowed",
                       DIRECTIVE_PAIRS_MAX);
        return -1;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->items[i].name, name) == 0) {
            (void)snprintf(error, size, "is already given at %s:%u", map->items[i].origin.file,
                           map->items[i].origin.line);
            return -1;
        }
    }
    if (*text == '\0') {
        (void)snprintf(error, size, "has no value; write \"\" where an empty one is meant");
        return -1;
    }
    if (value_parse_text(text, source, &value, error, size) != 0)
        return -1;

    char *copy = strdup(name);
    struct directive_pair *grown = reallocarray(map->items, map->count + 1, sizeof *grown);
    if (grown != NULL)
        map->items = grown;
    if (grown == NULL || copy == NULL) {
        free(copy);
        free(value);
        return directive_value_no_memory(error, size);
    }
    grown[map->count++] = (struct directive_pair){.name = copy, .value = value, .origin = *origin};
    return 0;
}

/* ---- default and release ---- */

static void directive_value_unset(const struct directive *row, void *field)
{
    memset(field, 0, row->size);
    if (row->type == DIRECTIVE_MODE)
        *(int *)field = -1;
    else if (row->type == DIRECTIVE_NUMBER)
        *(int64_t *)field = DIRECTIVE_UNSET;
    else if (row->type == DIRECTIVE_TIME || row->type == DIRECTIVE_LIMIT_COUNT ||
             row->type == DIRECTIVE_LIMIT_SIZE)
        *(int64_t *)field = -1;
}

int directive_value_init(const struct directive *row, void *owner)
{
    char error[256];
    void *field = directive_value_at(row, owner);
    directive_value_unset(row, field);
    return row->by_default == NULL
               ? 0
               : directive_value_set_plain(row, field, row->by_default, error, sizeof error);
}

void directive_value_free(const struct directive *row, void *owner)
{
    void *field = directive_value_at(row, owner);
    struct directive_map *map = field;
    switch (row->type) {
    case DIRECTIVE_LIST:
    case DIRECTIVE_INCLUDE:
    case DIRECTIVE_NETWORKS:
        value_parse_list_free(field);
        break;
    case DIRECTIVE_MAP:
        for (size_t i = 0; i < map->count; i++) {
            free(map->items[i].name);
            free(map->items[i].value);
        }
        free(map->items);
        break;
    case DIRECTIVE_WORDS:
        value_parse_words_free(field);
        break;
    case DIRECTIVE_ADDRESS:
    case DIRECTIVE_SOCKET_PATH:
        value_parse_address_free(field);
        break;
    default:
        if (directive_value_is_text(row))
            free(*(char **)field);
    }
    directive_value_unset(row, field);
}

/* ---- comparison ---- */

static bool directive_value_equal_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool directive_value_equal_items(char *const *a, size_t a_count, char *const *b,
                                        size_t b_count)
{
    bool equal = a_count == b_count;
    for (size_t i = 0; equal && i < a_count; i++)
        equal = strcmp(a[i], b[i]) == 0;
    return equal;
}

bool directive_value_equal(const struct directive *row, const void *first, const void *second)
{
    const void *a = directive_value_at(row, first), *b = directive_value_at(row, second);
    const struct value_parse_list *a_list = a, *b_list = b;
    const struct value_parse_words *a_words = a, *b_words = b;
    const struct directive_map *a_map = a, *b_map = b;
    const struct value_parse_address *a_address = a, *b_address = b;
    bool equal;
    switch (row->type) {
    case DIRECTIVE_LIST:
    case DIRECTIVE_INCLUDE:
    case DIRECTIVE_NETWORKS:
        return directive_value_equal_items(a_list->items, a_list->count, b_list->items,
                                           b_list->count);
    case DIRECTIVE_WORDS:
        return directive_value_equal_items(a_words->argv, a_words->argc, b_words->argv,
                                           b_words->argc);
    case DIRECTIVE_MAP:
        equal = a_map->count == b_map->count;
        for (size_t i = 0; equal && i < a_map->count; i++)
            equal = strcmp(a_map->items[i].name, b_map->items[i].name) == 0 &&
                    strcmp(a_map->items[i].value, b_map->items[i].value) == 0;
        return equal;
    case DIRECTIVE_ADDRESS:
    case DIRECTIVE_SOCKET_PATH:
        return a_address->kind == b_address->kind &&
               directive_value_equal_text(a_address->path, b_address->path) &&
               directive_value_equal_text(a_address->host, b_address->host) &&
               directive_value_equal_text(a_address->port, b_address->port);
    default:
        return directive_value_is_text(row)
                   ? directive_value_equal_text(*(char *const *)a, *(char *const *)b)
                   : memcmp(a, b, row->size) == 0;
    }
}

bool directive_value_is_set(const struct directive *row, const void *owner)
{
    const void *field = directive_value_at(row, owner);
    switch (row->type) {
    case DIRECTIVE_BOOL:
    case DIRECTIVE_CHOICE:
        return true;
    case DIRECTIVE_MODE:
        return *(const int *)field >= 0;
    case DIRECTIVE_NUMBER:
        return *(const int64_t *)field != DIRECTIVE_UNSET;
    case DIRECTIVE_LIST:
    case DIRECTIVE_INCLUDE:
    case DIRECTIVE_NETWORKS:
        return ((const struct value_parse_list *)field)->count > 0;
    case DIRECTIVE_MAP:
        return ((const struct directive_map *)field)->count > 0;
    case DIRECTIVE_WORDS:
        return ((const struct value_parse_words *)field)->argc > 0;
    case DIRECTIVE_ADDRESS:
    case DIRECTIVE_SOCKET_PATH:
        return ((const struct value_parse_address *)field)->kind != VALUE_PARSE_ADDRESS_NONE;
    default:
        return directive_value_is_text(row) ? *(char *const *)field != NULL
                                            : *(const int64_t *)field >= 0;
    }
}

/* ---- to text ---- */

/* Joins the items; with `quoted` each is quoted as a word of a command line. */
static char *directive_value_joined(char *const *items, size_t count, const char *joint,
                                    bool quoted)
{
    char *out = NULL;
    size_t length;
    FILE *stream = open_memstream(&out, &length);
    bool fine = stream != NULL;
    for (size_t i = 0; fine && i < count; i++) {
        char *item = quoted ? value_parse_quote_word(items[i]) : strdup(items[i]);
        fine = item != NULL && fprintf(stream, "%s%s", i == 0 ? "" : joint, item) >= 0;
        free(item);
    }
    if (stream == NULL || fclose(stream) != 0 || !fine) {
        free(out);
        return NULL;
    }
    return out;
}

char *directive_value_text(const struct directive *row, const void *owner)
{
    const void *field = directive_value_at(row, owner);
    const struct value_parse_list *list = field;
    const struct value_parse_words *words = field;
    const struct directive_choice *choice = row->choices;
    int64_t number;
    char *out, text[VALUE_PARSE_TEXT_SIZE];
    if (!directive_value_is_set(row, owner) || directive_repeats(row))
        return NULL;
    switch (row->type) {
    case DIRECTIVE_BOOL:
        return strdup(*(const bool *)field ? "yes" : "no");
    case DIRECTIVE_CHOICE:
        while (choice->word != NULL && choice->value != *(const int *)field)
            choice++;
        return choice->word != NULL ? strdup(choice->word) : NULL;
    case DIRECTIVE_MODE:
        return asprintf(&out, "%04o", (unsigned)*(const int *)field) >= 0 ? out : NULL;
    case DIRECTIVE_NUMBER:
    case DIRECTIVE_SIZE:
    case DIRECTIVE_TIME:
    case DIRECTIVE_LIMIT_COUNT:
    case DIRECTIVE_LIMIT_SIZE:
        number = *(const int64_t *)field;
        if (number == INT64_MAX &&
            (row->type == DIRECTIVE_LIMIT_COUNT || row->type == DIRECTIVE_LIMIT_SIZE))
            return strdup("unlimited");
        if (row->type == DIRECTIVE_TIME)
            value_parse_time_text(number, text);
        else if (row->type == DIRECTIVE_SIZE || row->type == DIRECTIVE_LIMIT_SIZE)
            value_parse_size_text(number, text);
        else
            (void)snprintf(text, sizeof text, "%" PRId64, number);
        return strdup(text);
    case DIRECTIVE_NETWORKS:
        return directive_value_joined(list->items, list->count, ", ", false);
    case DIRECTIVE_WORDS:
        return directive_value_joined(words->argv, words->argc, " ", true);
    case DIRECTIVE_ADDRESS:
    case DIRECTIVE_SOCKET_PATH:
        return value_parse_quote_text(((const struct value_parse_address *)field)->text);
    default:
        return value_parse_quote_text(*(char *const *)field);
    }
}
