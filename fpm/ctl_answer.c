/* ctl_answer.c: see ctl_answer.h. */
#include "fpm/ctl_answer.h"

#include "fpm/text.h"
#include "sapi-shim/utf8.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool ctl_answer_add(struct ctl_answer_text *text, const char *bytes, size_t size, size_t max)
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
struct ctl_answer_field {
    const char *name, *value;
    size_t name_length, value_length;
};

/* Takes the next line of text[at..end); returns where the one behind it begins. */
static size_t ctl_answer_line(const char *text, size_t at, size_t end,
                              struct ctl_answer_field *field)
{
    const char *line = text + at;
    const char *newline = memchr(line, '\n', end - at);
    size_t length = newline != NULL ? (size_t)(newline - line) : end - at;
    size_t next = at + length + (newline != NULL);
    length -= length > 0 && line[length - 1] == '\r';
    const char *colon = memchr(line, ':', length);
    *field = (struct ctl_answer_field){.name = line};
    field->name_length = colon != NULL ? (size_t)(colon - line) : length;
    field->value = colon != NULL ? colon + 1 : line + length;
    field->value_length = (size_t)(line + length - field->value);
    while (field->value_length > 0 && isblank((unsigned char)*field->value)) {
        field->value++;
        field->value_length--;
    }
    return next;
}

static bool ctl_answer_is(const struct ctl_answer_field *field, const char *name)
{
    return strlen(name) == field->name_length &&
           strncasecmp(field->name, name, field->name_length) == 0;
}

static int64_t ctl_answer_number(const struct ctl_answer_field *field)
{
    int64_t number = 0;
    size_t i = 0;
    for (; i < field->value_length && i < 18 && isdigit((unsigned char)field->value[i]); i++)
        number = number * 10 + (field->value[i] - '0');
    return i > 0 ? number : -1;
}

/* Reads the head once it is whole. */
static void ctl_answer_read_head(struct ctl_answer *answer)
{
    size_t at = 0;
    bool located = false;
    unsigned status = 0;
    while (at < answer->output.size) {
        struct ctl_answer_field field;
        at = ctl_answer_line(answer->output.bytes, at, answer->output.size, &field);
        if (field.name_length == 0 && answer->output.bytes[at - 1] == '\n') {
            answer->head = at;
            answer->status = status != 0 ? status : located ? 302 : 200;
            return;
        }
        int64_t number = ctl_answer_number(&field);
        if (ctl_answer_is(&field, "Status") && number > 0 && number < 1000)
            status = (unsigned)number;
        else if (ctl_answer_is(&field, "Content-Length"))
            answer->promised = number;
        located = located || ctl_answer_is(&field, "Location");
    }
}

/* ---- the streams ---- */

void ctl_answer_output(void *context, const char *bytes, size_t size)
{
    struct ctl_answer *answer = context;
    bool looking = answer->head == 0;
    if (answer->total == 0)
        answer->promised = -1;
    answer->total += size;
    if (answer->keep)
        answer->too_long |= !ctl_answer_add(&answer->output, bytes, size, CTL_ANSWER_KEPT_MAX);
    else if (looking) /* a longer head is no head */
        (void)ctl_answer_add(&answer->output, bytes, size, CTL_ANSWER_HEAD_MAX);
    if (looking && answer->output.size <= CTL_ANSWER_HEAD_MAX + size)
        ctl_answer_read_head(answer);
    if (!answer->keep)
        (void)fwrite(bytes, 1, size, stdout);
}

void ctl_answer_error(void *context, const char *bytes, size_t size)
{
    struct ctl_answer *answer = context;
    if (answer->keep)
        (void)ctl_answer_add(&answer->error, bytes, size, CTL_ANSWER_KEPT_MAX);
    else
        (void)fwrite(bytes, 1, size, stderr);
}

uint64_t ctl_answer_body(const struct ctl_answer *answer)
{
    return answer->total - answer->head;
}

/* ---- JSON ---- */

static void ctl_answer_string(FILE *out, const char *bytes, size_t size)
{
    char part[512];
    fputc('"', out);
    while (size > 0) {
        size_t taken = text_json_part(part, sizeof part, bytes, size);
        if (taken == 0)
            break;
        fputs(part, out);
        bytes += taken;
        size -= taken;
    }
    fputc('"', out);
}

static void ctl_answer_base64(FILE *out, const unsigned char *bytes, size_t size)
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

static bool ctl_answer_is_text(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t length = utf8_character(bytes + i, size - i);
        if (length == 0 || bytes[i] == '\0')
            return false;
        i += length;
    }
    return true;
}

static void ctl_answer_headers(const struct ctl_answer *answer, FILE *out)
{
    const char *between = "";
    fputc('[', out);
    for (size_t at = 0; at < answer->head;) {
        struct ctl_answer_field field;
        at = ctl_answer_line(answer->output.bytes, at, answer->head, &field);
        if (field.name_length == 0)
            break;
        fprintf(out, "%s[", between);
        ctl_answer_string(out, field.name, field.name_length);
        fputs(", ", out);
        ctl_answer_string(out, field.value, field.value_length);
        fputc(']', out);
        between = ", ";
    }
    fputc(']', out);
}

void ctl_answer_json(const struct ctl_answer *answer, FILE *out)
{
    if (answer->output.bytes == NULL) {
        fputs("\"headers\": [], \"body\": \"\", \"stderr\": ", out);
        ctl_answer_string(out, answer->error.bytes, answer->error.size);
        return;
    }
    const char *body = answer->output.bytes + answer->head;
    size_t size = answer->output.size - answer->head;
    fputs("\"headers\": ", out);
    ctl_answer_headers(answer, out);
    if (ctl_answer_is_text(body, size)) {
        fputs(", \"body\": ", out);
        ctl_answer_string(out, body, size);
    } else {
        fputs(", \"body\": null, \"body_base64\": ", out);
        ctl_answer_base64(out, (const unsigned char *)body, size);
    }
    fputs(", \"stderr\": ", out);
    ctl_answer_string(out, answer->error.bytes, answer->error.size);
}

void ctl_answer_free(struct ctl_answer *answer)
{
    free(answer->output.bytes);
    free(answer->error.bytes);
    answer->output = answer->error = (struct ctl_answer_text){0};
}
