/* directive_value.c: the value of one directive. See directive_value.h. */
#include "fpm/config/directive_value.h"

#include "fpm/util/account.h"
#include "sapi-shim/util/cidr.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The field, as each type of it. */
static void *value_at(const struct directive *row, void *owner)
{
    return (char *)owner + row->offset;
}

static const void *value_in(const struct directive *row, const void *owner)
{
    return (const char *)owner + row->offset;
}

static int value_refuse(const struct directive *row, char *error, size_t size)
{
    char accepted[256] = "";
    directive_accepts(row, accepted, sizeof accepted);
    (void)snprintf(error, size, "must be %s", accepted);
    return -1;
}

static int value_no_memory(char *error, size_t size)
{
    (void)snprintf(error, size, "cannot be kept: out of memory");
    return -1;
}

/* ---- from text ---- */

static int value_set_text(char **field, const char *text, char *error, size_t size)
{
    char *copy = strdup(text);
    if (copy == NULL)
        return value_no_memory(error, size);
    free(*field);
    *field = copy;
    return 0;
}

static int value_set_path(const struct directive *row, char **field, const char *text, char *error,
                          size_t size)
{
    if ((row->word != NULL && strcmp(text, row->word) == 0) ||
        (row->other_word != NULL && strcmp(text, row->other_word) == 0))
        return value_set_text(field, text, error, size);
    if (*text != '/')
        return value_refuse(row, error, size);
    return value_set_text(field, text, error, size);
}

static int value_set_account(const struct directive *row, char **field, const char *text,
                             char *error, size_t size)
{
    struct account account;
    gid_t gid;
    int result = row->type == DIRECTIVE_USER ? account_user(text, &account, error, size)
                                             : account_group(text, &gid, error, size);
    return result == 0 ? value_set_text(field, text, error, size) : -1;
}

static int value_set_number(const struct directive *row, int64_t *field, const char *text,
                            char *error, size_t size)
{
    int64_t number = 0;
    int result;
    if ((row->type == DIRECTIVE_LIMIT_COUNT || row->type == DIRECTIVE_LIMIT_SIZE) &&
        strcasecmp(text, "unlimited") == 0) {
        *field = INT64_MAX;
        return 0;
    }
    if (row->type == DIRECTIVE_TIME)
        result = value_parse_time(text, &number);
    else if (row->type == DIRECTIVE_SIZE || row->type == DIRECTIVE_LIMIT_SIZE)
        result = value_parse_size(text, &number);
    else
        result = value_parse_number(text, &number);
    if (result != 0 || number < row->min || number > row->max)
        return value_refuse(row, error, size);
    *field = number;
    return 0;
}

static int value_set_choice(const struct directive *row, int *field, const char *text, char *error,
                            size_t size)
{
    for (const struct directive_choice *choice = row->choices; choice->word != NULL; choice++) {
        if (strcmp(choice->word, text) != 0)
            continue;
        *field = choice->value;
        return 0;
    }
    return value_refuse(row, error, size);
}

static int value_set_networks(struct value_parse_list *field, const char *text, char *error,
                              size_t size)
{
    struct value_parse_list list;
    struct cidr network;
    if (value_parse_list(text, &list, error, size) != 0)
        return -1;
    if (list.count > DIRECTIVE_NETWORKS_MAX) {
        (void)snprintf(error, size, "has %zu entries; at most %d are allowed", list.count,
                       DIRECTIVE_NETWORKS_MAX);
        value_parse_list_free(&list);
        return -1;
    }
    for (size_t i = 0; i < list.count; i++) {
        if (!cidr_parse(list.items[i], strlen(list.items[i]), &network)) {
            (void)snprintf(error, size,
                           "%.60s is neither an IP address nor a network such as 192.0.2.0/24",
                           list.items[i]);
            value_parse_list_free(&list);
            return -1;
        }
    }
    value_parse_list_free(field);
    *field = list;
    return 0;
}

static int value_set_address(const struct directive *row, struct value_parse_address *field,
                             const char *text, char *error, size_t size)
{
    struct value_parse_address address;
    if (row->type == DIRECTIVE_SOCKET_PATH && *text != '/')
        return value_refuse(row, error, size);
    if (value_parse_address(text, &address, error, size) != 0)
        return -1;
    value_parse_address_free(field);
    *field = address;
    return 0;
}

