/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <kotare/flow.h>

const char *kt_flow_end_text(int end)
{
    static const char *const text[] = {
        [KT_FLOW_ACTIVE] = "active", [KT_FLOW_IDLE] = "idle",     [KT_FLOW_CLOSED] = "closed",
        [KT_FLOW_RESET] = "reset",   [KT_FLOW_REUSED] = "reused", [KT_FLOW_EVICTED] = "evicted"};
    return end >= 0 && end < (int)KT_ARRAY_LEN(text) ? text[end] : "unknown";
}
