/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Whose packet announced a flow. The packet's own worker tells which flow it is of; a flow that was
 * announced, perhaps by another worker's, knows the packet only. The two meet here, and memory
 * stays bounded: of what stands in one bucket the oldest is forgotten.
 */
#include "internal.h"
#include <stdlib.h>

enum { BUCKETS = 8192, WAYS = 8 };

struct announcers {
    struct kt_announcer of[BUCKETS][WAYS]; /* flow is kept one higher: 0 is a free place */
};

static struct kt_announcer *bucket(struct announcers *a, uint64_t packet)
{
    return a->of[kt_mix64(packet ^ UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xe7037ed1a0b428db)) %
                 BUCKETS];
}

int kt_announcers_put(struct announcers **all, const struct kt_announcer *list, size_t n)
{
    if (n && !*all && !(*all = calloc(1, sizeof **all)))
        return KT_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        struct kt_announcer *b = bucket(*all, list[i].packet), *where = b;
        for (int w = 1; w < WAYS; w++)
            if (where->flow && (!b[w].flow || b[w].packet < where->packet))
                where = &b[w];
        if (!where->flow || where->packet < list[i].packet) /* in whatever order they come */
            *where = (struct kt_announcer){list[i].packet, list[i].flow + 1};
    }
    return KT_OK;
}

void kt_announcers_find(struct announcers *all, struct kt_announcer *a)
{
    struct kt_announcer *b = all ? bucket(all, a->packet) : NULL;
    for (int w = 0; b && w < WAYS; w++)
        if (b[w].flow && b[w].packet == a->packet)
            a->flow = b[w].flow - 1;
}