/* Everything but words and maps, which have no plain text. */
static int value_set_plain(const struct directive *row, void *field, const char *text, char *error,
                           size_t size)
{
    switch (row->type) {
    case DIRECTIVE_TEXT:
        return value_set_text(field, text, error, size);
    case DIRECTIVE_URI:
        return *text == '/' ? value_set_text(field, text, error, size)
                            : value_refuse(row, error, size);
    case DIRECTIVE_PATH:
    case DIRECTIVE_FOLDER:
        return value_set_path(row, field, text, error, size);
    case DIRECTIVE_USER:
    case DIRECTIVE_GROUP:
        return value_set_account(row, field, text, error, size);
    case DIRECTIVE_BOOL:
        return value_parse_bool(text, field) == 0 ? 0 : value_refuse(row, error, size);
    case DIRECTIVE_NUMBER:
    case DIRECTIVE_SIZE:
    case DIRECTIVE_TIME:
    case DIRECTIVE_LIMIT_COUNT:
    case DIRECTIVE_LIMIT_SIZE:
        return value_set_number(row, field, text, error, size);
    case DIRECTIVE_CHOICE:
        return value_set_choice(row, field, text, error, size);
    case DIRECTIVE_MODE: {
        int mode;
        if (value_parse_mode(text, &mode) != 0 || mode < row->min || mode > row->max)
            return value_refuse(row, error, size);
        *(int *)field = mode;
        return 0;
    }
    case DIRECTIVE_LIST:
    case DIRECTIVE_INCLUDE:
        return value_parse_list_add(field, text) == 0 ? 0 : value_no_memory(error, size);
    case DIRECTIVE_NETWORKS:
        return value_set_networks(field, text, error, size);
    case DIRECTIVE_ADDRESS:
    case DIRECTIVE_SOCKET_PATH:
        return value_set_address(row, field, text, error, size);
    case DIRECTIVE_MAP:
    case DIRECTIVE_WORDS:
        break;
    }
    return value_refuse(row, error, size);
}

static int value_set_words(struct value_parse_words *field, const char *text,
                           const struct value_parse_source *source, char *error, size_t size)
{
    struct value_parse_words words;
    if (value_parse_words(text, source, &words, error, size) != 0)
        return -1;
    value_parse_words_free(field);
    *field = words;
    return 0;
}

int directive_value_set(const struct directive *row, void *owner, const char *text,
                        const struct value_parse_source *source, char *error, size_t size)
{
    char *plain;
    if (*text == '\0') {
        (void)snprintf(error, size,
                       "has no value; remove the line, or write \"\" where an empty "
                       "text is meant");
        return -1;
    }
    if (row->type == DIRECTIVE_WORDS)
        return value_set_words(value_at(row, owner), text, source, error, size);
    if (value_parse_text(text, source, &plain, error, size) != 0)
        return -1;
    int result = value_set_plain(row, value_at(row, owner), plain, error, size);
    free(plain);
    return result;
}

/* A name that every shell and getenv take. */
static bool value_is_variable(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    while (isalnum((unsigned char)*name) || *name == '_')
        name++;
    return *name == '\0';
}

static int value_add_pair(struct directive_map *map, const char *name, char *value,
                          const struct directive_origin *origin)
{
    struct directive_pair *grown = reallocarray(map->items, map->count + 1, sizeof *grown);
    if (grown == NULL)
        return -1;
    map->items = grown;
    struct directive_pair *pair = &grown[map->count];
    pair->name = strdup(name);
    pair->value = value;
    pair->origin = *origin;
    if (pair->name == NULL)
        return -1;
    map->count++;
    return 0;
}

