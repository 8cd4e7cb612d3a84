/* response.c: see response.h. */
#include "fpm/ctl/response.h"

#include "sapi-shim/util/escape.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static bool response_keep(struct fcgi_client_bytes *kept, const char *bytes, size_t size,
                          size_t max)
{
    if (size > max - kept->size)
        return false;
    fcgi_client_add(kept, bytes, size);
    return !kept->failed;
}

/* ---- the head ---- */

/* A line of the head: name and value, without the end of the line. */
struct response_field {
    const char *name, *value;
    size_t name_length, value_length;
};

/* Takes the next line of text[at..end); returns where the line after it begins. */
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
    field->value_length = (size_t)(line + length - field->value);
    while (field->value_length > 0 && isblank((unsigned char)*field->value)) {
        field->value++;
        field->value_length--;
    }
    return next;
}

static bool response_is(const struct response_field *field, const char *name)
{
    return strlen(name) == field->name_length &&
           strncasecmp(field->name, name, field->name_length) == 0;
}

/* Reads the head once it is whole. */
static void response_read_head(struct response *response)
{
    bool located = false;
    unsigned status = 0;
    for (size_t at = 0; at < response->output.size;) {
        struct response_field field;
        int64_t number = -1;
        at = response_line(response->output.bytes, at, response->output.size, &field);
        if (field.name_length == 0 && response->output.bytes[at - 1] == '\n') {
            response->head = at;
            response->status = status != 0 ? status : located ? 302 : 200;
            return;
        }
        for (size_t i = 0;
             i < field.value_length && i < 18 && isdigit((unsigned char)field.value[i]); i++)
            number = (number < 0 ? 0 : number * 10) + (field.value[i] - '0');
        if (response_is(&field, "Status") && number > 0 && number < 1000)
            status = (unsigned)number;
        else if (response_is(&field, "Content-Length"))
            response->promised = number;
        located = located || response_is(&field, "Location");
    }
}

/* ---- the streams ---- */

void response_open(struct response *response, bool raw)
{
    response->out.shows = !raw && isatty(STDOUT_FILENO) == 1;
    response->err.shows = !raw && isatty(STDERR_FILENO) == 1;
}

/* Prints the text's characters; with `whole` also the bytes of a character that is cut off. */
static void response_show(struct response_terminal *terminal, FILE *stream, const char *text,
                          size_t size, bool whole)
{
    char piece[ESCAPE_PIECE];
    for (size_t at = 0; at < size;) {
        size_t left = size - at, length = 0, taken = 1;
        unsigned char byte = (unsigned char)text[at];
        size_t wants = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 || byte == '\r' ? 2 : 1;
        if (!whole && left < wants) {
            memcpy(terminal->cut, text + at, left);
            terminal->length = left;
            return;
        }
        bool newline = byte == '\r' && left > 1 && text[at + 1] == '\n';
        if (byte == '\n' || byte == '\t')
            (void)fputc(byte, stream);
        else if (!newline) {
            taken = escape_next(ESCAPE_LOG_AGAIN, text + at, left, piece, &length);
            (void)fwrite(piece, 1, length, stream);
        }
        at += taken;
    }
}

static void response_write(struct response_terminal *terminal, FILE *stream, const char *bytes,
                           size_t size)
{
    char joined[2 * sizeof terminal->cut];
    if (!terminal->shows) {
        (void)fwrite(bytes, 1, size, stream);
        return;
    }
    while (terminal->length > 0 && size > 0) {
        /* The rest of a character that was cut, byte by byte. */
        size_t length = terminal->length;
        memcpy(joined, terminal->cut, length);
        joined[length] = *bytes++;
        size--;
        terminal->length = 0;
        response_show(terminal, stream, joined, length + 1, false);
    }
    response_show(terminal, stream, bytes, size, false);
}

