/* test_saved_state.c: state written by one program is read back by another, and nothing else is. */
#include "fpm/util/saved_state.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char awkward[] = "two\nlines, a \0 and \xff";

struct facts {
    int64_t least, most, count;
    bool yes, no;
    int fd, none;
    char *text, *empty, *missing, *bytes;
    size_t size;
};

/* The same walk writes and reads, as everywhere. */
static void walk(struct saved_state *state, struct facts *facts)
{
    facts->least = saved_state_number(state, "least", facts->least, INT64_MIN, INT64_MAX);
    facts->most = saved_state_number(state, "most", facts->most, INT64_MIN, INT64_MAX);
    facts->count = saved_state_number(state, "count", facts->count, 0, 10);
    facts->yes = saved_state_flag(state, "yes", facts->yes);
    facts->no = saved_state_flag(state, "no", facts->no);
    facts->fd = saved_state_fd(state, "fd", facts->fd);
    facts->none = saved_state_fd(state, "none", facts->none);
    saved_state_text(state, "text", &facts->text);
    saved_state_text(state, "empty", &facts->empty);
    saved_state_text(state, "missing", &facts->missing);
    saved_state_bytes(state, "bytes", &facts->bytes, &facts->size);
}

/* A state with one value of each kind; `fd` is the memfd and stays open. */
static int written(int fd)
{
    struct saved_state state;
    char text[] = "a word", empty[] = "", bytes[sizeof awkward];
    memcpy(bytes, awkward, sizeof awkward);
    struct facts facts = {
        .least = INT64_MIN,
        .most = INT64_MAX,
        .count = 10,
        .yes = true,
        .fd = fd,
        .none = -1,
        .text = text,
        .empty = empty,
        .bytes = bytes,
        .size = sizeof awkward,
    };
    cr_assert_eq(saved_state_begin(&state), 0);
    walk(&state, &facts);
    cr_assert_eq(saved_state_end(&state), 0, "%s", state.error);
    cr_assert_eq(state.kept_count, 1);
    int copy = fcntl(state.fd, F_DUPFD_CLOEXEC, 0);
    saved_state_close(&state);
    return copy;
}

/* A memfd with these bytes, sealed as a saved state is. */
static int forged(const char *bytes, size_t size)
{
    int fd = memfd_create("forged", MFD_ALLOW_SEALING);
    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL),
                 0);
    return fd;
}

static void expect(const struct facts *facts, int fd)
{
    cr_expect_eq(facts->least, INT64_MIN);
    cr_expect_eq(facts->most, INT64_MAX);
    cr_expect_eq(facts->count, 10);
    cr_expect(facts->yes && !facts->no);
    cr_expect_eq(facts->fd, fd);
    cr_expect_eq(facts->none, -1);
    cr_expect_str_eq(facts->text, "a word");
    cr_expect_str_eq(facts->empty, "");
    cr_expect_null(facts->missing);
    cr_assert_eq(facts->size, sizeof awkward);
    cr_expect_arr_eq(facts->bytes, awkward, sizeof awkward);
}

static void let_go(struct facts *facts)
{
    free(facts->text);
    free(facts->empty);
    free(facts->missing);
    free(facts->bytes);
}

Test(handover, gives_back_what_was_written)
{
    int carried = open("/dev/null", O_RDONLY);
    struct saved_state state;
    struct facts facts = {0};
    cr_assert_eq(saved_state_open(&state, written(carried), SAVED_STATE_RESTORE), 0, "%s",
                 state.error);
    walk(&state, &facts);
    cr_assert_eq(saved_state_end(&state), 0, "%s", state.error);
    expect(&facts, carried);
    cr_expect_eq(fcntl(carried, F_GETFD), FD_CLOEXEC, "it is closed to programs again");
    let_go(&facts);
    saved_state_close(&state);
    (void)close(carried);
}

Test(handover, checks_without_touching_descriptors)
{
    int carried = open("/dev/null", O_RDONLY);
    int memory = written(carried);
    struct saved_state state;
    struct facts facts = {0};
    (void)close(carried);
    cr_assert_eq(saved_state_open(&state, memory, SAVED_STATE_CHECK), 0);
    walk(&state, &facts);
    cr_assert_eq(saved_state_end(&state), 0, "%s", state.error);
    expect(&facts, -1);
    let_go(&facts);
    saved_state_close(&state);
    cr_expect_eq(close(memory), 0, "it is still open");
}

Test(handover, misses_descriptors_that_are_not_there)
{
    int carried = open("/dev/null", O_RDONLY);
    int memory = written(carried);
    struct saved_state state;
    struct facts facts = {0};
    (void)close(carried);
    (void)saved_state_open(&state, memory, SAVED_STATE_RESTORE);
    walk(&state, &facts);
    cr_expect_not_null(strstr(state.error, "which is not open"), "%s", state.error);
    let_go(&facts);
    saved_state_close(&state);
}

