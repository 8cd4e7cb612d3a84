/* response.c: see response.h. */
#include "fpm/ctl/response.h"

#include "sapi-shim/util/escape.h"
#include "sapi-shim/util/utf8.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool response_add(struct response_text *text, const char *bytes, size_t size, size_t max)
{
    if (size > max - text->size)
        return false;
    if (size > text->room - text->size) {
        size_t room = (text->size + size) * 2 + 1024;
        char *grown = realloc(text->bytes, room);
        if (grown == NULL)
            return false;
        text->bytes = grown;
        text->room = room;
    }
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    return true;
}

/* ---- the head ---- */

/* A line of the head: name and value, without what ends it. */
struct response_field {
    const char *name, *value;
    size_t name_length, value_parse_length;
};

/* Takes the next line of text[at..end); returns where the one behind it begins. */
static size_t response_line(const char *text, size_t at, size_t end, struct response_field *field)
{
    const char *line = text + at;
    const char *newline = memchr(line, '\n', end - at);
    size_t length = newline != NULL ? (size_t)(newline - line) : end - at;
    size_t next = at + length + (newline != NULL);
    length -= length > 0 && line[length - 1] == '\r';
    const char *colon = memchr(line, ':', length);
    *field = (struct response_field){.name = line};
    field->name_length = colon != NULL ? (size_t)(colon - line) : length;
    field->value = colon != NULL ? colon + 1 : line + length;
    field->value_parse_length = (size_t)(line + length - field->value);
    while (field->value_parse_length > 0 && isblank((unsigned char)*field->value)) {
        field->value++;
        field->value_parse_length--;
    }
    return next;
}

static bool response_is(const struct response_field *field, const char *name)
{
    return strlen(name) == field->name_length &&
           strncasecmp(field->name, name, field->name_length) == 0;
}

static int64_t response_number(const struct response_field *field)
{
    int64_t number = 0;
    size_t i = 0;
    for (; i < field->value_parse_length && i < 18 && isdigit((unsigned char)field->value[i]); i++)
        number = number * 10 + (field->value[i] - '0');
    return i > 0 ? number : -1;
}

/* Reads the head once it is whole. */
static void response_read_head(struct response *answer)
{
    size_t at = 0;
    bool located = false;
    unsigned status = 0;
    while (at < answer->output.size) {
        struct response_field field;
        at = response_line(answer->output.bytes, at, answer->output.size, &field);
        if (field.name_length == 0 && answer->output.bytes[at - 1] == '\n') {
            answer->head = at;
            answer->status = status != 0 ? status : located ? 302 : 200;
            return;
        }
        int64_t number = response_number(&field);
        if (response_is(&field, "Status") && number > 0 && number < 1000)
            status = (unsigned)number;
        else if (response_is(&field, "Content-Length"))
            answer->promised = number;
        located = located || response_is(&field, "Location");
    }
}

/* ---- the streams ---- */

void response_output(void *context, const char *bytes, size_t size)
{
    struct response *answer = context;
    bool looking = answer->head == 0;
    if (answer->total == 0)
        answer->promised = -1;
    answer->total += size;
    if (answer->keep)
        answer->too_long |= !response_add(&answer->output, bytes, size, RESPONSE_KEPT_MAX);
    else if (looking) /* a longer head is no head */
        (void)response_add(&answer->output, bytes, size, RESPONSE_HEAD_MAX);
    if (looking && answer->output.size <= RESPONSE_HEAD_MAX + size)
        response_read_head(answer);
    if (!answer->keep)
        (void)fwrite(bytes, 1, size, stdout);
}

void response_error(void *context, const char *bytes, size_t size)
{
    struct response *answer = context;
    if (answer->keep)
        (void)response_add(&answer->error, bytes, size, RESPONSE_KEPT_MAX);
    else
        (void)fwrite(bytes, 1, size, stderr);
}

uint64_t response_body(const struct response *answer)
{
    return answer->total - answer->head;
}

/* ---- JSON ---- */

static void response_string(FILE *out, const char *bytes, size_t size)
{
    char part[512];
    fputc('"', out);
    while (size > 0) {
        size_t taken = escape_text(part, sizeof part, ESCAPE_JSON, bytes, size);
        if (taken == 0)
            break;
        fputs(part, out);
        bytes += taken;
        size -= taken;
    }
    fputc('"', out);
}

static void response_base64(FILE *out, const unsigned char *bytes, size_t size)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    fputc('"', out);
    for (size_t i = 0; i < size; i += 3) {
        unsigned left = size - i < 3 ? (unsigned)(size - i) : 3;
        unsigned word = (unsigned)bytes[i] << 16;
        if (left > 1)
            word |= (unsigned)bytes[i + 1] << 8;
        if (left > 2)
            word |= bytes[i + 2];
        fputc(letters[word >> 18], out);
        fputc(letters[word >> 12 & 63], out);
        fputc(left > 1 ? letters[word >> 6 & 63] : '=', out);
        fputc(left > 2 ? letters[word & 63] : '=', out);
    }
    fputc('"', out);
}

static bool response_is_text(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t length = utf8_character(bytes + i, size - i);
        if (length == 0 || bytes[i] == '\0')
            return false;
        i += length;
    }
    return true;
}

static void response_headers(const struct response *answer, FILE *out)
{
    const char *between = "";
    fputc('[', out);
    for (size_t at = 0; at < answer->head;) {
        struct response_field field;
        at = response_line(answer->output.bytes, at, answer->head, &field);
        if (field.name_length == 0)
            break;
        fprintf(out, "%s[", between);
        response_string(out, field.name, field.name_length);
        fputs(", ", out);
        response_string(out, field.value, field.value_parse_length);
        fputc(']', out);
        between = ", ";
    }
    fputc(']', out);
}

void response_json(const struct response *answer, FILE *out)
{
    if (answer->output.bytes == NULL) {
        fputs("\"headers\": [], \"body\": \"\", \"stderr\": ", out);
        response_string(out, answer->error.bytes, answer->error.size);
        return;
    }
    const char *body = answer->output.bytes + answer->head;
    size_t size = answer->output.size - answer->head;
    fputs("\"headers\": ", out);
    response_headers(answer, out);
    if (response_is_text(body, size)) {
        fputs(", \"body\": ", out);
        response_string(out, body, size);
    } else {
        fputs(", \"body\": null, \"body_base64\": ", out);
        response_base64(out, (const unsigned char *)body, size);
    }
    fputs(", \"stderr\": ", out);
    response_string(out, answer->error.bytes, answer->error.size);
}

void response_free(struct response *answer)
{
    free(answer->output.bytes);
    free(answer->error.bytes);
    answer->output = answer->error = (struct response_text){0};
}
