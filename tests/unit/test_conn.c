/* test_conn.c: a connection passes on the bytes of its own request only. */
#include "sapi-shim/connection/conn.h"
#include "sapi-shim/util/clock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    LIMIT = 4096
};

static int peer;
static struct conn *conn;

static void open_pair(void)
{
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    peer = pair[0];
    conn = conn_open(pair[1], false);
    cr_assert_not_null(conn);
    cr_assert_eq(conn_find(pair[1]), conn);
}

static void close_pair(void)
{
    conn_free(&conn);
    close(peer);
    conn_thread_end();
}

TestSuite(conn, .init = open_pair, .fini = close_pair);

static size_t record(unsigned char *out, int type, int id, const char *content, int length, int pad)
{
    unsigned char header[8] = {1,
                               (unsigned char)type,
                               0,
                               (unsigned char)id,
                               (unsigned char)(length >> 8),
                               (unsigned char)length,
                               (unsigned char)pad};
    memcpy(out, header, 8);
    if (content != NULL)
        memcpy(out + 8, content, (size_t)length);
    else
        memset(out + 8, 'p', (size_t)length);
    memset(out + 8 + length, 0, (size_t)pad);
    return 8 + (size_t)length + (size_t)pad;
}

static size_t begin_request(unsigned char *out, int id, int keep)
{
    const char body[8] = {0, 1, (char)keep};
    return record(out, 1, id, body, 8, 0);
}

/* A whole request with a body of this length. */
static size_t whole_request(unsigned char *out, int id, int body)
{
    size_t at = begin_request(out, id, 1);
    at += record(out + at, 4, id,
                 "\x01\x01"
                 "ab",
                 4, 4);
    at += record(out + at, 4, id, NULL, 0, 0);
    if (body > 0)
        at += record(out + at, 5, id, NULL, body, 3);
    return at + record(out + at, 5, id, NULL, 0, 0);
}

static void say(const void *bytes, size_t count)
{
    cr_assert_eq(write(peer, bytes, count), (ssize_t)count);
}

static size_t read_all(unsigned char *into, size_t size)
{
    size_t at = 0;
    size_t count = 0;
    do {
        cr_assert_eq(
            conn_read(conn, into + at, size - at, clock_ns() + 5000 * CLOCK_NS_PER_MS, &count),
            CONN_OK);
        at += count;
    } while (count > 0);
    return at;
}

Test(conn, header_is_complete_at_its_last_byte_and_not_before)
{
    unsigned char bytes[512];
    size_t size = whole_request(bytes, 1, 0);
    size_t header = size - 8; /* all but the end of the body */
    for (size_t i = 0; i < header; i++) {
        cr_assert_not(conn_has_header(conn), "after %zu of %zu bytes", i, header);
        say(bytes + i, 1);
        cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    }
    cr_assert(conn_has_header(conn));
    cr_assert_not(conn_input_complete(conn));
}

Test(conn, libfcgi_gets_the_request_and_nothing_after_it)
{
    unsigned char bytes[2048];
    unsigned char got[2048];
    size_t one = whole_request(bytes, 1, 100);
    size_t two = whole_request(bytes + one, 1, 50);
    say(bytes, one + two);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    cr_assert(conn_input_complete(conn));
    cr_assert_eq(read_all(got, sizeof got), one);
    cr_assert_arr_eq(got, bytes, one);
    cr_assert(conn_end_request(conn, 0));
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    cr_assert(conn_has_header(conn));
    cr_assert_eq(read_all(got, sizeof got), two);
    cr_assert_arr_eq(got, bytes + one, two);
}

/* The record that ends the body may come after the response; it is dropped then. */
Test(conn, the_end_of_a_body_may_be_late)
{
    unsigned char bytes[512];
    unsigned char got[512];
    size_t count = 0;
    size_t at = begin_request(bytes, 1, 1);
    at += record(bytes + at, 4, 1, NULL, 0, 0);
    say(bytes, at);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    conn_read_buffered(conn, got, sizeof got, &count);
    cr_assert(conn_end_request(conn, 0));
    at = record(bytes, 5, 1, NULL, 0, 0);
    at += whole_request(bytes + at, 1, 0);
    say(bytes, at);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    cr_assert(conn_has_header(conn));
    conn_read_buffered(conn, got, sizeof got, &count);
    cr_assert_eq(count, at - 8);
}