Test(handover, keeps_descriptors_over_exec_and_back)
{
    int carried = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct saved_state state;
    cr_assert_eq(saved_state_begin(&state), 0);
    (void)saved_state_fd(&state, "fd", carried);
    cr_assert_eq(saved_state_end(&state), 0);
    saved_state_keep(&state, true);
    cr_expect_eq(fcntl(carried, F_GETFD), 0);
    cr_expect_eq(fcntl(state.fd, F_GETFD), 0);
    saved_state_keep(&state, false);
    cr_expect_eq(fcntl(carried, F_GETFD), FD_CLOEXEC);
    cr_expect_eq(fcntl(state.fd, F_GETFD), FD_CLOEXEC);
    saved_state_close(&state);
    (void)close(carried);
}

Test(handover, takes_nothing_else_for_it)
{
    static const struct {
        const char *what, *bytes, *fault;
    } cases[] = {
        {"nothing", "", "was expected"},
        {"garbage", "\x7f\x45LF", "was expected"},
        {"a name alone", "overtime-handover", "was expected"},
        {"no number", "overtime-handover x\n", "was expected"},
        {"no line", "overtime-handover 2", "was expected"},
        {"a number too long", "overtime-handover 99999999999999999999\n", "was expected"},
        {"another version", "overtime-handover 2147483647\n", "restart it instead"},
        {"another fact", "overtime-handover 4\nmost 1\n", "\"least\" was expected where \"most\""},
        {"a cut off end", "overtime-handover 4\nleast 1\n", "\"most\" was expected"},
        {"out of range", "overtime-handover 4\nleast 1\nmost 1\ncount 11\n", "cannot be 11"},
        {"a text cut off",
         "overtime-handover 4\nleast 1\nmost 1\ncount 1\nyes 1\nno 0\nfd -1\nnone -1\ntext "
         "9\nabc\n",
         "cut off"},
        {"a text too long",
         "overtime-handover 4\nleast 1\nmost 1\ncount 1\nyes 1\nno 0\nfd -1\nnone -1\n"
         "text 9223372036854775807\nabc\n",
         "cannot be"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct saved_state state;
        struct facts facts = {0};
        (void)saved_state_open(&state, forged(cases[i].bytes, strlen(cases[i].bytes)),
                               SAVED_STATE_RESTORE);
        walk(&state, &facts);
        cr_expect_neq(saved_state_end(&state), 0, "%s", cases[i].what);
        cr_expect_not_null(strstr(state.error, cases[i].fault), "%s: %s", cases[i].what,
                           state.error);
        let_go(&facts);
        saved_state_close(&state);
    }
}

/* One that a worker wrote over must not keep the state from being read. */
Test(handover, takes_the_largest_counter)
{
    struct saved_state state;
    uint64_t counter = UINT64_MAX, restored = 0;
    cr_assert_eq(saved_state_begin(&state), 0);
    saved_state_uint64(&state, "counter", &counter);
    cr_assert_eq(saved_state_end(&state), 0, "%s", state.error);
    int fd = fcntl(state.fd, F_DUPFD_CLOEXEC, 0);
    saved_state_close(&state);
    cr_assert_eq(saved_state_open(&state, fd, SAVED_STATE_CHECK), 0);
    saved_state_uint64(&state, "counter", &restored);
    cr_assert_eq(saved_state_end(&state), 0, "%s", state.error);
    cr_assert_eq(restored, (uint64_t)INT64_MAX);
    saved_state_close(&state);
    close(fd);
}

Test(handover, leaves_nothing_unread)
{
    static const char more[] = "overtime-handover 4\nend 0\nmore 1\n";
    struct saved_state state;
    (void)saved_state_open(&state, forged(more, sizeof more - 1), SAVED_STATE_RESTORE);
    cr_expect_neq(saved_state_end(&state), 0);
    saved_state_close(&state);
}

Test(handover, wants_a_sealed_memfd)
{
    struct saved_state state;
    cr_expect_neq(saved_state_open(&state, open("/dev/null", O_RDONLY), SAVED_STATE_RESTORE), 0);
    saved_state_close(&state);
    cr_expect_neq(saved_state_open(&state, memfd_create("open", 0), SAVED_STATE_RESTORE), 0);
    saved_state_close(&state);
}

Test(handover, stops_at_the_first_fault)
{
    struct saved_state state;
    cr_assert_eq(saved_state_begin(&state), 0);
    saved_state_refuse(&state, "the first");
    saved_state_refuse(&state, "the second");
    /* An error does not change the state. */
    cr_expect_eq(saved_state_fd(&state, "fd", 0), 0);
    cr_expect_neq(saved_state_end(&state), 0);
    cr_expect_str_eq(state.error, "the first");
    saved_state_close(&state);
}
