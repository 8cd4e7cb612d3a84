/* fuzz_saved_state.c: the state that an upgrade keeps, read in the order that the input gives. */
#include "fpm/util/saved_state.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        abort();
    struct saved_state state;
    if (saved_state_open(&state, fd, SAVED_STATE_CHECK) == 0) {
        static const char *const names[] = {"a", "b", "c", "d"};
        for (unsigned i = 0; i < 32; i++) {
            const char *name = names[i % 4];
            char *bytes = NULL, *text = NULL;
            size_t length = 0;
            int64_t number;
            switch (i % 4) {
            case 0:
                number = saved_state_number(&state, name, 0, -5, 1000);
                FUZZ_CHECK(number >= -5 && number <= 1000);
                break;
            case 1:
                saved_state_bytes(&state, name, &bytes, &length);
                FUZZ_CHECK(length <= size && (bytes == NULL || bytes[length] == '\0'));
                break;
            case 2:
                saved_state_text(&state, name, &text);
                FUZZ_CHECK(text == NULL || strlen(text) <= size);
                break;
            default:
                FUZZ_CHECK(saved_state_fd(&state, name, -1) == -1);
            }
            free(bytes);
            free(text);
        }
        FUZZ_CHECK(saved_state_end(&state) == 0 || state.error[0] != '\0');
    } else {
        FUZZ_CHECK(state.error[0] != '\0');
    }
    saved_state_close(&state);
    close(fd);
    return 0;
}