/* A request that begins and has a body of one record, of which `come` bytes of content are sent.
 * The content looks like requests. Returns what is left to be sent. */
static size_t begin_unread(unsigned char *rest, size_t size, size_t come)
{
    static char body[20000];
    unsigned char bytes[256];
    unsigned char inner[64];
    size_t inner_size = whole_request(inner, 1, 0);
    for (size_t i = 0; i < size; i++)
        body[i] = (char)inner[i % inner_size];
    size_t head = begin_request(bytes, 1, 1);
    head += record(bytes + head, 4, 1, NULL, 0, 0);
    say(bytes, head);
    size_t all = record(rest, 5, 1, body, (int)size, 3);
    all += record(rest + all, 5, 1, NULL, 0, 5);
    say(rest, FRAME_HEADER + come);
    memmove(rest, rest + FRAME_HEADER + come, all - FRAME_HEADER - come);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    cr_assert(conn_has_header(conn));
    return all - FRAME_HEADER - come;
}

/* A smuggling attack needs a connection that is reused in the middle of a body. */
Test(conn, the_rest_of_an_unread_body_is_dropped)
{
    static const size_t sizes[] = {60, 7000, 19000};
    static unsigned char left[20100];
    unsigned char next[512], got[512];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t size = begin_unread(left, sizes[i], 40);
        cr_assert(conn_end_request(conn, sizes[i]));
        cr_assert_eq(conn_fill(conn, LIMIT), CONN_AGAIN);
        for (size_t at = 0; at < size; at += 17000) {
            say(left + at, size - at < 17000 ? size - at : 17000);
            cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
            cr_assert_not(conn_has_header(conn));
        }
        size = whole_request(next, 1, 0);
        say(next, size);
        cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
        cr_assert_eq(read_all(got, sizeof got), size);
        cr_assert_arr_eq(got, next, size);
        cr_assert(conn_end_request(conn, 0));
    }
}

Test(conn, a_long_rest_ends_the_connection)
{
    static unsigned char left[20100];
    (void)begin_unread(left, 60, 40);
    cr_assert(conn_is_reusable(conn, UINT64_MAX), "of unknown length");
    cr_assert_not(conn_is_reusable(conn, 1000000000));
    cr_assert(conn_end_request(conn, UINT64_MAX));
    conn->dropped = SIZE_MAX / 2;
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_CLOSED);
    cr_assert_not(conn->eof || conn->broken);
}

Test(conn, unread_body_that_has_arrived_whole_is_skipped)
{
    unsigned char bytes[2048];
    unsigned char got[2048];
    size_t one = whole_request(bytes, 1, 200);
    size_t two = whole_request(bytes + one, 1, 0);
    say(bytes, one + two);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    cr_assert(conn_end_request(conn, 0), "the walk has seen its end");
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    cr_assert_eq(read_all(got, sizeof got), two);
    cr_assert_arr_eq(got, bytes + one, two);
}

Test(conn, management_is_answered_inside_a_request_and_not_passed_on)
{
    unsigned char bytes[512];
    unsigned char got[512];
    unsigned char answer[64];
    size_t size = begin_request(bytes, 1, 0);
    size_t at = size;
    at += record(bytes + at, 9, 0,
                 "\x0f\x00"
                 "FCGI_MPXS_CONNS",
                 17, 0);
    at += record(bytes + at, 42, 0, "xyz", 3, 5);
    at += record(bytes + at, 4, 1, NULL, 0, 0);
    say(bytes, at);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    cr_assert_eq(read(peer, answer, sizeof answer), 8 + 18 + 16);
    cr_assert_eq(answer[1], 10);
    cr_assert_eq(answer[8 + 18 + 1], 11);
    cr_assert_eq(answer[8 + 18 + 8], 42);
    size_t count = 0;
    conn_read_buffered(conn, got, sizeof got, &count);
    cr_assert_eq(count, size + 8);
    cr_assert_eq(got[size + 1], 4);
}

