/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The tables that name all plug-ins: one line each. */
#include "plugins.h"
#include "trace/internal.h"

static const struct kt_source_ops *const sources[] = {
    &kt_source_pcap,
    &kt_source_pcapng,
    &kt_source_ring,
    NULL,
};

static const struct kt_registry registry = {.sources = sources};

const struct kt_registry *kt_builtin_registry(void)
{
    return &registry;
}
