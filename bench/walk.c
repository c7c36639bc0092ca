/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Reads a source to its end: "walk URI [decode]". Prints packets, bytes and CPU seconds.
 */
#include "plugins.h"
#include <stdio.h>
#include <time.h>

int main(int argc, char **argv)
{
    static struct kt_packet packets[KT_BATCH];
    struct kt_batch batch = {.packet = packets};
    struct kt_error err = {0};
    struct kt_source *src;
    uint64_t n = 0, bytes = 0;
    if (argc < 2)
        return 1;
    int rc = kt_source_open(&src, kt_builtin_registry(), argv[1], NULL, &err);
    if (rc == KT_OK) {
        while ((rc = kt_source_read(src, &batch, &err)) == KT_OK)
            for (unsigned i = 0; i < batch.n; i++) {
                if (argc > 2)
                    kt_decode(&packets[i]);
                bytes += packets[i].wirelen;
                n++;
            }
        kt_source_close(src);
    }
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    double cpu = (double)clock() / CLOCKS_PER_SEC;
    printf("%llu packets  %llu bytes  %.3f s  %.1f M/s\n", (unsigned long long)n,
           (unsigned long long)bytes, cpu, (double)n / cpu / 1e6);
    return kt_code_exit(rc);
}
