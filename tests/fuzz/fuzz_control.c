/* fuzz_control.c: a line of the control socket, split into verb and arguments. */
/* The parser is private to this file. */
#include "fpm/control/control_server.c"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char line[CONTROL_LINE_MAX];
    if (size >= sizeof line)
        return 0;
    memcpy(line, data, size);
    line[size] = '\0';
    struct control_server_call call = {0};
    if (control_server_parse(line, &call) != 0)
        return 0;
    FUZZ_CHECK(call.argc >= 0 && call.argc <= CONTROL_SERVER_ARGUMENTS_MAX);
    for (int i = 0; i < call.argc; i++) {
        FUZZ_CHECK(call.argv[i] > line && call.argv[i] < line + sizeof line);
        FUZZ_CHECK(call.argv[i][0] != '\0' && strchr(call.argv[i], ' ') == NULL);
    }
    return 0;
}
