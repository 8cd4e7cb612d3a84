/* load_answer.c: see load_answer.h. */
#include "tests/bench/load_answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    END_REQUEST = 3,
    STDOUT = 6,
    STDERR = 7,
    PERIOD = 94 /* of the pattern that the step `write` sends */
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void complain(struct load_answer *answer, const char *what)
{
    if (answer->wrong == NULL)
        answer->wrong = what;
}

static bool is_pattern(const unsigned char *bytes, size_t size, uint64_t at)
{
    static unsigned char block[2 * PERIOD];

    if (block[0] == 0)
        for (unsigned i = 0; i < sizeof block; i++)
            block[i] = (unsigned char)('!' + i % PERIOD);
    for (size_t done = 0; done < size;) {
        size_t part = least(size - done, PERIOD);
        if (memcmp(bytes + done, block + (at + done) % PERIOD, part) != 0)
            return false;
        done += part;
    }
    return true;
}

static void feed_body(struct load_answer *answer, const struct load_expect *expect,
                      const unsigned char *bytes, size_t size)
{
    if (expect->pattern && !is_pattern(bytes, size, answer->body))
        complain(answer, "content");
    if (expect->text != NULL) {
        size_t length = strlen(expect->text);
        if (answer->body + size > length || memcmp(expect->text + answer->body, bytes, size) != 0)
            complain(answer, "content");
    }
    answer->body += size;
}

/* Response headers up to the blank line; the rest is body. */
static void feed_stdout(struct load_answer *answer, const struct load_expect *expect,
                        const unsigned char *bytes, size_t size)
{
    size_t at = 0;

    while (at < size && !answer->in_body) {
        unsigned char byte = bytes[at++];
        if (answer->head_size < LOAD_HEAD_SIZE - 1)
            answer->head[answer->head_size++] = (char)byte;
        if (byte == (answer->blank % 2 == 0 ? '\r' : '\n'))
            answer->blank++;
        else
            answer->blank = byte == '\r';
        answer->in_body = answer->blank == 4;
    }
    if (at < size)
        feed_body(answer, expect, bytes + at, size - at);
}

static void feed_content(struct load_answer *answer, const struct load_expect *expect,
                         const unsigned char *bytes, size_t size)
{
    switch (answer->header[1]) {
    case STDOUT:
        feed_stdout(answer, expect, bytes, size);
        break;
    case STDERR:
        answer->messages += size;
        break;
    case END_REQUEST:
        for (size_t i = 0; i < size && answer->end_size < sizeof answer->end; i++)
            answer->end[answer->end_size++] = bytes[i];
        break;
    default:
        break;
    }
}

static void begin_record(struct load_answer *answer)
{
    const unsigned char *header = answer->header;

    answer->content = (size_t)header[4] << 8 | header[5];
    answer->padding = header[6];
    if (header[0] != 1)
        complain(answer, "protocol version");
    else if (header[2] != 0 || header[3] != 1)
        complain(answer, "request id");
    else if (header[1] != STDOUT && header[1] != STDERR && header[1] != END_REQUEST)
        complain(answer, "record type");
    else if (header[1] == END_REQUEST && answer->content != sizeof answer->end)
        complain(answer, "length of END_REQUEST");
}

/* An answer of HTTP is complete with the text that is expected; what follows is one too many. */
static void feed_http(struct load_answer *answer, const struct load_expect *expect,
                      const unsigned char *bytes, size_t size)
{
    if (answer->ended && size > 0)
        answer->trailing = true;
    feed_stdout(answer, expect, bytes, size);
    answer->ended = answer->in_body && answer->body >= strlen(expect->text);
}

void load_answer_feed(struct load_answer *answer, const struct load_expect *expect,
                      const unsigned char *bytes, size_t size)
{
    if (expect->http) {
        feed_http(answer, expect, bytes, size);
        return;
    }
    while (size > 0 && !answer->ended) {
        size_t part = 0;
        if (answer->header_size < sizeof answer->header) {
            part = least(size, sizeof answer->header - answer->header_size);
            memcpy(answer->header + answer->header_size, bytes, part);
            answer->header_size += (unsigned)part;
            if (answer->header_size == sizeof answer->header)
                begin_record(answer);
        } else if (answer->content > 0) {
            part = least(size, answer->content);
            feed_content(answer, expect, bytes, part);
            answer->content -= part;
        } else {
            part = least(size, answer->padding);
            answer->padding -= part;
        }
        bytes += part;
        size -= part;
        if (answer->header_size == sizeof answer->header && answer->content == 0 &&
            answer->padding == 0) {
            answer->header_size = 0;
            answer->ended = answer->header[1] == END_REQUEST;
        }
    }
    if (size > 0)
        answer->trailing = true;
}

/* The number in the status line of HTTP, or in the Status header; 200 without one. */
static unsigned head_status(const struct load_answer *answer)
{
    if (strncmp(answer->head, "HTTP/1.", 7) == 0)
        return (unsigned)strtoul(answer->head + 8, NULL, 10);
    for (const char *line = answer->head; line != NULL && *line != '\0';) {
        if (strncasecmp(line, "Status:", 7) == 0)
            return (unsigned)strtoul(line + 7, NULL, 10);
        line = strchr(line, '\n');
        if (line != NULL)
            line++;
    }
    return 200;
}

const char *load_answer_judge(const struct load_answer *answer, const struct load_expect *expect)
{
    if (answer->wrong != NULL)
        return answer->wrong;
    if (answer->end[4] != 0)
        return "protocol status";
    if ((answer->end[0] | answer->end[1] | answer->end[2] | answer->end[3]) != 0)
        return "application status";
    if (!answer->in_body)
        return "response headers";
    if (head_status(answer) != expect->status)
        return "HTTP status";
    if (expect->length >= 0 && answer->body != (uint64_t)expect->length)
        return "body length";
    if (expect->text != NULL && answer->body != strlen(expect->text))
        return "body length";
    return NULL;
}