int directive_value_set_pair(const struct directive *row, void *owner, const char *name,
                             const char *text, const struct directive_origin *origin,
                             const struct value_parse_source *source, char *error, size_t size)
{
    struct directive_map *map = value_at(row, owner);
    char *value;
    if (!value_is_variable(name)) {
        (void)snprintf(error, size,
                       "a variable's name has letters, digits and _, and begins with no digit");
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
    if (value_add_pair(map, name, value, origin) != 0) {
        free(value);
        return value_no_memory(error, size);
    }
    return 0;
}

/* ---- default and release ---- */

/* What types of directives become in C. */
enum value_form {
    VALUE_TEXT,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_INT64,
    VALUE_LIST,
    VALUE_MAP,
    VALUE_WORDS,
    VALUE_ADDRESS
};

static enum value_form value_form(const struct directive *row)
{
    switch (row->type) {
    case DIRECTIVE_BOOL:
        return VALUE_BOOL;
    case DIRECTIVE_CHOICE:
    case DIRECTIVE_MODE:
        return VALUE_INT;
    case DIRECTIVE_NUMBER:
    case DIRECTIVE_SIZE:
    case DIRECTIVE_TIME:
    case DIRECTIVE_LIMIT_COUNT:
    case DIRECTIVE_LIMIT_SIZE:
        return VALUE_INT64;
    case DIRECTIVE_LIST:
    case DIRECTIVE_NETWORKS:
    case DIRECTIVE_INCLUDE:
        return VALUE_LIST;
    case DIRECTIVE_MAP:
        return VALUE_MAP;
    case DIRECTIVE_WORDS:
        return VALUE_WORDS;
    case DIRECTIVE_ADDRESS:
    case DIRECTIVE_SOCKET_PATH:
        return VALUE_ADDRESS;
    default:
        return VALUE_TEXT;
    }
}

/* The value of an unset number, choice or mode. A size, a choice and a bool are always set. */
static int64_t value_unset_number(const struct directive *row)
{
    return row->type == DIRECTIVE_NUMBER                                  ? DIRECTIVE_UNSET
           : row->type == DIRECTIVE_SIZE || row->type == DIRECTIVE_CHOICE ? 0
                                                                          : -1;
}

static void value_unset(const struct directive *row, void *field)
{
    switch (value_form(row)) {
    case VALUE_TEXT:
        *(char **)field = NULL;
        break;
    case VALUE_BOOL:
        *(bool *)field = false;
        break;
    case VALUE_INT:
        *(int *)field = (int)value_unset_number(row);
        break;
    case VALUE_INT64:
        *(int64_t *)field = value_unset_number(row);
        break;
    case VALUE_LIST:
        *(struct value_parse_list *)field = (struct value_parse_list){0};
        break;
    case VALUE_MAP:
        *(struct directive_map *)field = (struct directive_map){0};
        break;
    case VALUE_WORDS:
        *(struct value_parse_words *)field = (struct value_parse_words){0};
        break;
    case VALUE_ADDRESS:
        *(struct value_parse_address *)field = (struct value_parse_address){0};
        break;
    }
}

int directive_value_init(const struct directive *row, void *owner)
{
    char error[256];
    value_unset(row, value_at(row, owner));
    return row->by_default == NULL
               ? 0
               : value_set_plain(row, value_at(row, owner), row->by_default, error, sizeof error);
}

void directive_value_free(const struct directive *row, void *owner)
{
    void *field = value_at(row, owner);
    struct directive_map *map = field;
    switch (value_form(row)) {
    case VALUE_TEXT:
        free(*(char **)field);
        break;
    case VALUE_LIST:
        value_parse_list_free(field);
        break;
    case VALUE_MAP:
        for (size_t i = 0; i < map->count; i++) {
            free(map->items[i].name);
            free(map->items[i].value);
        }
        free(map->items);
        break;
    case VALUE_WORDS:
        value_parse_words_free(field);
        break;
    case VALUE_ADDRESS:
        value_parse_address_free(field);
        break;
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_INT64:
        break;
    }
    value_unset(row, field);
}

/* ---- comparison ---- */

static bool value_equal_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool value_equal_items(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
    bool equal = a_count == b_count;
    for (size_t i = 0; equal && i < a_count; i++)
        equal = strcmp(a[i], b[i]) == 0;
    return equal;
}

static bool value_equal_map(const struct directive_map *a, const struct directive_map *b)
{
    bool equal = a->count == b->count;
    for (size_t i = 0; equal && i < a->count; i++) {
        equal = value_equal_text(a->items[i].name, b->items[i].name) &&
                value_equal_text(a->items[i].value, b->items[i].value);
    }
    return equal;
}

static bool value_equal_address(const struct value_parse_address *a,
                                const struct value_parse_address *b)
{
    return a->kind == b->kind && value_equal_text(a->path, b->path) &&
           value_equal_text(a->host, b->host) && value_equal_text(a->port, b->port);
}

bool directive_value_equal(const struct directive *row, const void *first, const void *second)
{
    const void *a = value_in(row, first), *b = value_in(row, second);
    const struct value_parse_list *a_list = a, *b_list = b;
    const struct value_parse_words *a_words = a, *b_words = b;
    switch (value_form(row)) {
    case VALUE_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case VALUE_INT:
        return *(const int *)a == *(const int *)b;
    case VALUE_INT64:
        return *(const int64_t *)a == *(const int64_t *)b;
    case VALUE_LIST:
        return value_equal_items(a_list->items, a_list->count, b_list->items, b_list->count);
    case VALUE_WORDS:
        return value_equal_items(a_words->argv, a_words->argc, b_words->argv, b_words->argc);
    case VALUE_MAP:
        return value_equal_map(a, b);
    case VALUE_ADDRESS:
        return value_equal_address(a, b);
    case VALUE_TEXT:
        break;
    }
    return value_equal_text(*(char *const *)a, *(char *const *)b);
}

bool directive_value_is_set(const struct directive *row, const void *owner)
{
    const void *field = value_in(row, owner);
    switch (value_form(row)) {
    case VALUE_BOOL:
        return true;
    case VALUE_INT:
        return row->type == DIRECTIVE_CHOICE || *(const int *)field >= 0;
    case VALUE_INT64:
        return row->type == DIRECTIVE_NUMBER ? *(const int64_t *)field != DIRECTIVE_UNSET
                                             : *(const int64_t *)field >= 0;
    case VALUE_LIST:
        return ((const struct value_parse_list *)field)->count > 0;
    case VALUE_MAP:
        return ((const struct directive_map *)field)->count > 0;
    case VALUE_WORDS:
        return ((const struct value_parse_words *)field)->argc > 0;
    case VALUE_ADDRESS:
        return ((const struct value_parse_address *)field)->kind != VALUE_PARSE_ADDRESS_NONE;
    case VALUE_TEXT:
        break;
    }
    return *(char *const *)field != NULL;
}

/* ---- to text ---- */

static char *value_number_text(const struct directive *row, int64_t number)
{
    char out[VALUE_PARSE_TEXT_SIZE];
    if (number == INT64_MAX &&
        (row->type == DIRECTIVE_LIMIT_COUNT || row->type == DIRECTIVE_LIMIT_SIZE))
        return strdup("unlimited");
    if (row->type == DIRECTIVE_TIME)
        value_parse_time_text(number, out);
    else if (row->type == DIRECTIVE_SIZE || row->type == DIRECTIVE_LIMIT_SIZE)
        value_parse_size_text(number, out);
    else
        (void)snprintf(out, sizeof out, "%" PRId64, number);
    return strdup(out);
}

/* Items joined; with `quoted` each as a word of a command line. */
static char *value_joined(char *const *items, size_t count, const char *joint, bool quoted)
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

static char *value_choice_text(const struct directive *row, int value)
{
    for (const struct directive_choice *choice = row->choices; choice->word != NULL; choice++)
        if (choice->value == value)
            return strdup(choice->word);
    return NULL;
}

char *directive_value_text(const struct directive *row, const void *owner)
{
    const void *field = value_in(row, owner);
    char *out;
    if (!directive_value_is_set(row, owner) || directive_repeats(row))
        return NULL;
    switch (row->type) {
    case DIRECTIVE_BOOL:
        return strdup(*(const bool *)field ? "yes" : "no");
    case DIRECTIVE_CHOICE:
        return value_choice_text(row, *(const int *)field);
    case DIRECTIVE_MODE:
        return asprintf(&out, "%04o", (unsigned)*(const int *)field) >= 0 ? out : NULL;
    case DIRECTIVE_NUMBER:
    case DIRECTIVE_SIZE:
    case DIRECTIVE_TIME:
    case DIRECTIVE_LIMIT_COUNT:
    case DIRECTIVE_LIMIT_SIZE:
        return value_number_text(row, *(const int64_t *)field);
    case DIRECTIVE_NETWORKS: {
        const struct value_parse_list *list = field;
        return value_joined(list->items, list->count, ", ", false);
    }
    case DIRECTIVE_WORDS: {
        const struct value_parse_words *words = field;
        return value_joined(words->argv, words->argc, " ", true);
    }
    case DIRECTIVE_ADDRESS:
    case DIRECTIVE_SOCKET_PATH:
        return value_parse_quote_text(((const struct value_parse_address *)field)->text);
    default:
        return value_parse_quote_text(*(char *const *)field);
    }
}