Test(conn, second_request_is_refused_and_its_records_dropped)
{
    unsigned char bytes[512];
    unsigned char answer[64];
    unsigned char got[512];
    size_t at = begin_request(bytes, 1, 0);
    at += record(bytes + at, 4, 1, NULL, 0, 0);
    size_t first = at;
    at += begin_request(bytes + at, 2, 0);
    at += record(bytes + at, 4, 2, NULL, 40, 0);
    at += record(bytes + at, 5, 1, NULL, 0, 0);
    say(bytes, at);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    cr_assert_eq(read_all(got, sizeof got), first + 8);
    cr_assert_eq(read(peer, answer, sizeof answer), 16);
    cr_assert_eq(answer[1], 3);
    cr_assert_eq(answer[3], 2);
    cr_assert_eq(answer[12], FRAME_CANT_MPX_CONN);
}

/* In any order, and for any division of the stream into reads. */
Test(conn, many_dropped_records_between_those_of_the_request)
{
    enum {
        RECORDS = 1500,
        SIZE = 64 * RECORDS
    };
    static unsigned char bytes[SIZE];
    static unsigned char wanted[SIZE];
    static unsigned char got[SIZE];
    for (unsigned cut = 0; cut < 8; cut++) {
        static const size_t cuts[] = {SIZE, 1, 7, 8, 9, 100, 1000, 4096};
        size_t at = begin_request(bytes, 1, 1);
        size_t want = at;
        memcpy(wanted, bytes, at);
        for (unsigned i = 0; i <= RECORDS; i++) {
            size_t begin = at;
            unsigned length = i == RECORDS ? 0 : 1 + (i * 7 + cut) % 11;
            at +=
                record(bytes + at, 4, 1, "abcdefghijk", (int)length, i == RECORDS ? 0 : (int)i % 3);
            memcpy(wanted + want, bytes + begin, at - begin);
            want += at - begin;
            for (unsigned stray = 0; stray < i % 4 && i < RECORDS; stray++)
                at += record(bytes + at, 5, 2, NULL, (int)(i % 5), (int)stray);
        }
        for (size_t sent = 0; sent < at; sent += cuts[cut]) {
            say(bytes + sent, at - sent < cuts[cut] ? at - sent : cuts[cut]);
            cr_assert_eq(conn_fill(conn, SIZE), CONN_OK);
        }
        cr_assert(conn_has_header(conn));
        size_t count = 0;
        cr_assert_eq(conn_read(conn, got, sizeof got, 0, &count), CONN_OK);
        cr_assert_eq(count, want, "cut %u: %zu instead of %zu", cut, count, want);
        cr_assert_arr_eq(got, wanted, want);
        close_pair();
        open_pair();
    }
}

Test(conn, padding_of_stream_ends_is_kept_from_libfcgi)
{
    unsigned char bytes[512];
    unsigned char got[512];
    size_t at = begin_request(bytes, 1, 0);
    at += record(bytes + at, 4, 1, NULL, 0, 7);
    at += record(bytes + at, 5, 1, NULL, 0, 9);
    say(bytes, at);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    cr_assert_eq(read_all(got, sizeof got), 16 + 8 + 8);
    cr_assert_eq(got[16 + 6], 0);
    cr_assert_eq(got[24 + 6], 0);
}

Test(conn, abort_record_is_seen)
{
    unsigned char bytes[512];
    size_t at = whole_request(bytes, 1, 0);
    say(bytes, at);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    conn_check_peer(conn);
    cr_assert_not(conn->aborted);
    at = record(bytes, 2, 1, NULL, 0, 0);
    say(bytes, at);
    conn_check_peer(conn);
    cr_assert(conn->aborted);
    cr_assert_not(conn->disconnected);
}

Test(conn, peer_that_leaves_is_seen)
{
    unsigned char bytes[512];
    say(bytes, whole_request(bytes, 1, 0));
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    conn_check_peer(conn);
    cr_assert_not(conn->disconnected);
    cr_assert_eq(shutdown(peer, SHUT_WR), 0);
    conn_check_peer(conn);
    cr_assert(conn->disconnected);
}

