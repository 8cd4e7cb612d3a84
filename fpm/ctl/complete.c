/* complete.c: see complete.h. */
#include "fpm/ctl/complete.h"

#include "fpm/control/control_proto.h"
#include "fpm/ctl/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* How far the words before the cursor have come. */
struct complete {
    const struct ctl_tables *tables;
    const struct ctl_verb *verb;      /* NULL: none yet */
    const struct ctl_option *pending; /* wants the next word as its value */
    const char *socket;
    bool unknown; /* a verb that there is not */
    size_t arguments;
    const char *word; /* at the cursor */
};

static bool complete_matches(const struct complete *state, const char *word)
{
    return strncmp(word, state->word, strlen(state->word)) == 0;
}

static void complete_say(const struct complete *state, const char *word, const char *help)
{
    if (complete_matches(state, word))
        printf("%s%s%s\n", word, help != NULL ? "\t" : "", help != NULL ? help : "");
}

static const struct ctl_option *complete_long(const struct ctl_tables *tables, const char *name,
                                              size_t length)
{
    for (const struct ctl_option *option = tables->options; option->letter != 0; option++)
        if (strncmp(option->name, name, length) == 0 && option->name[length] == '\0')
            return option;
    return NULL;
}

/* An option before the cursor, and what it says about the next word. */
static void complete_pass_option(struct complete *state, const char *word)
{
    const struct ctl_option *option;
    const char *value = NULL;
    if (word[1] == '-') {
        size_t length = strcspn(word + 2, "=");
        option = complete_long(state->tables, word + 2, length);
        value = word[2 + length] == '=' ? word + 3 + length : NULL;
    } else {
        option = options_option(state->tables, word[1]);
        value = word[1] != '\0' && word[2] != '\0' ? word + 2 : NULL;
    }
    if (option == NULL || option->value == NULL)
        return;
    if (value == NULL)
        state->pending = option;
    else if (option->letter == 's')
        state->socket = value;
}

static void complete_pass(struct complete *state, const char *word)
{
    if (state->pending != NULL) {
        if (state->pending->letter == 's')
            state->socket = word;
        state->pending = NULL;
    } else if (*word == '-' && word[1] != '\0') {
        complete_pass_option(state, word);
    } else if (state->verb == NULL && !state->unknown) {
        state->verb = options_verb(state->tables, word);
        state->unknown = state->verb == NULL;
    } else {
        state->arguments++;
    }
}

static void complete_options(const struct complete *state)
{
    for (const struct ctl_option *option = state->tables->options; option->letter != 0; option++) {
        char word[64];
        if (state->verb != NULL && strchr(state->verb->options, option->letter) == NULL &&
            strchr(state->tables->for_all, option->letter) == NULL)
            continue;
        snprintf(word, sizeof word, "--%s", option->name);
        complete_say(state, word, option->help);
    }
}

static void complete_verbs(const struct complete *state)
{
    for (const struct ctl_verb *verb = state->tables->commands; verb->name != NULL; verb++)
        if (verb->help != NULL)
            complete_say(state, verb->name, verb->help);
}

/* The lines that the manager answers, NULL = none; the caller's to free. */
static char *complete_ask(const struct complete *state, const char *verb)
{
    char *answer, error[CONTROL_LINE_MAX];
    const struct client_words words = {.verb = verb};
    (void)client_fetch(state->socket, &words, &answer, error, sizeof error);
    return answer;
}

static void complete_pools(const struct complete *state)
{
    char *answer = complete_ask(state, CONTROL_POOLS), *rest = answer, *line;
    while ((line = strsep(&rest, "\n")) != NULL)
        if (*line != '\0')
            complete_say(state, line, "pool");
    free(answer);
}

/* The second word of each line but the first, which is the heading; threads have none. */
static void complete_processes(const struct complete *state)
{
    char *answer = complete_ask(state, CONTROL_WORKERS), *rest = answer, *line;
    (void)strsep(&rest, "\n");
    while ((line = strsep(&rest, "\n")) != NULL) {
        char pool[128] = "", process[32] = "", slot[32] = "", doing[64] = "", help[256];
        if (*line == ' ' || sscanf(line, "%127s %31s %31s %63s", pool, process, slot, doing) < 4)
            continue;
        snprintf(help, sizeof help, "%s, %s", pool, doing);
        complete_say(state, process, help);
    }
    free(answer);
}

static void complete_argument(const struct complete *state)
{
    if (state->unknown || state->arguments >= strlen(state->verb->kinds))
        return;
    switch (state->verb->kinds[state->arguments]) {
    case 'P':
        complete_pools(state);
        break;
    case 'I':
        complete_processes(state);
        break;
    case 'V':
        complete_verbs(state);
        break;
    case 'F':
        puts(":files");
        break;
    default:
        break;
    }
}

int complete(const struct ctl_tables *tables, int argc, char **argv)
{
    struct complete state = {.tables = tables, .socket = CONTROL_DEFAULT, .word = ""};
    for (int i = 0; i + 1 < argc; i++)
        complete_pass(&state, argv[i]);
    if (argc > 0)
        state.word = argv[argc - 1];
    if (state.pending != NULL && strcmp(state.pending->value, "PATH") == 0)
        puts(":files");
    else if (state.pending != NULL)
        return EX_OK;
    else if (*state.word == '-')
        complete_options(&state);
    else if (state.verb == NULL && !state.unknown)
        complete_verbs(&state);
    else
        complete_argument(&state);
    return EX_OK;
}
