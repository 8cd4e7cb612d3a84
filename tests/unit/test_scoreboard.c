/* test_scoreboard.c: slots assigned and released, and hostile contents of a slot. */
#include "fpm/worker/scoreboard.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct scoreboard make(unsigned slots)
{
    struct scoreboard board;
    struct ot_settings settings = {.max_requests = 42};
    char error[256] = "";
    cr_assert(scoreboard_create(&board, "www", slots, &settings, error, sizeof error) == 0, "%s",
              error);
    cr_expect_eq(board.fd, -1);
    cr_assert(scoreboard_share(&board) == 0);
    return board;
}

/* The slot as its worker maps it: by the descriptor and the numbers on the board. */
static struct ot_slot *worker_map(const struct scoreboard *board, unsigned slot)
{
    const struct ot_board *face = board->board;
    off_t offset = (off_t)face->slots_offset + (off_t)slot * face->slot_stride;
    void *memory =
        mmap(NULL, sizeof(struct ot_slot), PROT_READ | PROT_WRITE, MAP_SHARED, board->fd, offset);
    cr_assert(memory != MAP_FAILED);
    return memory;
}

static void attach(struct ot_slot *slot, uint32_t version, unsigned threads)
{
    slot->version = version;
    atomic_store(&slot->threads, threads);
    atomic_store(&slot->magic, OT_SLOT_MAGIC);
}

Test(scoreboard, the_board_tells_its_layout)
{
    struct scoreboard board = make(3);
    const struct ot_board *face = board.board;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    cr_expect(face->magic == OT_BOARD_MAGIC && face->version == OT_CONTRACT_VERSION);
    cr_expect(face->slot_count == 3 && face->slot_stride >= sizeof(struct ot_slot));
    cr_expect(face->slot_stride % page == 0 && face->slots_offset % page == 0);
    cr_expect(face->settings_size == sizeof(struct ot_settings));
    cr_expect(face->settings.max_requests == 42);
    cr_expect_str_eq(face->pool, "www");
    scoreboard_destroy(&board);
}

Test(scoreboard, the_reading_descriptor_cannot_write)
{
    struct scoreboard board = make(1);
    int fd = scoreboard_read_only(&board);
    cr_assert(fd >= 0);
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    cr_expect(memory == MAP_FAILED);
    cr_expect(ftruncate(board.fd, 0) != 0, "a worker could cut the memory off");
    scoreboard_destroy(&board);
}

Test(scoreboard, slots_go_round)
{
    struct scoreboard board = make(2);
    cr_expect(scoreboard_assign(&board) == 0);
    cr_expect(scoreboard_assign(&board) == 1);
    cr_expect(scoreboard_assign(&board) == -1);
    scoreboard_release(&board, 0);
    cr_expect(scoreboard_assign(&board) == 0);
    scoreboard_destroy(&board);
}

Test(scoreboard, a_slot_is_emptied_before_reuse)
{
    struct scoreboard board = make(1);
    struct slot_view view;
    cr_assert(scoreboard_assign(&board) == 0);
    struct ot_slot *slot = worker_map(&board, 0);
    attach(slot, OT_CONTRACT_VERSION, 1);
    slot->records[0].requests = 7;
    slot_view_look(scoreboard_slot(&board, 0), &view);
    cr_expect(view.attached && view.counts.requests == 7);
    scoreboard_release(&board, 0);
    slot_view_look(scoreboard_slot(&board, 0), &view);
    cr_expect(view.counts.requests == 7, "released is not yet forgotten");
    cr_assert(scoreboard_assign(&board) == 0);
    slot_view_look(scoreboard_slot(&board, 0), &view);
    cr_expect(!view.attached && view.counts.requests == 0 && slot->records[0].requests == 0);
    (void)munmap(slot, sizeof *slot);
    scoreboard_destroy(&board);
}

Test(scoreboard, adds_threads_up_and_leads_with_the_oldest_request)
{
    struct scoreboard board = make(1);
    struct ot_slot *slot = worker_map(&board, 0);
    struct slot_view view;
    static const struct {
        uint32_t state;
        uint64_t accepted;
    } threads[] = {{OT_STATE_IDLE, 1}, {OT_STATE_RUNNING, 30}, {OT_STATE_POST, 20}};
    for (unsigned i = 0; i < 3; i++) {
        slot->records[i].state = threads[i].state;
        slot->records[i].accepted_at = threads[i].accepted;
        slot->records[i].requests = i + 1;
    }
    attach(slot, OT_CONTRACT_VERSION, 3);
    slot_view_look(scoreboard_slot(&board, 0), &view);
    cr_expect(view.threads == 3 && view.busy == 2 && view.counts.requests == 6);
    cr_expect(view.lead.state == OT_STATE_POST);
    cr_expect(scoreboard_requests(&board, 0) == 6);
    (void)munmap(slot, sizeof *slot);
    scoreboard_destroy(&board);
}

