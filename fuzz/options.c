/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Command lines: an argument a line. Every one is counted as plain, taken by an option, or refused
 * with a sentence.
 */
#include "cmd/cmd.h"
#include "fuzz.h"

enum { ARGS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char name[] = "watch";
    const char *text = NULL, *listen = NULL;
    struct kt_option_number number = {.value = 7, .min = 1, .max = 64};
    struct kt_option_list list = {0};
    bool flag = false;
    const struct kt_option options[] = {{"store", KT_OPTION_TEXT, &text, "FILE", ""},
                                        {"listen", KT_OPTION_TEXT, &listen, "ADDR:PORT", ""},
                                        {"workers", KT_OPTION_NUMBER, &number, "N", ""},
                                        {"rules", KT_OPTION_LIST, &list, "PATH", ""},
                                        {"once", KT_OPTION_FLAG, &flag, NULL, ""},
                                        {0}};
    char *copy = fuzz_text(data, size), *argv[ARGS + 1] = {name}, *at = copy;
    int argc = 1;
    while (at && argc < ARGS) {
        argv[argc++] = at;
        at = strchr(at, '\n');
        if (at)
            *at++ = '\0';
    }
    struct kt_error err = {0};
    int n = kt_options_parse(options, argc, argv, &err);
    fuzz_must(n < argc);
    fuzz_must(n >= 0 || n == KT_ENOTFOUND || (n == KT_EINVAL && err.text[0] && err.code == n));
    for (int i = 1; i <= n; i++)
        fuzz_must(strncmp(argv[i], "--", 2) != 0 && strlen(argv[i]) <= size);
    fuzz_must(!text || (text >= copy && text <= copy + size));
    fuzz_must(number.value >= number.min && number.value <= number.max);
    for (unsigned i = 0; i < list.n; i++)
        fuzz_must(*list.text[i] && list.text[i] >= copy && list.text[i] <= copy + size);
    free(copy);
    return 0;
}
