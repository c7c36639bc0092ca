/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Any bytes as a packed file. */
#include "fuzz.h"
#include <kotare/io.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t buf[10000];
    char path[64];
    int fd = fuzz_file(data, size, "", path);
    struct kt_reader *r;
    struct kt_error err = {0};
    if (kt_reader_open(&r, path, &err) == KT_OK) {
        ssize_t n;
        size_t sum = 0;
        while ((n = kt_reader_read(r, buf, sizeof buf, &err)) > 0 && sum < 4u << 20)
            sum += (size_t)n;
        fuzz_must(n >= 0 || err.text[0]);
        kt_reader_close(r);
    }
    close(fd);
    return 0;
}
