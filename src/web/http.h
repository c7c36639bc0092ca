/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The head of an HTTP/1.1 request (RFC 9112): what is served are GET and HEAD without a body, and
 * all else is refused with a status and a sentence. Sources: RFC 3986 (percent-encoding), RFC 9110.
 */
#ifndef KOTARE_WEB_HTTP_H
#define KOTARE_WEB_HTTP_H

#include <kotare/base.h>

enum { KT_HTTP_HEAD = 16384, KT_HTTP_HEADERS = 100, KT_HTTP_PARAMS = 64 };

/* All text lies in the head that was parsed, decoded, without control characters but white space,
 * and in UTF-8. */
struct kt_http_request {
    bool head_only; /* HEAD: answered without the body */
    bool keep;      /* the connection stays */
    const char *path;
    struct {
        const char *name, *value;
    } param[KT_HTTP_PARAMS];
    unsigned params;
    const char *host, *accept_encoding, *if_none_match; /* "": not given; host NULL */
    /* of a request that is refused */
    unsigned status;
    const char *code;
    char sentence[128];
};

/* How many bytes of what came are the head, with the empty line that ends it; 0: it goes on.
 * *scanned, 0 at first, remembers how far it was looked at. */
size_t kt_http_head(const char *bytes, size_t len, size_t *scanned);
/* Reads a whole head, in place. False: it is refused, for `status`, `code` and `sentence`. */
bool kt_http_parse(struct kt_http_request *r, char *head, size_t len);
/* The first value of that name, NULL: not given. */
const char *kt_http_param(const struct kt_http_request *r, const char *name);

#endif
