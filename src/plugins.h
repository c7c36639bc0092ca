/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef KOTARE_PLUGINS_H
#define KOTARE_PLUGINS_H

#include <kotare/trace.h>

/* All that is built in. */
const struct kt_registry *kt_builtin_registry(void);

#endif
