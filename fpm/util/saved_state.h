/* saved_state.h: the paper on which a program writes down what the program that takes its place by
 * exec has to know, and which that one reads.
 *
 * Values with names, in a fixed order, as lines of text in a sealed memfd; descriptors go along by
 * their numbers. The same calls write and read, so that each fact is named once by whoever hands it
 * over. The first fault stops it all: later calls read 0, nothing and -1, and `error` says what was
 * wrong. Knows no meaning of what it carries. Called by upgrade and by those it has write and read.
 */
#ifndef FPM_SAVED_STATE_H
#define FPM_SAVED_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Raise this with every change of what is handed over, of its order or its meaning, and with every
 * change of writer_proto.h, as the writer of access logs lives on. */
#define SAVED_STATE_VERSION 2

enum saved_state_mode {
    SAVED_STATE_WRITE,
    SAVED_STATE_CHECK, /* reads; the descriptors are another process's and come out as -1 */
    SAVED_STATE_TAKE   /* reads; the descriptors are ours, and close-on-exec from then on */
};

struct saved_state {
    enum saved_state_mode mode;
    int fd;     /* the memfd; -1 = none */
    FILE *out;  /* writing: into `data` */
    char *data; /* reading: all of it */
    size_t size, at;
    int *kept; /* writing: the descriptors that go along */
    size_t kept_count;
    char error[256]; /* "" = no fault so far */
};

/* Begins to write. Returns 0, or -1 with `error`. */
int saved_state_begin(struct saved_state *paper);

/* Begins to read `fd`, which is the paper's then with SAVED_STATE_TAKE. Returns 0, or -1 with
 * `error`: it may be no such paper, or one of another version. */
int saved_state_open(struct saved_state *paper, int fd, enum saved_state_mode mode);

/* Everything is written, or read. Returns 0, or -1 with `error` if there was a fault or something
 * is left. */
int saved_state_end(struct saved_state *paper);

/* Frees it; the descriptors it carries are not its own. */
void saved_state_close(struct saved_state *paper);

/* Has the descriptors written so far, and the memfd, survive exec (true), or not (false). */
void saved_state_keep(const struct saved_state *paper, bool keep);

/* Each writes its value, or reads and returns the one that was written. One outside of `least` to
 * `most`, or of another name, is a fault. */
int64_t saved_state_number(struct saved_state *paper, const char *name, int64_t value,
                           int64_t least, int64_t most);
bool saved_state_flag(struct saved_state *paper, const char *name, bool value);
/* An open descriptor, or -1 for none. */
int saved_state_fd(struct saved_state *paper, const char *name, int fd);
/* Any bytes, or NULL. What is read has a NUL behind it and is the caller's to free. */
void saved_state_bytes(struct saved_state *paper, const char *name, char **bytes, size_t *size);
void saved_state_text(struct saved_state *paper, const char *name, char **text);

/* What was read makes no sense: a fault, in words. */
void saved_state_refuse(struct saved_state *paper, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

bool saved_state_good(const struct saved_state *paper);

#endif
