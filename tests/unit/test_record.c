/* test_record.c: a record is copied whole or not at all, and hostile contents do no harm. */
#include "sapi-shim/scoreboard/record.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* One process writes records whose fields agree; the other must never read any that do not. */
Test(slot, a_copy_is_of_one_moment)
{
    struct ot_record *record =
        mmap(NULL, sizeof *record, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(record, MAP_FAILED);
    pid_t writer = fork();
    cr_assert_geq(writer, 0);
    if (writer == 0) {
        for (uint64_t i = 1; i <= 300000; i++) {
            record_begin(&record->change);
            record->requests = i;
            memset(record->uri, 'a' + (int)(i % 26), sizeof record->uri - 1);
            record->discarded = i;
            record_end(&record->change);
        }
        _exit(0);
    }
    struct ot_record copy;
    uint64_t last = 0;
    while (last < 300000) {
        if (!record_copy(record, &copy) || copy.requests == 0)
            continue;
        cr_assert_eq(copy.requests, copy.discarded);
        cr_assert_eq(copy.uri[0], 'a' + (int)(copy.requests % 26));
        cr_assert_eq(copy.uri[sizeof copy.uri - 2], copy.uri[0]);
        cr_assert_geq(copy.requests, last);
        last = copy.requests;
    }
    cr_assert_eq(waitpid(writer, NULL, 0), writer);
    munmap(record, sizeof *record);
}

Test(slot, a_writer_that_died_inside_a_change_is_not_waited_for)
{
    struct ot_record record = {.requests = 1};
    struct ot_record copy;
    record_begin(&record.change);
    cr_assert_not(record_copy(&record, &copy));
    record_end(&record.change);
    cr_assert(record_copy(&record, &copy));
}

Test(slot, garbage_is_clamped)
{
    struct ot_record record;
    struct ot_record copy;
    memset(&record, 0xfe, sizeof record);
    cr_assert(record_copy(&record, &copy));
    cr_assert_lt(copy.state, OT_STATE_COUNT);
    cr_assert_eq(copy.status & ~(uint32_t)(OT_BIT_ABORTED | OT_BIT_TIMEOUT), 0);
    cr_assert_lt(strlen(copy.uri), sizeof copy.uri);
    cr_assert_lt(strlen(copy.method), sizeof copy.method);
    cr_assert_lt(strlen(copy.label), sizeof copy.label);
}

Test(slot, text_is_kept_as_it_came)
{
    char field[8];
    record_text(field, sizeof field,
                "a\nb\x7f"
                "cde");
    cr_assert_str_eq(field, "a\nb\x7f"
                            "cde");
    record_text(field, sizeof field, NULL);
    cr_assert_str_eq(field, "");
}

/* A cut is marked, and never inside a character. */
Test(slot, text_that_is_cut_says_so)
{
    static const struct {
        const char *text, *field;
    } cases[] = {
        {"123456789ab", "123456789ab"},           /* just fits */
        {"123456789abc", "123456[...]"},          /* one too many */
        {"12345\u00e9789abc", "12345[...]"},      /* two bytes */
        {"1234\u20ac789abcd", "1234[...]"},       /* three */
        {"123\U0001f600789abc", "123[...]"},      /* four */
        {"1234\u00e9789abcd", "1234\u00e9[...]"}, /* ends where the mark begins */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", "\x80\x80\x80[...]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char field[12];
        record_text(field, sizeof field, cases[i].text);
        cr_expect_str_eq(field, cases[i].field, "%s: %s", cases[i].text, field);
    }
    char tiny[4];
    record_text(tiny, sizeof tiny, "12345");
    cr_expect_str_eq(tiny, "123", "no room for a mark");
}
