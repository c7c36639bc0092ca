/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * expr: one small expression language for protocol rules, flow filters (command line, API, page)
 * and, later, state machines. An environment declares the names an expression may use, with their
 * types; compiling checks it and yields bytecode; running it reads the values through the
 * environment's own load function.
 *
 *     static const struct kt_expr_field fields[] = {
 *         {"bytes", KT_EXPR_INT}, {"app", KT_EXPR_STR}, {"src", KT_EXPR_ADDR}, {NULL, 0}};
 *     struct kt_expr *e;
 *     if (kt_expr_compile(&e, "app == \"DNS\" and bytes > 1000", &env, &err) < 0) …
 *     if (kt_expr_true(e, my_load, flow)) …
 *
 * Syntax and types: docs/expressions.md. Thread rule: a compiled expression is read-only.
 */
#ifndef KOTARE_EXPR_H
#define KOTARE_EXPR_H

#include <kotare/base.h>

enum kt_expr_type {
    KT_EXPR_BOOL,
    KT_EXPR_INT,  /* int64_t; arithmetic wraps nowhere: overflow compares as equal to nothing */
    KT_EXPR_STR,  /* bytes with a length */
    KT_EXPR_ADDR, /* an IP address; compared with addresses and prefixes (10.0.0.0/8) */
    KT_EXPR_TIME, /* nanoseconds; compared with numbers, dates and durations (5s, 10ms) */
};

struct kt_expr_value {
    int64_t num; /* BOOL, INT, TIME */
    const char *str;
    uint32_t len;
    uint8_t addr[16];
    uint8_t ip; /* 4 or 6, 0: absent (compares equal to nothing) */
};

struct kt_expr_field {
    const char *name; /* ends the table when NULL */
    enum kt_expr_type type;
    const char *doc; /* one line for the reference and for error messages */
};

struct kt_expr_env {
    const struct kt_expr_field *fields;
};

struct kt_expr;

/* Loads field number `field` (an index into the environment's table) of `object`. */
typedef void kt_expr_load(const void *object, unsigned field, struct kt_expr_value *value);

KT_MUST_USE int kt_expr_compile(struct kt_expr **expr, const char *text,
                                const struct kt_expr_env *env, struct kt_error *err);
bool kt_expr_true(const struct kt_expr *expr, kt_expr_load *load, const void *object);
void kt_expr_free(struct kt_expr *expr);

#endif
