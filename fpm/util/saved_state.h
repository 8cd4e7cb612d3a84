/* saved_state.h: the state that an upgrade keeps: the old program writes it before it executes the
 * new one, which reads it.
 *
 * It holds named values in a fixed order, as lines of text in a sealed memfd; descriptors are
 * passed by their numbers. The same calls write and read, so that each value is named once, by its
 * owner: a subject with values of its own by SUBJECT_saved_state, upgrade_state.c those that are
 * plain fields of the others. What was read becomes live by SUBJECT_adopt. After the first fault
 * all calls read 0, NULL and -1, and `error` says what was wrong. Knows no meaning of the values.
 */
#ifndef FPM_SAVED_STATE_H
#define FPM_SAVED_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Raise this with every change of the values, of their order or their meaning, and with every
 * change of writer_proto.h, as the writer of access logs survives an upgrade. */
#define SAVED_STATE_VERSION 4
#define SAVED_STATE_OLDEST  3 /* that is still read */

enum saved_state_mode {
    SAVED_STATE_SAVE,
    SAVED_STATE_CHECK,  /* reads; the descriptors are another process's and come out as -1 */
    SAVED_STATE_RESTORE /* reads; the descriptors are ours, and close-on-exec from then on */
};

struct saved_state {
    enum saved_state_mode mode;
    int64_t version; /* of its format */
    int fd;          /* the memfd; -1 = none */
    FILE *out;       /* writing: into `data` */
    char *data;      /* reading: all of it */
    size_t size, at;
    int *kept; /* writing: the descriptors among the values */
    size_t kept_count;
    char error[256]; /* "" = no fault so far */
};

/* Begins to write. Returns 0, or -1 with `error`. */
int saved_state_begin(struct saved_state *state);

/* Begins to read `fd`, which then belongs to the state with SAVED_STATE_RESTORE. Returns 0, or -1
 * with `error`: it may be no such state, or one of another version. */
int saved_state_open(struct saved_state *state, int fd, enum saved_state_mode mode);

/* Call it after the last value. Returns 0, or -1 with `error` if there was a fault or something is
 * left. */
int saved_state_end(struct saved_state *state);

/* Frees it; the descriptors among its values are not closed. */
void saved_state_close(struct saved_state *state);

/* Lets the descriptors written so far, and the memfd, survive exec (true), or not (false). */
void saved_state_keep(const struct saved_state *state, bool keep);

/* Each writes its value, or reads and returns the one that was written. A value outside of `min` to
 * `max` (or of its type, and negative, where no range is given), or of another name, is a fault. */
int64_t saved_state_number(struct saved_state *state, const char *name, int64_t value, int64_t min,
                           int64_t max);
void saved_state_unsigned(struct saved_state *state, const char *name, unsigned *value);
void saved_state_int64(struct saved_state *state, const char *name, int64_t *value);
void saved_state_uint64(struct saved_state *state, const char *name, uint64_t *value);
bool saved_state_flag(struct saved_state *state, const char *name, bool value);
/* An open descriptor, or -1 for none. */
int saved_state_fd(struct saved_state *state, const char *name, int fd);
/* Any bytes, or NULL. Bytes that are read are followed by a NUL; the caller frees them. */
void saved_state_bytes(struct saved_state *state, const char *name, char **bytes, size_t *size);
void saved_state_text(struct saved_state *state, const char *name, char **text);

/* Sets a fault: the values read so far make no sense. */
void saved_state_refuse(struct saved_state *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

bool saved_state_good(const struct saved_state *state);

#endif
