/* test_status.c: a scoreboard read as plain values, also if it is damaged. */
#include "sapi-shim/status/status.h"

#include "fpm/worker/scoreboard.h"
#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/status/status_metrics.h"
#include "sapi-shim/status/status_write.h"
#include "sapi-shim/util/procfs.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct scene {
    struct scoreboard board;
    struct ot_pool_stats facts;
    struct status_source source;
};

static void open_scene(struct scene *scene, unsigned slots)
{
    struct ot_settings settings = {0};
    char error[256] = "";
    memset(scene, 0, sizeof *scene);
    cr_assert(scoreboard_create(&scene->board, "www", slots, &settings, error, sizeof error) == 0);
    scene->board.board->generation = 1;
    scene->facts.generation = 1;
    cr_assert(status_open(scene->board.board, scene->board.size, &scene->source));
}

static struct ot_slot *slot_of(const struct scene *scene, unsigned slot)
{
    return (struct ot_slot *)((char *)scene->board.board + scene->board.offset +
                              scene->board.stride * slot);
}

/* A worker of one thread in this slot. */
static struct ot_record *attach(struct scene *scene, unsigned slot, enum ot_state state)
{
    struct ot_slot *memory = slot_of(scene, slot);
    memory->version = OT_CONTRACT_VERSION;
    atomic_store(&memory->threads, 1);
    atomic_store(&memory->magic, OT_SLOT_MAGIC);
    memory->records[0].state = state;
    scoreboard_set_process(&scene->board, slot, OT_PROCESS_RUNNING, getpid(), 1);
    return &memory->records[0];
}

static char *written(void (*write)(FILE *, const struct status_report *),
                     const struct status_report *report)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    write(out, report);
    cr_assert(fclose(out) == 0 && text != NULL);
    cr_expect(strlen(text) == size);
    return text;
}

Test(status, counts_the_living_the_dead_and_the_others)
{
    struct scene scene;
    struct status_pool pool;
    open_scene(&scene, 4);
    attach(&scene, 0, OT_STATE_IDLE)->requests = 5;
    struct ot_record *post = attach(&scene, 1, OT_STATE_POST);
    post->requests = 3;
    post->finished = 1;
    scoreboard_set_process(&scene.board, 2, OT_PROCESS_STARTING, 1, 1);
    scene.facts.elsewhere.requests = 100;
    scene.facts.others[OT_STATE_RUNNING] = 2;
    scene.facts.ended[STATUS_CAUSE_CRASH] = 4;
    scene.facts.exits[3] = 5;
    scene.facts.signals[11] = 6;
    scene.facts.signals[64] = 7;
    scoreboard_publish(&scene.board, &scene.facts);
    status_pool(&scene.source, NULL, NULL, &pool);
    cr_expect(pool.requests == 108 && pool.post_response_requests == 1);
    cr_expect(pool.idle == 1 && pool.post_response == 1 && pool.unknown == 1 && pool.serving == 2);
    cr_expect(pool.workers == 5 && pool.active == 3 && pool.older == 2);
    cr_expect(pool.ended == 4 && pool.ended_by[STATUS_CAUSE_CRASH] == 4);
    cr_expect(pool.max_active == 3, "the present value counts for the maximum");
    static const struct status_exit ways[] = {
        {false, "3", 5}, {true, "SIGSEGV", 6}, {true, "64", 7}};
    unsigned at = 0;
    struct status_exit way;
    for (size_t i = 0; i < 3; i++) {
        cr_assert(status_next_exit(&pool, &at, &way), "way %zu", i);
        cr_expect(way.signal == ways[i].signal && way.count == ways[i].count);
        cr_expect_str_eq(way.name, ways[i].name);
    }
    cr_expect(!status_next_exit(&pool, &at, &way));
    scoreboard_destroy(&scene.board);
}

/* Between a worker's end and the manager's update nothing is counted twice or lost. */
Test(status, a_slot_counts_until_the_facts_do)
{
    struct scene scene;
    struct status_pool pool;
    open_scene(&scene, 1);
    attach(&scene, 0, OT_STATE_IDLE)->requests = 5;
    scoreboard_publish(&scene.board, &scene.facts);
    scoreboard_set_process(&scene.board, 0, OT_PROCESS_NONE, 0, 1);
    status_pool(&scene.source, NULL, NULL, &pool);
    cr_expect(pool.requests == 5 && pool.workers == 1);
    scene.facts.elsewhere.requests = 5;
    scoreboard_publish(&scene.board, &scene.facts);
    status_pool(&scene.source, NULL, NULL, &pool);
    cr_expect(pool.requests == 5 && pool.workers == 0);
    scoreboard_destroy(&scene.board);
}

