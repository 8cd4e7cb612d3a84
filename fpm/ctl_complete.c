/* ctl_complete.c: see ctl_complete.h. */
#include "fpm/ctl_complete.h"

#include "fpm/control_proto.h"
#include "fpm/ctl_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* How far the words before the cursor have come. */
struct ctl_complete {
    const struct ctl_tables *tables;
    const struct ctl_verb *verb;      /* NULL: none yet */
    const struct ctl_option *pending; /* wants the next word as its value */
    const char *socket;
    bool unknown; /* a verb that there is not */
    size_t arguments;
    const char *word; /* at the cursor */
};

static bool ctl_complete_matches(const struct ctl_complete *state, const char *word)
{
    return strncmp(word, state->word, strlen(state->word)) == 0;
}

static void ctl_complete_say(const struct ctl_complete *state, const char *word, const char *help)
{
    if (ctl_complete_matches(state, word))
        printf("%s%s%s\n", word, help != NULL ? "\t" : "", help != NULL ? help : "");
}

static const struct ctl_option *ctl_complete_long(const struct ctl_tables *tables, const char *name,
                                                  size_t length)
{
    for (const struct ctl_option *option = tables->options; option->letter != 0; option++)
        if (strncmp(option->name, name, length) == 0 && option->name[length] == '\0')
            return option;
    return NULL;
}

/* An option before the cursor, and what it says about the next word. */
static void ctl_complete_pass_option(struct ctl_complete *state, const char *word)
{
    const struct ctl_option *option;
    const char *value = NULL;
    if (word[1] == '-') {
        size_t length = strcspn(word + 2, "=");
        option = ctl_complete_long(state->tables, word + 2, length);
        value = word[2 + length] == '=' ? word + 3 + length : NULL;
    } else {
        option = ctl_call_option(state->tables, word[1]);
        value = word[1] != '\0' && word[2] != '\0' ? word + 2 : NULL;
    }
    if (option == NULL || option->value == NULL)
        return;
    if (value == NULL)
        state->pending = option;
    else if (option->letter == 's')
        state->socket = value;
}

static void ctl_complete_pass(struct ctl_complete *state, const char *word)
{
    if (state->pending != NULL) {
        if (state->pending->letter == 's')
            state->socket = word;
        state->pending = NULL;
    } else if (*word == '-' && word[1] != '\0') {
        ctl_complete_pass_option(state, word);
    } else if (state->verb == NULL && !state->unknown) {
        state->verb = ctl_call_verb(state->tables, word);
        state->unknown = state->verb == NULL;
    } else {
        state->arguments++;
    }
}

static void ctl_complete_options(const struct ctl_complete *state)
{
    for (const struct ctl_option *option = state->tables->options; option->letter != 0; option++) {
        char word[64];
        if (state->verb != NULL && strchr(state->verb->options, option->letter) == NULL &&
            strchr(state->tables->for_all, option->letter) == NULL)
            continue;
        snprintf(word, sizeof word, "--%s", option->name);
        ctl_complete_say(state, word, option->help);
    }
}

static void ctl_complete_verbs(const struct ctl_complete *state)
{
    for (const struct ctl_verb *verb = state->tables->verbs; verb->name != NULL; verb++)
        if (verb->help != NULL)
            ctl_complete_say(state, verb->name, verb->help);
}

/* The lines that the manager answers, NULL = none; the caller's to free. */
static char *ctl_complete_ask(const struct ctl_complete *state, const char *verb)
{
    char *answer, error[CONTROL_LINE_MAX];
    const struct ctl_link_words words = {.verb = verb};
    (void)ctl_link_fetch(state->socket, &words, &answer, error, sizeof error);
    return answer;
}

static void ctl_complete_pools(const struct ctl_complete *state)
{
    char *answer = ctl_complete_ask(state, CONTROL_POOLS), *rest = answer, *line;
    while ((line = strsep(&rest, "\n")) != NULL)
        if (*line != '\0')
            ctl_complete_say(state, line, "pool");
    free(answer);
}

/* The second word of each line but the first, which is the heading; threads have none. */
static void ctl_complete_processes(const struct ctl_complete *state)
{
    char *answer = ctl_complete_ask(state, CONTROL_WORKERS), *rest = answer, *line;
    (void)strsep(&rest, "\n");
    while ((line = strsep(&rest, "\n")) != NULL) {
        char pool[128] = "", process[32] = "", slot[32] = "", doing[64] = "", help[256];
        if (*line == ' ' || sscanf(line, "%127s %31s %31s %63s", pool, process, slot, doing) < 4)
            continue;
        snprintf(help, sizeof help, "%s, %s", pool, doing);
        ctl_complete_say(state, process, help);
    }
    free(answer);
}

static void ctl_complete_argument(const struct ctl_complete *state)
{
    if (state->unknown || state->arguments >= strlen(state->verb->kinds))
        return;
    switch (state->verb->kinds[state->arguments]) {
    case 'P':
        ctl_complete_pools(state);
        break;
    case 'I':
        ctl_complete_processes(state);
        break;
    case 'V':
        ctl_complete_verbs(state);
        break;
    case 'F':
        puts(":files");
        break;
    default:
        break;
    }
}

int ctl_complete(const struct ctl_tables *tables, int argc, char **argv)
{
    struct ctl_complete state = {.tables = tables, .socket = CONTROL_DEFAULT, .word = ""};
    for (int i = 0; i + 1 < argc; i++)
        ctl_complete_pass(&state, argv[i]);
    if (argc > 0)
        state.word = argv[argc - 1];
    if (state.pending != NULL && strcmp(state.pending->value, "PATH") == 0)
        puts(":files");
    else if (state.pending != NULL)
        return EX_OK;
    else if (*state.word == '-')
        ctl_complete_options(&state);
    else if (state.verb == NULL && !state.unknown)
        ctl_complete_verbs(&state);
    else
        ctl_complete_argument(&state);
    return EX_OK;
}