Test(conn, parameters_have_a_limit)
{
    static unsigned char bytes[3 * 65536];
    size_t at = begin_request(bytes, 1, 0);
    at += record(bytes + at, 4, 1, NULL, LIMIT + 1, 0);
    say(bytes, at);
    (void)conn_fill(conn, LIMIT);
    cr_assert(conn->params_too_large);
    cr_assert_leq(conn->capacity, 2 * LIMIT + 8192);
}

Test(conn, garbage_is_gone)
{
    say("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_CLOSED);
    cr_assert(conn->broken);
}

/* Sends a request without its body; returns the number of bytes sent. */
static size_t begun_request(unsigned char *bytes)
{
    size_t at = begin_request(bytes, 1, 0);
    at += record(bytes + at, 4, 1, NULL, 0, 0);
    say(bytes, at);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    return at;
}

/* Reads what libfcgi could read now, without waiting. */
static size_t rest(unsigned char *into, size_t size)
{
    size_t at = 0;
    size_t count = 0;
    do {
        conn_read_buffered(conn, into + at, size - at, &count);
        at += count;
    } while (count > 0);
    return at;
}

static void nothing(int signal)
{
    (void)signal;
}

/* The longer limit exceeds the time that a read blocks; each signal begins that time anew. */
Test(conn, a_deadline_is_kept_despite_interrupted_waits)
{
    const struct itimerval often = {.it_interval = {.tv_usec = 10000},
                                    .it_value = {.tv_usec = 10000}};
    unsigned char bytes[512];
    unsigned char got[512];
    size_t count = 0;
    (void)begun_request(bytes);
    cr_assert_eq(conn_read(conn, got, sizeof got, 0, &count), CONN_OK);
    cr_assert_neq(signal(SIGALRM, nothing), SIG_ERR);
    cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (uint64_t limit = 300; limit <= 1300; limit += 1000) {
        uint64_t deadline = clock_ns() + limit * CLOCK_NS_PER_MS;
        cr_expect_eq(conn_read(conn, got, sizeof got, deadline, &count), CONN_TIMEOUT);
        cr_expect_geq(clock_ns(), deadline);
        cr_expect_eq(count, 0);
    }
}

Test(conn, a_body_is_read_past_libfcgi)
{
    static unsigned char bytes[3 * 65536];
    static unsigned char got[3 * 65536];
    size_t count = 0;
    size_t done = 0;
    size_t at = begin_request(bytes, 1, 0);
    at += record(bytes + at, 4, 1, NULL, 0, 0);
    size_t head = at;
    at += record(bytes + at, 5, 1, NULL, 65535, 1);
    at += record(bytes + at, 5, 1, NULL, 30000, 0);
    at += record(bytes + at, 5, 1, NULL, 0, 0);
    say(bytes, at);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    cr_assert_eq(conn_read(conn, got, sizeof got, 0, &count), CONN_OK);
    cr_assert_eq(count, head);
    cr_assert(conn_may_read_body(conn));
    do {
        cr_assert_eq(conn_read_body(conn, got + done, sizeof got - done, 0, &count), CONN_OK);
        done += count;
    } while (count > 0);
    cr_assert_eq(done, 95535);
    cr_assert_arr_eq(got, bytes + head + 8, 65535);
    cr_assert_eq(conn_read(conn, got, sizeof got, 0, &count), CONN_OK);
    cr_assert_eq(count, 8, "the end is libfcgi's");
    cr_assert(conn_end_request(conn, 95535));
}

Test(conn, a_body_cut_short_is_not_a_whole_one)
{
    unsigned char bytes[512];
    unsigned char got[512];
    size_t count = 0;
    size_t at = begin_request(bytes, 1, 0);
    at += record(bytes + at, 4, 1, NULL, 0, 0);
    at += record(bytes + at, 5, 1, NULL, 100, 0);
    say(bytes, at - 40);
    cr_assert_eq(shutdown(peer, SHUT_WR), 0);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    cr_assert_eq(rest(got, sizeof got), at - 40);
    cr_assert_eq(conn_read(conn, got, sizeof got, 0, &count), CONN_CLOSED);
}

Test(conn, waiting_for_input_ends_at_the_deadline)
{
    unsigned char bytes[512];
    unsigned char got[512];
    size_t count = 0;
    (void)begun_request(bytes);
    conn_read_buffered(conn, got, sizeof got, &count);
    cr_assert_eq(conn_read(conn, got, sizeof got, clock_ns() + CLOCK_NS_PER_MS, &count),
                 CONN_TIMEOUT);
}

Test(conn, a_split_leaves_what_was_read)
{
    unsigned char bytes[512];
    unsigned char got[512];
    size_t at = begin_request(bytes, 1, 0);
    at += record(bytes + at, 4, 1, NULL, 0, 0);
    at += record(bytes + at, 5, 1, "hello", 5, 0);
    say(bytes, at);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    int fd = conn->fd;
    struct conn *parked = conn_split(conn);
    cr_assert_not_null(parked);
    cr_assert_eq(conn->fd, -1);
    cr_assert_eq(conn_find(fd), parked);
    cr_assert_eq(rest(got, sizeof got), at);
    conn_free(&parked);
    cr_assert_null(conn_find(fd));
    cr_assert_eq(read(peer, got, sizeof got), 0);
}

Test(conn, parameters_are_taken_in_one_piece)
{
    static const unsigned char left[24] = {1, 1, 0, 7, 0, 8, 0, 0, 0, 1, 1, 0,
                                           0, 0, 0, 0, 1, 4, 0, 7, 0, 0, 0, 0};
    unsigned char out[512], in[64];
    size_t count = 0;
    size_t at = record(out, 1, 7, "\0\1\1\0\0\0\0\0", 8, 5);
    at += record(out + at, 4, 7, "one piece", 9, 7);
    at += record(out + at, 4, 8, "a stranger's", 12, 0);
    at += record(out + at, 4, 7, ", and another", 13, 0);
    at += record(out + at, 4, 7, NULL, 0, 3);
    at += record(out + at, 5, 7, "body", 4, 0);
    say(out, at);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    cr_assert(conn_has_header(conn));
    const unsigned char *content = conn_take_params(conn, &count);
    cr_expect_eq(count, 22);
    cr_expect_arr_eq(content, "one piece, and another", 22);
    cr_assert_eq(rest(in, sizeof in), 24 + 12);
    cr_expect_arr_eq(in, left, 24, "a request without parameters is left");
    cr_expect_arr_eq(in + 32, "body", 4);
}

Test(conn, there_may_be_no_parameters_to_take)
{
    unsigned char out[64], in[64];
    size_t count = 1;
    size_t at = begin_request(out, 1, 0);
    at += record(out + at, 4, 1, NULL, 0, 0);
    say(out, at);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    (void)conn_take_params(conn, &count);
    cr_expect_eq(count, 0);
    cr_assert_eq(rest(in, sizeof in), at);
    cr_expect_arr_eq(in, out, at);
}

Test(conn, a_long_body_is_read_past_the_buffer_and_to_the_byte)
{
    enum {
        BODY = 30000
    };
    static unsigned char out[BODY + 200], in[sizeof out];
    size_t head = begin_request(out, 1, 1), got = 0, count = 1;
    head += record(out + head, 4, 1, NULL, 0, 0);
    say(out, head);
    cr_assert_eq(conn_fill(conn, LIMIT), CONN_OK);
    size_t size = head + record(out + head, 5, 1, NULL, BODY, 3);
    for (int i = 0; i < BODY; i++)
        out[head + 8 + (size_t)i] = (unsigned char)(i % 251);
    size += record(out + size, 5, 1, "after", 5, 0);
    size += record(out + size, 5, 1, NULL, 0, 0);
    size_t all = size + begin_request(out + size, 1, 0); /* the next one's: not to be read now */
    say(out + head, all - head);
    for (size_t piece = FRAME_HEADER; count > 0; piece = piece % 9000 * 2 + FRAME_HEADER) {
        piece = piece < sizeof in - got ? piece : sizeof in - got;
        cr_assert_eq(conn_read(conn, in + got, piece, 0, &count), CONN_OK);
        cr_assert_leq(count, piece);
        got += count;
    }
    cr_assert_eq(got, size);
    cr_assert_arr_eq(in, out, size);
    cr_assert(conn_input_complete(conn));
    cr_assert(conn_end_request(conn, 0));
    cr_assert(conn_next_request_begun(conn));
}
