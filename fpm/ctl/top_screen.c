/* top_screen.c: see top_screen.h. */
#include "fpm/ctl/top_screen.h"

#include <stdio.h>

#ifdef HAVE_NCURSESW

/* The program's curses.h is the wide one's by pkg-config; its macros clash with nothing of ours. */
#define NCURSES_NOMACROS 1
#include <curses.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <unistd.h>
#include <wchar.h>

enum {
    TOP_WIDTH_MAX = 1024
};

static volatile sig_atomic_t top_screen_ended;
static SCREEN *top_screen;
static int top_screen_row;

static void top_screen_signal(int number)
{
    top_screen_ended = 1;
}

/* Can the cursor be moved on this terminal? */
static int top_screen_check(char *error, size_t size)
{
    const char *term = getenv("TERM");
    int found = 0;
    char *move = NULL;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        snprintf(error, size, "this is no terminal; `overtimectl top --once` prints one look");
        return -1;
    }
    if (term != NULL && setupterm(term, STDOUT_FILENO, &found) == OK)
        move = tigetstr("cup");
    bool drawable = move != NULL && move != (char *)-1;
    if (found == 1)
        (void)del_curterm(cur_term); /* newterm() makes one of its own */
    if (drawable)
        return 0;
    snprintf(
        error, size,
        "the terminal \"%.40s\" (TERM) cannot be drawn on; `overtimectl top --once` prints one "
        "look",
        term != NULL ? term : "");
    return -1;
}

int top_screen_open(char *error, size_t size)
{
    (void)setlocale(LC_CTYPE, "");
    if (top_screen_check(error, size) != 0)
        return -1;
    /* These signals end a wait for the manager or for a key at once: calls are not restarted. */
    struct sigaction action = {.sa_handler = top_screen_signal};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);

    top_screen = newterm(NULL, stdout, stdin);
    if (top_screen == NULL) {
        snprintf(error, size,
                 "cannot draw on this terminal; `overtimectl top --once` prints one look");
        return -1;
    }
    (void)cbreak();
    (void)noecho();
    (void)keypad(stdscr, TRUE);
    (void)nodelay(stdscr, TRUE);
    (void)curs_set(0);
    set_escdelay(50);
    if (has_colors() && start_color() != ERR) {
        (void)use_default_colors();
        (void)init_pair(TOP_SERVING, COLOR_GREEN, -1);
        (void)init_pair(TOP_POST_RESPONSE, COLOR_YELLOW, -1);
        (void)init_pair(TOP_ALERT, COLOR_RED, -1);
    }
    return 0;
}

void top_screen_close(void)
{
    (void)endwin();
    delscreen(top_screen);
    top_screen = NULL;
}

size_t top_screen_lines(void)
{
    return LINES > 0 ? (size_t)LINES : 1;
}

void top_screen_begin(void)
{
    (void)erase();
    top_screen_row = 0;
}

/* Takes as many characters as fit the line. A character that the locale lacks becomes "?", and so
 * does an invisible one, which may hide text or reverse its direction. */
static int top_screen_cut(const char *text, wchar_t *out, int max)
{
    mbstate_t state = {0};
    int used = 0, width = 0;
    while (*text != '\0' && used < TOP_WIDTH_MAX) {
        wchar_t c;
        size_t bytes = mbrtowc(&c, text, strlen(text), &state);
        if (bytes == (size_t)-1 || bytes == (size_t)-2) {
            memset(&state, 0, sizeof state);
            bytes = 1;
            c = L'?';
        }
        if (wcwidth(c) < 0 || (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
            (c >= 0x2060 && c <= 0x206f) || c == 0xfeff)
            c = L'?';
        width += wcwidth(c);
        if (width > max)
            break;
        out[used++] = c;
        text += bytes;
    }
    return used;
}

void top_screen_put(void *context, enum top_style style, const char *text)
{
    static const attr_t attributes[TOP_STYLES] = {
        [TOP_TITLE] = A_BOLD,         [TOP_HEADING] = A_REVERSE, [TOP_QUIET] = A_DIM,
        [TOP_POST_RESPONSE] = A_BOLD, [TOP_ALERT] = A_BOLD,
    };
    wchar_t line[TOP_WIDTH_MAX];
    if (top_screen_row >= LINES)
        return;
    int count = top_screen_cut(text, line, COLS < TOP_WIDTH_MAX ? COLS : TOP_WIDTH_MAX);
    attr_t attribute = attributes[style];
    if (style == TOP_SERVING || style == TOP_POST_RESPONSE || style == TOP_ALERT)
        attribute |= (attr_t)COLOR_PAIR(style);
    (void)attrset((int)attribute);
    (void)mvaddnwstr(top_screen_row, 0, line, count);
    for (int at = getcurx(stdscr); style == TOP_HEADING && at > 0 && at < COLS; at++)
        (void)mvaddch(top_screen_row, at, ' ');
    (void)attrset(A_NORMAL);
    top_screen_row++;
}

void top_screen_end(void)
{
    (void)refresh();
}

int top_screen_key(int milliseconds)
{
    static const struct {
        int from, to;
    } keys[] = {
        {'\n', TOP_KEY_ENTER},
        {'\r', TOP_KEY_ENTER},
        {KEY_ENTER, TOP_KEY_ENTER},
        {27, TOP_KEY_ESCAPE},
        {127, TOP_KEY_BACKSPACE},
        {8, TOP_KEY_BACKSPACE},
        {KEY_BACKSPACE, TOP_KEY_BACKSPACE},
        {KEY_LEFT, TOP_KEY_LEFT},
        {KEY_RIGHT, TOP_KEY_RIGHT},
        {KEY_UP, TOP_KEY_UP},
        {KEY_DOWN, TOP_KEY_DOWN},
        {KEY_PPAGE, TOP_KEY_PAGE_UP},
        {KEY_NPAGE, TOP_KEY_PAGE_DOWN},
        {KEY_HOME, TOP_KEY_HOME},
        {KEY_END, TOP_KEY_END},
        {KEY_RESIZE, TOP_KEY_RESIZE},
    };
    struct pollfd terminal = {.fd = STDIN_FILENO, .events = POLLIN};
    int key = top_screen_ended ? TOP_KEY_QUIT : getch();
    if (key == ERR && poll(&terminal, 1, milliseconds) >= 0 && (terminal.revents & POLLHUP))
        return TOP_KEY_QUIT;
    if (key == ERR && !top_screen_ended)
        key = getch();
    if (top_screen_ended)
        return TOP_KEY_QUIT;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].from == key)
            return keys[i].to;
    return key >= 0 && key < 256 ? key : TOP_KEY_NONE;
}

#endif
