/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * For lanes.py: reads N rings of an interface until standard input ends, and prints a line a
 * packet: the ring it came to, the one it belongs to, sent or received, and its last four bytes. */
#include "plugins.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static struct kt_packet packets[KT_BATCH];
    struct kt_source *src[KT_BATCH];
    struct kt_error err = {0};
    unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 0, quiet = 0;
    for (unsigned i = 0; i < n; i++) {
        struct kt_source_options opt = {
            .streams = n, .stream = i, .fanout = (int)getpid() & 0xffff};
        if (kt_source_open(&src[i], kt_builtin_registry(), argv[1], &opt, &err) < 0) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
    }
    puts("ready");
    fflush(stdout);
    while (n && quiet < 2) {
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        quiet += poll(&in, 1, 0) > 0;
        for (unsigned i = 0; i < n; i++) {
            struct kt_batch batch = {.packet = packets};
            do {
                if (kt_source_read(src[i], &batch, &err) != KT_OK)
                    return 1;
                for (unsigned k = 0; k < batch.n; k++) {
                    struct kt_packet *p = &packets[k];
                    kt_decode(p);
                    const uint8_t *end = p->data + p->caplen;
                    if (p->caplen > 14)
                        printf("%u %u %d %02x%02x%02x%02x\n", i, kt_fanout_lane(&p->key, n),
                               !!(p->flags & KT_PKT_TX), end[-4], end[-3], end[-2], end[-1]);
                }
            } while (batch.n);
        }
    }
    for (unsigned i = 0; i < n; i++)
        kt_source_close(src[i]);
    return 0;
}