/* All changed slots are published, and no others. */
Test(status, only_changes_are_published_and_all_of_them)
{
    struct scene scene;
    struct status_pool pool;
    open_scene(&scene, 5);
    for (unsigned slot = 0; slot < 5; slot++)
        attach(&scene, slot, OT_STATE_IDLE);
    scoreboard_publish(&scene.board, &scene.facts);
    scoreboard_set_process(&scene.board, 4, OT_PROCESS_NONE, 0, 1);
    scoreboard_set_process(&scene.board, 1, OT_PROCESS_NONE, 0, 1);
    scoreboard_publish(&scene.board, &scene.facts);
    scoreboard_publish(&scene.board, &scene.facts);
    status_pool(&scene.source, NULL, NULL, &pool);
    cr_expect(pool.workers == 3, "%u", pool.workers);
    scoreboard_set_process(&scene.board, 0, OT_PROCESS_NONE, 0, 1);
    scoreboard_publish(&scene.board, &scene.facts);
    status_pool(&scene.source, NULL, NULL, &pool);
    cr_expect(pool.workers == 2, "%u", pool.workers);
    scoreboard_destroy(&scene.board);
}

Test(status, a_board_that_does_not_fit_is_none)
{
    struct scene scene;
    struct status_source source;
    open_scene(&scene, 2);
    struct ot_board *board = scene.board.board;
    cr_expect_not(status_open(board, sizeof *board - 1, &source));
    cr_expect_not(status_open(board, scene.board.size - 1, &source));
    uint32_t *const numbers[] = {&board->magic, &board->version, &board->slot_count,
                                 &board->slots_offset, &board->members_offset};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint32_t before = *numbers[i];
        *numbers[i] = UINT32_MAX;
        cr_expect_not(status_open(board, scene.board.size, &source), "number %zu", i);
        *numbers[i] = before;
    }
    board->slot_stride = 0;
    cr_expect_not(status_open(board, scene.board.size, &source));
    scoreboard_destroy(&scene.board);
}

Test(status, garbage_in_slots_and_facts_is_shown_and_does_no_harm)
{
    static void (*const formats[])(FILE *, const struct status_report *) = {
        status_write_json, status_write_text, status_write_xml, status_metrics};
    struct scene scene;
    struct status_pool pool;
    struct status_report report = {.pool = &pool};
    open_scene(&scene, 3);
    for (unsigned i = 0; i < 3; i++) {
        struct ot_record *record = attach(&scene, i, OT_STATE_RUNNING);
        memset((char *)record + sizeof record->change,
               i == 0   ? 0xff
               : i == 1 ? '<'
                        : '"',
               sizeof *record - sizeof record->change);
        record->state = OT_STATE_RUNNING + i;
    }
    memset((char *)&scene.facts + sizeof scene.facts.change, 0xff,
           sizeof scene.facts - sizeof scene.facts.change);
    scoreboard_publish(&scene.board, &scene.facts);
    status_pool(&scene.source, NULL, NULL, &pool);
    cr_assert(status_collect(&scene.source, 1, &report));
    cr_expect(report.count == 3);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        free(written(formats[i], &report));
    char *text = written(status_write_xml, &report);
    cr_expect(strstr(text, "<<") == NULL && strstr(text, "\xff") == NULL);
    free(text);
    text = written(status_write_json, &report);
    cr_expect(strstr(text, "\"\"\"") == NULL && strstr(text, "\xff") == NULL);
    free(text);
    free(report.workers);
    scoreboard_destroy(&scene.board);
}

Test(status, a_record_that_keeps_changing_says_so)
{
    struct scene scene;
    struct status_worker worker;
    struct status_thread thread;
    open_scene(&scene, 1);
    atomic_store(&attach(&scene, 0, OT_STATE_IDLE)->change, 1);
    cr_assert(status_worker(&scene.source, 0, &worker) == false, "nothing was published yet");
    scoreboard_publish(&scene.board, &scene.facts);
    cr_assert(status_worker(&scene.source, 0, &worker));
    status_thread(&worker, 0, &thread);
    cr_expect_str_eq(thread.state, "changing");
    cr_expect(thread.requests == STATUS_UNKNOWN);
    scoreboard_destroy(&scene.board);
}

Test(status, restarts_of_a_slot)
{
    struct scene scene;
    struct status_worker worker;
    open_scene(&scene, 1);
    for (int i = 0; i < 3; i++) {
        (void)attach(&scene, 0, OT_STATE_IDLE);
        if (i < 2)
            scoreboard_set_process(&scene.board, 0, OT_PROCESS_NONE, 0, 1);
    }
    scoreboard_publish(&scene.board, &scene.facts);
    cr_assert(status_worker(&scene.source, 0, &worker));
    cr_expect(worker.restarts == 2 && worker.pid == getpid());
    cr_expect(worker.memory_bytes > 0 && worker.cpu_ms >= 0);
    scoreboard_destroy(&scene.board);
}

Test(procfs, names_hold_anything)
{
    int64_t cpu = -1, memory = -1;
    const char *good = "12 (a) b) R 7) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 99 4096 25 0";
    cr_expect(procfs_parse(good, 100, 4096, &cpu, &memory) == 0);
    cr_expect(cpu == 2000 && memory == 25 * 4096, "%lld %lld", (long long)cpu, (long long)memory);
    const char *const bad[] = {"", "12", "12 (x)", "12 (x) S",
                               "12 (x) S 1 2 3 4 5 6 7 8 9 10 150 x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(procfs_parse(bad[i], 100, 4096, &cpu, &memory) == -1, "%s", bad[i]);
    cr_expect(procfs_usage(-1, &cpu, &memory) == -1);
}
