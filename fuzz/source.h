/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Any bytes as a capture file of a given format.
 */
#ifndef KOTARE_FUZZ_SOURCE_H
#define KOTARE_FUZZ_SOURCE_H

#include "fuzz.h"
#include "plugins.h"

static inline void fuzz_source(const char *scheme, const uint8_t *data, size_t size)
{
    static struct kt_packet packets[KT_BATCH];
    uint64_t sum = 0;
    struct kt_batch batch = {.packet = packets};
    struct kt_error err = {0};
    struct kt_source *src;
    char path[64];
    int fd = fuzz_file(data, size, scheme, path);
    int rc = kt_source_open(&src, kt_builtin_registry(), path, NULL, &err);
    if (rc == KT_OK) {
        while ((rc = kt_source_read(src, &batch, &err)) == KT_OK)
            for (unsigned i = 0; i < batch.n; i++) {
                struct kt_packet *p = &packets[i];
                fuzz_must(p->caplen <= p->wirelen);
                sum += kt_hash(p->data, p->caplen, sum); /* every byte is there */
                kt_decode(p);
            }
        kt_source_close(src);
    }
    fuzz_must(rc == KT_END || (rc < 0 && err.text[0]));
    fuzz_must(batch.n == 0 || sum);
    close(fd);
}

#endif
