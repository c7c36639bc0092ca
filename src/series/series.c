/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <kotare/series.h>

static const char *const kind_text[KT_STREAM_KINDS] = {
    [KT_STREAM_TOTAL] = "total",       [KT_STREAM_APP] = "app",
    [KT_STREAM_CATEGORY] = "category", [KT_STREAM_DIRECTION] = "direction",
    [KT_STREAM_PORT] = "port",         [KT_STREAM_HEALTH] = "health",
};

const char *kt_stream_kind_text(enum kt_stream_kind kind)
{
    return (unsigned)kind < KT_STREAM_KINDS ? kind_text[kind] : "unknown";
}

int kt_stream_kind_parse(const char *text)
{
    for (int i = 0; i < KT_STREAM_KINDS; i++)
        if (strcmp(text, kind_text[i]) == 0)
            return i;
    return KT_EINVAL;
}
