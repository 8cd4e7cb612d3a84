/* top_screen.h: the terminal that `overtimectl top` draws on and takes keys from.
 *
 * The only file that uses ncurses; without that library there is none of this. Decides nothing
 * about what is shown.
 */
#ifndef FPM_TOP_SCREEN_H
#define FPM_TOP_SCREEN_H

#include "fpm/ctl/top_view.h"

#include <stdbool.h>
#include <stddef.h>

enum top_key {
    TOP_KEY_NONE = -1, /* none within the time */
    /* Others are their byte. */
    TOP_KEY_ENTER = 256,
    TOP_KEY_ESCAPE,
    TOP_KEY_BACKSPACE,
    TOP_KEY_LEFT,
    TOP_KEY_RIGHT,
    TOP_KEY_UP,
    TOP_KEY_DOWN,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_RESIZE,
    TOP_KEY_QUIT /* a signal asked for the end, or the terminal is gone */
};

/* Opens the terminal. Returns 0, or -1 with a sentence if it cannot be drawn on. */
int top_screen_open(char *error, size_t size);

/* Restores the terminal. */
void top_screen_close(void);

size_t top_screen_lines(void);

/* A frame: begin, put for each line, end. Lines are cut at the right edge, and lines below the
 * bottom are left out. `context` is not used. */
void top_screen_begin(void);
void top_screen_put(void *context, enum top_style style, const char *text);
void top_screen_end(void);

/* Returns the next key; waits at most this long. */
int top_screen_key(int milliseconds);

#endif
