/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The files of the page, as scripts/embed turned them into C. Read-only and valid for ever.
 */
#ifndef KOTARE_WEB_ASSETS_H
#define KOTARE_WEB_ASSETS_H

#include <stddef.h>

struct kt_asset {
    const char *path; /* "/app.js"; the start page is "/index.html" and stands first */
    const char *type; /* "text/javascript; charset=utf-8" */
    const char *etag; /* with its quotes, from the content */
    const unsigned char *data;
    size_t len;
    const unsigned char
        *gz; /* the same with Content-Encoding: gzip, or NULL where that is no gain */
    size_t gz_len;
};

extern const struct kt_asset kt_assets[];
extern const size_t kt_asset_count;

/* The page needs nothing else, so the header names it exactly. */
#define KT_PAGE_CSP                                                                                \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "              \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

#endif
