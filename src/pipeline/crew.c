/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"
#include <stdlib.h>

void kt_run_fail(struct kt_run *r, int code)
{
    int none = 0;
    __atomic_compare_exchange_n(&r->code, &none, code, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    kt_flag_set(&r->failed);
}

void kt_worker_packets(struct kt_run *r, void *worker, const struct kt_packet *p, unsigned n)
{
    if (kt_flag_get(&r->failed))
        return;
    int rc = r->ops->packets(worker, p, n);
    if (rc != KT_OK)
        kt_run_fail(r, rc);
}

void kt_worker_tick(struct kt_run *r, void *worker, const struct kt_tick *tick,
                    struct kt_ring *results)
{
    if (kt_flag_get(&r->failed))
        return;
    struct kt_result *result = malloc(sizeof *result);
    int rc = KT_ENOMEM;
    if (result) {
        *result = (struct kt_result){.tick = *tick};
        rc = r->ops->tick(worker, tick, &result->data);
        if (rc == KT_OK && kt_ring_push(results, result) == KT_OK)
            return;
    }
    free(result);
    if (rc != KT_OK)
        kt_run_fail(r, rc);
}

void kt_report_loop(struct kt_run *r, struct kt_ring *const *rings)
{
    void *data[KT_WORKERS_MAX];
    for (;;) {
        struct kt_tick tick = {0};
        unsigned n = 0;
        for (unsigned w = 0; w < r->workers; w++) {
            void *item;
            if (kt_ring_pop(rings[w], &item) != KT_OK)
                continue; /* closed: all will be */
            struct kt_result *result = item;
            tick = result->tick;
            data[n++] = result->data;
            free(result);
        }
        if (n == 0)
            return;
        if (n == r->workers && !kt_flag_get(&r->failed)) {
            int rc = r->ops->report(r->ctx, &tick, data, n);
            if (rc != KT_OK)
                kt_run_fail(r, rc);
        } else {
            for (unsigned i = 0; i < n; i++)
                r->ops->result_free(data[i]);
        }
    }
}
