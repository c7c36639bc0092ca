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
 *     kt_expr_free(e);
 *
 * Syntax and types: docs/expressions.md. Text is compared without regard to upper and lower case.
 *
 * Ownership: an expression keeps nothing of the text it was compiled from; what it names by way of
 * the environment (kt_expr_named) must outlive it. Values that a load function points to need to
 * stay only during kt_expr_true().
 *
 * Thread rule: a compiled expression is read-only; any number of threads run it.
 *
 * Errors: KT_EINVAL with a sentence that names line and column (offset: the byte, or the line when
 * env->file is set), KT_ENOMEM. Running can not fail, nor allocate, nor loop.
 *
 * Sources: kt_expr_maybe() is abstract interpretation (P. and R. Cousot, 1977) over intervals and
 * known bits.
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
    /* A field that stands for either of two others ("port" for "client_port" and "server_port"):
     * a comparison with it holds when it holds for one of them. Never loaded itself. */
    const char *either[2];
};

struct kt_expr;

/* An expression that a name stands for (it must live as long as what is compiled), or NULL. */
typedef const struct kt_expr *kt_expr_named(void *ctx, const char *name, size_t len);

/* What an expression may speak of. All but the fields may be left zero. */
struct kt_expr_env {
    const struct kt_expr_field *fields;
    /* Byte patterns and values read from payload (bytes 16 03 .., text "GET ", b0, be16 at 4):
     * they read the text fields "payload" and, for peer.V, "peer.payload". */
    bool patterns;
    kt_expr_named *named;
    void *named_ctx;
    /* Where the text stands, for error messages: "FILE:LINE:COLUMN: …" in place of
     * "line LINE, column COLUMN: …". line and column count from 1. */
    const char *file;
    unsigned line, column;
};

/* Loads field number `field` (an index into the environment's table) of `object`. */
typedef void kt_expr_load(const void *object, unsigned field, struct kt_expr_value *value);

KT_MUST_USE int kt_expr_compile(struct kt_expr **expr, const char *text,
                                const struct kt_expr_env *env, struct kt_error *err);
bool kt_expr_true(const struct kt_expr *expr, kt_expr_load *load, const void *object);
void kt_expr_free(struct kt_expr *expr);

/* ---- for those who build an index over many expressions ------------------------------------ */

/* What is known of a value that is not known: a range, some bits, some bytes. */
struct kt_expr_part {
    int64_t lo, hi;        /* numbers: it lies in [lo, hi] … */
    uint64_t mask, bits;   /* … the bits in mask are those of `bits` … */
    const uint64_t *never; /* … and its bit in this map of 65536 is 0. NULL: nothing known */
    const uint8_t *bytes, *known; /* text: the bits in known[i] are those of bytes[i] … */
    uint32_t min, span;           /* … for i < span; the text has at least min bytes */
};

enum kt_expr_answer { KT_EXPR_NO, KT_EXPR_YES, KT_EXPR_MAYBE };

/* Loads what is known of a field; the part is set to "nothing is known" before the call. */
typedef void kt_expr_load_part(const void *object, unsigned field, struct kt_expr_part *part);

/* What the expression says of all objects that fit what is known: NO and YES are certain. */
enum kt_expr_answer kt_expr_maybe(const struct kt_expr *expr, kt_expr_load_part *load,
                                  const void *object);
/* Whether the expression reads a field; of a text field, which of its first 64 bytes. */
bool kt_expr_reads(const struct kt_expr *expr, unsigned field);
uint64_t kt_expr_reads_bytes(const struct kt_expr *expr, unsigned field);
/* Sets the bit of each number from which on a comparison with a constant may come out otherwise:
 * between two of them most expressions say the same. */
void kt_expr_edges(const struct kt_expr *expr, uint64_t map[1024]);
/* Sets the bit of each number below 65536 that the expression compares something with (of ranges
 * of up to 4096 numbers, all): what is in no expression need not be told apart. */
void kt_expr_numbers(const struct kt_expr *expr, uint64_t map[1024]);
/* Reads hex digit pairs, ".." (any byte) and quoted text from the start of `text`, up to `max`
 * bytes: values and masks (0 or 0xff). Returns how many, or a negative code; *end tells where it
 * stopped. The notation of byte patterns, for others to use. */
KT_MUST_USE int kt_expr_bytes(const char *text, uint8_t *value, uint8_t *mask, unsigned max,
                              const char **end, struct kt_error *err);

#endif
