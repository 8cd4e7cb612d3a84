/* load_answer.h: reads an answer's bytes as they come and judges it. Pure: no descriptors, no
 * clock.
 */
#ifndef LOAD_ANSWER_H
#define LOAD_ANSWER_H

#include "tests/bench/load_plan.h"

enum {
    LOAD_HEAD_SIZE = 512 /* as much of the response headers is looked at */
};

/* Zeroed for each request. */
struct load_answer {
    unsigned char header[8]; /* of the record at hand */
    unsigned header_size;
    size_t content; /* bytes of it still to come */
    size_t padding;
    unsigned char end[8]; /* content of END_REQUEST */
    unsigned end_size;
    bool ended;     /* END_REQUEST is complete */
    bool trailing;  /* bytes came after it */
    bool in_body;   /* the blank line is behind */
    unsigned blank; /* how much of CR LF CR LF is behind */
    size_t head_size;
    char head[LOAD_HEAD_SIZE];
    uint64_t body;     /* bytes of the body so far */
    uint64_t messages; /* bytes of STDERR */
    const char *wrong; /* what is wrong with it, a constant; NULL so far */
};

/* Takes the next bytes. */
void load_answer_feed(struct load_answer *answer, const struct load_expect *expect,
                      const unsigned char *bytes, size_t size);

/* After `ended`: NULL if all is as expected, otherwise a constant that says what is not. */
const char *load_answer_judge(const struct load_answer *answer, const struct load_expect *expect);

#endif