void response_end(struct response *response)
{
    response_show(&response->out, stdout, response->out.cut, response->out.length, true);
    response_show(&response->err, stderr, response->err.cut, response->err.length, true);
    response->out.length = response->err.length = 0;
}

void response_output(void *context, const char *bytes, size_t size)
{
    struct response *response = context;
    bool in_head = response->head == 0;
    if (response->total == 0)
        response->promised = -1;
    response->total += size;
    if (response->keep)
        response->too_long |= !response_keep(&response->output, bytes, size, RESPONSE_KEPT_MAX);
    else if (in_head) /* a longer head is none */
        (void)response_keep(&response->output, bytes, size, RESPONSE_HEAD_MAX);
    if (in_head && response->output.size <= RESPONSE_HEAD_MAX + size)
        response_read_head(response);
    if (!response->keep)
        response_write(&response->out, stdout, bytes, size);
}

void response_error(void *context, const char *bytes, size_t size)
{
    struct response *response = context;
    if (response->keep)
        (void)response_keep(&response->error, bytes, size, RESPONSE_KEPT_MAX);
    else
        response_write(&response->err, stderr, bytes, size);
}

/* ---- JSON ---- */

/* Text with U+FFFD for each byte that is not UTF-8; NULL = out of memory. */
static json_t *response_text(const char *bytes, size_t size)
{
    json_t *text = json_stringn(size > 0 ? bytes : "", size);
    char *clean = text == NULL ? malloc(3 * size) : NULL;
    size_t used = 0;
    if (clean == NULL)
        return text;
    for (size_t at = 0; at < size;) {
        size_t length = escape_utf8_length(bytes + at, size - at);
        memcpy(clean + used, length > 0 ? bytes + at : "\xef\xbf\xbd", length > 0 ? length : 3);
        used += length > 0 ? length : 3;
        at += length > 0 ? length : 1;
    }
    text = json_stringn(clean, used);
    free(clean);
    return text;
}

static json_t *response_base64(const char *bytes, size_t size)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = malloc((size + 2) / 3 * 4 + 1);
    size_t used = 0;
    for (size_t i = 0; out != NULL && i < size; i += 3) {
        size_t left = size - i;
        unsigned word = 0;
        for (size_t j = 0; j < 3; j++)
            word = word << 8 | (j < left ? (unsigned char)bytes[i + j] : 0);
        out[used++] = letters[word >> 18];
        out[used++] = letters[word >> 12 & 63];
        out[used++] = left > 1 ? letters[word >> 6 & 63] : '=';
        out[used++] = left > 2 ? letters[word & 63] : '=';
    }
    json_t *text = out != NULL ? json_stringn(out, used) : NULL;
    free(out);
    return text;
}

void response_json(const struct response *response, json_t *object)
{
    const struct fcgi_client_bytes *output = &response->output;
    json_t *headers = json_array(), *body = NULL;
    struct response_field field;
    for (size_t at = 0; at < response->head;) {
        at = response_line(output->bytes, at, response->head, &field);
        if (field.name_length > 0)
            (void)json_array_append_new(
                headers, json_pack("[o, o]", response_text(field.name, field.name_length),
                                   response_text(field.value, field.value_length)));
    }
    (void)json_object_set_new(object, "headers", headers);

    /* A NUL is valid UTF-8, but no text has one. */
    const char *bytes = output->size > 0 ? output->bytes + response->head : "";
    size_t size = output->size - response->head;
    if (memchr(bytes, '\0', size) == NULL)
        body = json_stringn(bytes, size);
    (void)json_object_set_new(object, "body", body != NULL ? body : json_null());
    if (body == NULL)
        (void)json_object_set_new(object, "body_base64", response_base64(bytes, size));
    (void)json_object_set_new(object, "stderr",
                              response_text(response->error.bytes, response->error.size));
}

void response_free(struct response *response)
{
    free(response->output.bytes);
    free(response->error.bytes);
    response->output = response->error = (struct fcgi_client_bytes){0};
}
