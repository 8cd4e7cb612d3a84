/* What has arrived on a FastCGI connection: a whole request, a part of one, or nothing. */
#include "fpm/worker/proc_socket.h"

#include <criterion/criterion.h>
#include <string.h>

#define BEGIN          "\1\1\0\1\0\10\0\0\0\1\1\0\0\0\0\0"
#define PAD_5          "\1\4\0\1\0\3\5\0\1\1x\0\0\0\0\0"
#define NO_MORE_PARAMS "\1\4\0\1\0\0\0\0"
#define STDIN          "\1\5\0\1\0\4\0\0body"
#define END            "\1\5\0\1\0\0\0\0"

static enum proc_socket_input parse(const char *bytes, size_t size)
{
    return proc_socket_parse((const unsigned char *)bytes, size);
}

#define PARSE(text) parse(text, sizeof(text) - 1)

Test(proc_socket, whole)
{
    cr_assert_eq(PARSE(""), PROC_SOCKET_NOTHING);
    cr_assert_eq(PARSE(BEGIN PAD_5 NO_MORE_PARAMS END), PROC_SOCKET_REQUEST);
    cr_assert_eq(PARSE(BEGIN PAD_5 NO_MORE_PARAMS STDIN STDIN END), PROC_SOCKET_REQUEST);
}

Test(proc_socket, every_part_of_one_is_a_part)
{
    static const char text[] = BEGIN PAD_5 NO_MORE_PARAMS STDIN END;
    for (size_t size = 1; size < sizeof text - 1; size++)
        cr_assert_eq(parse(text, size), PROC_SOCKET_PART, "%zu bytes", size);
}

Test(proc_socket, a_body_is_no_request)
{
    cr_assert_eq(PARSE(STDIN END), PROC_SOCKET_PART);
    cr_assert_eq(PARSE(END), PROC_SOCKET_PART);
    cr_assert_eq(PARSE("GET / HTTP/1.0\r\n\r\n"), PROC_SOCKET_PART);
    cr_assert_eq(PARSE("\1\1\0\1\377\377\377\0" END), PROC_SOCKET_PART);
}
