/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>

static bool grow(struct streams *s)
{
    size_t cap = s->cap ? s->cap * 2 : 64;
    struct kt_stream *stream = realloc(s->stream, cap * sizeof *stream);
    if (stream)
        s->stream = stream;
    uint32_t *id = realloc(s->id, cap * sizeof *id);
    if (id)
        s->id = id;
    struct kt_sample *sample = realloc(s->sample, cap * sizeof *sample);
    if (sample)
        s->sample = sample;
    if (!stream || !id || !sample)
        return false;
    s->cap = cap;
    return true;
}

uint32_t kt_streams_get(struct streams *s, enum kt_stream_kind kind, const char *name)
{
    struct kt_stream want = {.kind = kind};
    snprintf(want.name, sizeof want.name, "%s", name);
    for (size_t i = 0; i < s->n; i++)
        if (s->stream[i].kind == kind && strcmp(s->stream[i].name, want.name) == 0)
            return (uint32_t)i;
    if (s->n == s->cap && !grow(s))
        return NO_STREAM;
    uint32_t index = (uint32_t)s->n++;
    s->stream[index] = want;
    s->id[index] = 0;
    s->sample[index] = (struct kt_sample){.stream = index};
    return index;
}

void kt_streams_fini(struct streams *s)
{
    free(s->stream);
    free(s->id);
    free(s->sample);
}
