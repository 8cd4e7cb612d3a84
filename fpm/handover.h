/* handover.h: the paper on which a program writes down what the program that takes its place by
 * exec has to know, and which that one reads.
 *
 * Values with names, in a fixed order, as lines of text in a sealed memfd; descriptors go along by
 * their numbers. The same calls write and read, so that each fact is named once by whoever hands it
 * over. The first fault stops it all: later calls read 0, nothing and -1, and `error` says what was
 * wrong. Knows no meaning of what it carries. Called by upgrade and by those it has write and read.
 */
#ifndef FPM_HANDOVER_H
#define FPM_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Raise this with every change of what is handed over, of its order or its meaning, and with every
 * change of access_proto.h, as the writer of access logs lives on. */
#define HANDOVER_VERSION 2

enum handover_mode {
    HANDOVER_WRITE,
    HANDOVER_CHECK, /* reads; the descriptors are another process's and come out as -1 */
    HANDOVER_TAKE   /* reads; the descriptors are ours, and close-on-exec from then on */
};

struct handover {
    enum handover_mode mode;
    int fd;     /* the memfd; -1 = none */
    FILE *out;  /* writing: into `data` */
    char *data; /* reading: all of it */
    size_t size, at;
    int *kept; /* writing: the descriptors that go along */
    size_t kept_count;
    char error[256]; /* "" = no fault so far */
};

/* Begins to write. Returns 0, or -1 with `error`. */
int handover_begin(struct handover *paper);

/* Begins to read `fd`, which is the paper's then with HANDOVER_TAKE. Returns 0, or -1 with `error`:
 * it may be no such paper, or one of another version. */
int handover_open(struct handover *paper, int fd, enum handover_mode mode);

/* Everything is written, or read. Returns 0, or -1 with `error` if there was a fault or something
 * is left. */
int handover_end(struct handover *paper);

/* Frees it; the descriptors it carries are not its own. */
void handover_close(struct handover *paper);

/* Has the descriptors written so far, and the memfd, survive exec (true), or not (false). */
void handover_keep(const struct handover *paper, bool keep);

/* Each writes its value, or reads and returns the one that was written. One outside of `least` to
 * `most`, or of another name, is a fault. */
int64_t handover_number(struct handover *paper, const char *name, int64_t value, int64_t least,
                        int64_t most);
bool handover_flag(struct handover *paper, const char *name, bool value);
/* An open descriptor, or -1 for none. */
int handover_fd(struct handover *paper, const char *name, int fd);
/* Any bytes, or NULL. What is read has a NUL behind it and is the caller's to free. */
void handover_bytes(struct handover *paper, const char *name, char **bytes, size_t *size);
void handover_text(struct handover *paper, const char *name, char **text);

/* What was read makes no sense: a fault, in words. */
void handover_refuse(struct handover *paper, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

bool handover_good(const struct handover *paper);

#endif
