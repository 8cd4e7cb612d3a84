/* fuzz_values.c: values of directives: addresses, lists of clients, words, sizes and times.
 *
 * A text that is written in quotes reads back as it was.
 */
#include "fpm/config/value_parse.h"
#include "sapi-shim/connection/allowed_clients.h"
#include "sapi-shim/util/scalar.h"
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static void fuzz_values_clients(const char *text)
{
    struct allowed_clients clients = {0};
    struct sockaddr_in stranger = {.sin_family = AF_INET};
    stranger.sin_addr.s_addr = htonl(0xc0000207);
    if (allowed_clients_parse(&clients, text))
        (void)allowed_clients_allow(&clients, (struct sockaddr *)&stranger);
    FUZZ_CHECK(clients.any == (text[strspn(text, ", \t")] == '\0'));
    allowed_clients_free(&clients);
}

static void fuzz_values_address(const char *text)
{
    struct value_parse_address address = {0};
    char error[256] = "";
    if (value_parse_address(text, &address, error, sizeof error) != 0)
        FUZZ_CHECK(error[0] != '\0');
    else
        FUZZ_CHECK(address.kind != VALUE_PARSE_ADDRESS_TCP ||
                   (atoi(address.port) >= 1 && atoi(address.port) <= 65535));
    value_parse_address_free(&address);
}

static void fuzz_values_quotes(const char *text)
{
    struct value_parse_source source = {.pool = "www"};
    char error[256] = "";
    char *quoted = value_parse_quote_text(text), *back = NULL;
    if (quoted != NULL && strpbrk(text, "\r\n") == NULL)
        FUZZ_CHECK(value_parse_text(quoted, &source, &back, error, sizeof error) == 0 &&
                   strcmp(text, back) == 0);
    free(quoted);
    free(back);
    char *word = *text != '\0' ? value_parse_quote_word(text) : NULL; /* a program has a name */
    struct value_parse_words words = {0};
    if (word != NULL && strpbrk(text, "\r\n") == NULL)
        FUZZ_CHECK(value_parse_words(word, &source, &words, error, sizeof error) == 0 &&
                   words.argc == 1 && strcmp(text, words.argv[0]) == 0);
    free(word);
    value_parse_words_free(&words);
}

static void fuzz_values_numbers(const char *text)
{
    int64_t number = -1;
    char shown[VALUE_PARSE_TEXT_SIZE];
    if (value_parse_size(text, &number)) {
        int64_t again = -1;
        FUZZ_CHECK(number >= 0);
        value_parse_size_text(number, shown);
        FUZZ_CHECK(value_parse_size(shown, &again) && again == number);
    }
    if (scalar_time(text, &number)) {
        int64_t again = -1;
        FUZZ_CHECK(number >= 0);
        value_parse_time_text(number, shown);
        FUZZ_CHECK(scalar_time(shown, &again) && again == number);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    fuzz_values_clients(text);
    fuzz_values_address(text);
    fuzz_values_quotes(text);
    fuzz_values_numbers(text);
    for (int words = 0; words < 2; words++)
        FUZZ_CHECK(value_parse_length(text, words != 0) <= strlen(text));
    free(text);
    return 0;
}