/* With an accept mutex threads wait outside of accept. */
Test(scoreboard, an_ended_request_is_idle_where_another_thread_waits)
{
    struct scoreboard board = make(1);
    struct ot_slot *slot = worker_map(&board, 0);
    struct slot_view view;
    static const uint32_t states[] = {OT_STATE_SHUTDOWN, OT_STATE_RUNNING, OT_STATE_IDLE};
    for (unsigned i = 0; i < 3; i++) {
        slot->records[i].state = states[i];
        slot->records[i].ended_at = i == 0 ? 7 : 0;
    }
    attach(slot, OT_CONTRACT_VERSION, 3);
    slot_view_look(scoreboard_slot(&board, 0), &view);
    cr_expect(view.busy == 1 && view.lead.state == OT_STATE_RUNNING);
    cr_expect(scoreboard_glance(&board, 0).phase == SCOREBOARD_IDLE);
    cr_expect(scoreboard_glance(&board, 0).busy == 1, "it is not to be retired");
    slot->records[1].ended_at = 8;
    slot_view_look(scoreboard_slot(&board, 0), &view);
    cr_expect(view.busy == 0 && view.lead.state == OT_STATE_IDLE);
    cr_expect(scoreboard_glance(&board, 0).busy == 0);
    slot->records[2].state = OT_STATE_EXITING; /* nothing accepts */
    slot_view_look(scoreboard_slot(&board, 0), &view);
    cr_expect(view.busy == 2);
    slot_view_look_dead(scoreboard_slot(&board, 0), &view);
    cr_expect(view.busy == 0, "nothing was cut off");
    (void)munmap(slot, sizeof *slot);
    scoreboard_destroy(&board);
}

Test(scoreboard, garbage_is_clamped)
{
    struct scoreboard board = make(2);
    struct ot_slot *slot = worker_map(&board, 0);
    struct slot_view view;
    memset((void *)slot, 0xfe, sizeof *slot);
    attach(slot, OT_CONTRACT_VERSION, 4000000000u);
    slot_view_look(scoreboard_slot(&board, 0), &view);
    cr_expect(view.attached && view.threads == OT_THREADS_MAX);
    cr_expect(view.lead.state < OT_STATE_COUNT);
    cr_expect(memchr(view.lead.uri, '\0', sizeof view.lead.uri) != NULL);
    slot->records[0].change = 1;
    slot->threads = 1;
    slot_view_look(scoreboard_slot(&board, 0), &view);
    cr_expect(view.attached && view.counts.requests == 0,
              "a record that keeps changing is left out");
    (void)munmap(slot, sizeof *slot);
    scoreboard_destroy(&board);
}

Test(scoreboard, a_board_that_was_overwritten_does_no_harm)
{
    struct scoreboard board = make(2);
    struct slot_view view;
    memset((void *)board.board, 0xff, sizeof *board.board);
    slot_view_look(scoreboard_slot(&board, 1), &view);
    cr_expect(!view.attached);
    cr_expect(scoreboard_assign(&board) == 0);
    scoreboard_destroy(&board);
}

Test(scoreboard, another_contract_is_no_contract)
{
    struct scoreboard board = make(1);
    struct ot_slot *slot = worker_map(&board, 0);
    struct slot_view view;
    attach(slot, OT_CONTRACT_VERSION + 1, 1);
    slot->records[0].requests = 5;
    slot_view_look(scoreboard_slot(&board, 0), &view);
    cr_expect(!view.attached && view.other_version == OT_CONTRACT_VERSION + 1 &&
              view.counts.requests == 0);
    (void)munmap(slot, sizeof *slot);
    scoreboard_destroy(&board);
}

/* The slot is emptied to its last byte, and pages that were not touched cost no memory. */
Test(scoreboard, a_slot_is_emptied_to_its_end_and_no_more)
{
    struct scoreboard board = make(3);
    struct stat before, after;
    for (int i = 0; i < 3; i++)
        cr_assert(scoreboard_assign(&board) >= 0);
    struct ot_slot *slot = worker_map(&board, 1), *next = worker_map(&board, 2);
    slot->records[OT_THREADS_MAX - 1].requests = 7;
    next->records[0].requests = 8;
    next->records[OT_THREADS_MAX - 1].requests = 9;
    cr_assert(fstat(board.fd, &before) == 0);
    scoreboard_release(&board, 1);
    cr_assert(scoreboard_assign(&board) == 1);
    cr_expect(slot->records[OT_THREADS_MAX - 1].requests == 0);
    cr_expect(next->records[0].requests == 8 && next->records[OT_THREADS_MAX - 1].requests == 9);
    cr_assert(fstat(board.fd, &after) == 0);
    cr_expect(after.st_blocks == before.st_blocks);
    (void)munmap(slot, sizeof *slot);
    (void)munmap(next, sizeof *next);
    scoreboard_destroy(&board);
}
