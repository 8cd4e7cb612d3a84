/* ctl_answer.h: the answer of an application: passed on as it comes, or kept for a JSON object.
 *
 * Knows CGI's head well enough to tell the status and whether the body is whole. Touches standard
 * output and error alone. Called by ctl_request.
 */
#ifndef FPM_CTL_ANSWER_H
#define FPM_CTL_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    CTL_ANSWER_HEAD_MAX = 65536,
    CTL_ANSWER_KEPT_MAX = 64 << 20 /* bytes, for JSON */
};

struct ctl_answer_text {
    char *bytes;
    size_t size, room;
};

struct ctl_answer {
    bool keep;                     /* for ctl_answer_json, instead of passing on */
    struct ctl_answer_text output; /* with `keep` all of it, else the head */
    struct ctl_answer_text error;  /* with `keep` */
    size_t head;                   /* bytes up to the body; 0 = not known yet */
    uint64_t total;                /* bytes of output */
    unsigned status;               /* of HTTP; 0 = no head came */
    int64_t promised;              /* Content-Length, -1 = none */
    bool too_long;                 /* more than is kept */
};

/* For struct ctl_fcgi_events. */
void ctl_answer_output(void *answer, const char *bytes, size_t size);
void ctl_answer_error(void *answer, const char *bytes, size_t size);

/* Bytes of body that came. */
uint64_t ctl_answer_body(const struct ctl_answer *answer);

/* Writes `"headers": ..., "body": ..., "stderr": ...`: the body as text, or if it is none as
 * "body_base64". */
void ctl_answer_json(const struct ctl_answer *answer, FILE *out);

void ctl_answer_free(struct ctl_answer *answer);

#endif
