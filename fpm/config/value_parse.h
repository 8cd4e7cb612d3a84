/* value_parse.h: the text of a value as a number, a list, a command line or an address, and back.
 *
 * Pure: it decides what a text means and whether it is well formed; it knows no directive, opens
 * nothing and looks nothing up (variables come from a function that it is given).
 *
 * Functions that fill a struct leave it empty (all zero) on failure. Where a failure needs words,
 * they are written to `error` as the end of a sentence: "has a quote that is never closed".
 */
#ifndef FPM_VALUE_PARSE_H
#define FPM_VALUE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Long enough for every text that value_*_text writes. */
#define VALUE_PARSE_TEXT_SIZE       32
/* Longest path of a unix socket, without its NUL. */
#define VALUE_PARSE_SOCKET_PATH_MAX 107

struct value_parse_list {
    size_t count;
    char **items;
};

/* A command line. `argv` ends with NULL; `text` is the value as written. */
struct value_parse_words {
    char *text; /* NULL: unset */
    char **argv;
    size_t argc;
};

enum value_parse_address_kind {
    VALUE_PARSE_ADDRESS_NONE, /* unset */
    VALUE_PARSE_ADDRESS_UNIX,
    VALUE_PARSE_ADDRESS_TCP
};
struct value_parse_address {
    char *text; /* as written, NULL when unset */
    enum value_parse_address_kind kind;
    char *path;          /* unix: absolute, fits sun_path, without // and /./ */
    dev_t folder_device; /* of the folder of `path`, by address_place_look; inode 0 = unknown */
    ino_t folder_inode;
    char *host; /* TCP: a numeric address in its shortest form, no brackets; NULL = any address */
    char *port; /* TCP: "1" to "65535" */
};

/* The values of $pool and ${NAME}. */
struct value_parse_source {
    const char *pool;                      /* NULL: $pool is an error */
    const char *(*variable)(const char *); /* NULL result: no such variable */
};

/* Whole decimal number; false for anything else, overflow included. */
bool value_parse_number(const char *text, int64_t *out);
/* Bytes: a number, alone or followed by K, M or G (powers of 1,024). Never negative. */
bool value_parse_size(const char *text, int64_t *out);
/* Octal permission bits, 0 to 07777. Returns 0 or -1. */
int value_parse_mode(const char *text, int *out);

/* The shortest text that reads back as the same value. `out` holds VALUE_PARSE_TEXT_SIZE bytes. */
void value_parse_size_text(int64_t bytes, char *out);
void value_parse_time_text(int64_t milliseconds, char *out);

/* A whole value: removes one pair of quotes and replaces $pool and ${NAME}. Inside '...' nothing is
 * replaced; inside "..." a backslash makes $, " and \ ordinary. The caller frees the result. */
int value_parse_text(const char *text, const struct value_parse_source *source, char **out,
                     char *error, size_t size);
/* Splits words as a shell does, with quotes and backslash; $pool and ${NAME} are replaced after the
 * split, so that one word never becomes two. At least one word. */
int value_parse_words(const char *text, const struct value_parse_source *source,
                      struct value_parse_words *out, char *error, size_t size);
/* Items separated by commas, blanks or both; at least one. */
int value_parse_list(const char *text, struct value_parse_list *out, char *error, size_t size);
/* /path, port, ip:port, *:port, [ip6]:port. */
int value_parse_address(const char *text, struct value_parse_address *out, char *error,
                        size_t size);

/* Writes `text` so that value_parse_text, or as a word value_parse_words, reads it back. The caller
 * frees the result; NULL without memory. */
char *value_parse_quote_text(const char *text);
char *value_parse_quote_word(const char *word);

/* Length of the value at the start of `rest`: up to a ';' that begins a comment (at the start or
 * after a blank, outside quotes), without trailing blanks. Quotes count where the value begins with
 * one; with `words` in each word, and so do backslashes. */
size_t value_parse_length(const char *rest, bool words);

/* Adds a copy of `item`. Returns 0, or -1 without memory. */
int value_parse_list_add(struct value_parse_list *list, const char *item);
/* These free, and leave the struct empty. */
void value_parse_list_free(struct value_parse_list *list);
void value_parse_words_free(struct value_parse_words *words);
void value_parse_address_free(struct value_parse_address *address);

#endif
