/* floor.c: what a request costs at least: accept, read, write, close, and nothing that thinks.
 *
 * Blocks in accept on descriptor 0 and sends the bytes that hello.c's answer is. Reads a request
 * until its last record, the empty STDIN, is there, and looks at nothing else of it.
 *
 * usage: floor [kept]
 *   kept   serves a connection until the peer closes it
 */
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const unsigned char answer[] = "\1\6\0\1\0\x21\7\0"
                                      "Content-Type: text/plain\r\n\r\nhello"
                                      "\0\0\0\0\0\0\0"
                                      "\1\3\0\1\0\10\0\0"
                                      "\0\0\0\0\0\0\0\0";
static const unsigned char last[] = "\1\5\0\1\0\0\0\0";

enum {
    RECORD = 8 /* bytes of `last` */
};

/* True once a whole request is there. */
static bool take(int fd)
{
    static unsigned char bytes[65536];
    size_t size = 0;

    for (;;) {
        ssize_t got = read(fd, bytes + size, sizeof bytes - size);
        if (got <= 0)
            return false;
        size += (size_t)got;
        if (size >= RECORD && memcmp(bytes + size - RECORD, last, RECORD) == 0)
            return true;
        if (size == sizeof bytes) {
            memcpy(bytes, bytes + size - RECORD, RECORD);
            size = RECORD;
        }
    }
}

int main(int argc, char **argv)
{
    bool kept = argc > 1 && strcmp(argv[1], "kept") == 0;

    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int fd = accept(0, NULL, NULL);
        if (fd < 0)
            continue;
        while (take(fd) && write(fd, answer, sizeof answer - 1) > 0 && kept)
            continue;
        close(fd);
    }
}
