/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The flows of a capture, for tests of rules: one table, one thread.
 */
#ifndef KOTARE_TESTS_IDENT_WALK_H
#define KOTARE_TESTS_IDENT_WALK_H

#include "plugins.h"
#include <kotare/flow.h>
#include <kotare/trace.h>
#include <stdlib.h>

typedef void walk_flow(void *ctx, const struct kt_flow_record *r);

static void walk_harvest(struct kt_harvest *h, walk_flow *flow, void *ctx)
{
    for (size_t i = 0; i < h->records; i++)
        flow(ctx, &h->record[i]);
    for (uint32_t i = 0; i < h->rests; i++) {
        struct kt_flow_record r;
        kt_flow_rest(h, i, &r);
        flow(ctx, &r);
    }
    kt_harvest_done(h);
}

/* Negative when the capture can not be opened; what was good before a fault is walked. */
static int walk(const char *path, const struct kt_rules *rules, walk_flow *flow, void *ctx)
{
    struct kt_packet packets[KT_BATCH];
    struct kt_batch batch = {.packet = packets};
    struct kt_flow_options opt = {.rules = rules, .interval = INT64_MAX / 4};
    struct kt_source *src;
    struct kt_flow_table *table;
    struct kt_harvest *h;
    int rc = kt_source_open(&src, kt_builtin_registry(), path, NULL, NULL);
    if (rc < 0)
        return rc;
    if (kt_flow_table_new(&table, &opt, NULL) < 0)
        abort();
    while (kt_source_read(src, &batch, NULL) == KT_OK) {
        for (unsigned i = 0; i < batch.n; i++)
            kt_decode(&batch.packet[i]);
        if (kt_flow_table_packets(table, batch.packet, batch.n) < 0)
            abort();
    }
    if (kt_flow_table_tick(table, 0, true, true, &h) < 0)
        abort();
    walk_harvest(h, flow, ctx);
    kt_flow_table_free(table);
    kt_source_close(src);
    return KT_OK;
}

#endif
