/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * web: the HTTP API (docs/api.md) and the embedded page, over a store that this or another process
 * writes.
 *
 *     struct kt_web *web;
 *     kt_web_start(&web, &(struct kt_web_options){.listen = "127.0.0.1:8470",
 *                  .store_path = kt_store_path(st), .status = my_status, .ctx = me}, &err);
 *     puts(kt_web_url(web));
 *     … kt_web_changed(web); …             // after each commit: wakes the SSE subscribers
 *     kt_web_stop(web);
 *
 * Ownership: `listen` and `store_path` are copied or used before kt_web_start() returns; `ctx` and
 * what the callbacks read must outlive kt_web_stop().
 *
 * Thread rule: it has threads of its own and opens the store itself, so the program may go on
 * writing. Callbacks are called from those threads, several at once.
 *
 * Errors: only kt_web_start() can fail: KT_EINVAL for an address that is none, KT_EBUSY for one
 * that is taken, what the store says, KT_ENOMEM. Requests are answered with a status and a
 * sentence.
 *
 * Sources: HTTP, RFC 9110; server-sent events, the HTML standard of the WHATWG; Content Security
 * Policy Level 3.
 */
#ifndef KOTARE_WEB_H
#define KOTARE_WEB_H

#include <kotare/ident.h>
#include <kotare/store.h>

/* How the run stands, for /api/v1/status. Filled by the program, under its own lock. */
struct kt_web_status {
    char input[256];
    bool live, done;
    uint64_t bytes_done, bytes_total; /* of the input files */
    uint64_t packets, bytes, flows;
    uint64_t lost; /* packets known to be lost */
    uint64_t not_ip, malformed;
    int64_t first, last; /* of all that the store holds, earlier runs too: the first and the last
                            packet; live, what was watched without packets counts too */
    int64_t interval;
    unsigned earlier; /* runs that added to the store before this one */
    unsigned workers;
    char warning[2048]; /* sentences of faults and of what is odd in the inputs, a line each */
};

struct kt_web;

struct kt_web_options {
    const char *listen;     /* "ADDR:PORT", "[::1]:8470"; port 0: any */
    const char *store_path; /* opened for reading */
    void (*status)(void *ctx, struct kt_web_status *status); /* called from web's threads */
    /* For the categories of applications and for /rules; NULL: both are empty. Outlives
     * kt_web_stop(). */
    const struct kt_rules *rules;
    void *ctx;
    int64_t patience; /* how long a request may take to come, and a query to be answered; 0: 10 s */
};

KT_MUST_USE int kt_web_start(struct kt_web **web, const struct kt_web_options *opt,
                             struct kt_error *err);
/* "http://127.0.0.1:8470/" with the real port. */
const char *kt_web_url(const struct kt_web *web);
/* Something new was committed: tells subscribers. Any thread, never blocks. */
void kt_web_changed(struct kt_web *web);
void kt_web_stop(struct kt_web *web);

#endif
