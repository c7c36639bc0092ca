/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef KT_STORE_SCHEMA_H
#define KT_STORE_SCHEMA_H

#include "internal.h"
#include <stdio.h>

/* Checks whose file it is; for writing, makes or carries over its tables. */
int kt_schema_open(struct kt_store *st, struct kt_error *err);
int kt_schema_exec(struct kt_store *st, const char *sql, struct kt_error *err, const char *doing);

#endif
