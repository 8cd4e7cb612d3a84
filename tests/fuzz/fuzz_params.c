/* fuzz_params.c: the content of FCGI_PARAMS as NAME=VALUE strings. */
#include "sapi-shim/protocol/params.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct params params; /* used again for each input, as for each request */
    if (params_decode(&params, "FCGI_ROLE=RESPONDER", data, size)) {
        size_t total = 0;
        for (char **each = params.vector; *each != NULL; each++) {
            FUZZ_CHECK(*each >= params.text && *each < params.text + params.text_size);
            total += strlen(*each) + 1;
        }
        FUZZ_CHECK(total <= size + sizeof "FCGI_ROLE=RESPONDER");
    }
    params_trim(&params);
    return 0;
}
