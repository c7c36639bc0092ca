/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "assets.h"
#include "internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- readers ---- */

int kt_web_reader_get(struct kt_web *w, struct kt_store **st, struct kt_error *err)
{
    pthread_mutex_lock(&w->lock);
    *st = w->readers ? w->reader[--w->readers] : NULL;
    pthread_mutex_unlock(&w->lock);
    return *st ? KT_OK : kt_store_open(st, w->store_path, KT_STORE_READ, err);
}

void kt_web_reader_put(struct kt_web *w, struct kt_store *st)
{
    pthread_mutex_lock(&w->lock);
    bool kept = w->readers < READERS;
    if (kept)
        w->reader[w->readers++] = st;
    pthread_mutex_unlock(&w->lock);
    if (!kept)
        kt_store_close(st);
}

/* ---- answering ---- */

static bool takes_gzip(const struct kt_http_request *ask)
{
    const char *at = strcasestr(ask->accept_encoding, "gzip");
    double q = 1;
    if (at)
        sscanf(at + 4, " ; q = %lf", &q);
    return at && q > 0;
}

static bool knows(const struct kt_http_request *ask, const char *etag)
{
    return strcmp(ask->if_none_match, "*") == 0 || strstr(ask->if_none_match, etag);
}

static void asset(struct kt_web_conn *c, const struct kt_http_request *ask)
{
    const char *path = strcmp(ask->path, "/") == 0 ? "/index.html" : ask->path;
    const struct kt_asset *a = NULL;
    for (size_t i = 0; i < kt_asset_count && !a; i++)
        if (strcmp(kt_assets[i].path, path) == 0)
            a = &kt_assets[i];
    if (!a) {
        kt_web_refuse(c, 404, "not-found", "there is nothing at this path");
        return;
    }
    bool same = knows(ask, a->etag), gz = a->gz && takes_gzip(ask);
    char headers[512];
    int n = snprintf(headers, sizeof headers,
                     "ETag: %s\r\nCache-Control: no-cache\r\nVary: Accept-Encoding\r\n", a->etag);
    if (!same)
        snprintf(headers + n, sizeof headers - (size_t)n, "Content-Type: %s\r\n%s", a->type,
                 gz ? "Content-Encoding: gzip\r\n" : "");
    kt_web_reply(c, same ? 304 : 200, headers, gz ? a->gz : a->data,
                 same ? 0
                 : gz ? a->gz_len
                      : a->len,
                 NULL);
}

/* Without the store, so at once, however much is asked of that. */
static void status(struct kt_web_conn *c, struct kt_web *w)
{
    struct kt_buf out = {0};
    kt_web_status_json(w, &out);
    kt_web_reply_json(c, 200, &out);
}

void kt_web_answer(struct kt_web *w, struct kt_web_conn *c, const struct kt_http_request *ask)
{
    const char *api = strncmp(ask->path, KT_WEB_API, strlen(KT_WEB_API)) == 0
                          ? ask->path + strlen(KT_WEB_API)
                          : NULL;
    if (!kt_web_host_ours(ask->host))
        kt_web_refuse(c, 403, "host", "ask by address or as localhost");
    else if (!api)
        asset(c, ask);
    else if (strcmp(api, "stream") == 0)
        kt_web_listen(c);
    else if (strcmp(api, "status") == 0)
        status(c, w);
    else
        kt_web_query(c);
}

/* ---- listening ---- */

static int open_socket(struct kt_web *w, struct kt_error *err)
{
    struct kt_web_address a;
    if (!kt_web_listen_parse(w->opt.listen, &a))
        return kt_fail(
            err, KT_EINVAL, 0,
            "%s: an address to listen on looks like 127.0.0.1:8470 or [::1]:8470, with a port "
            "up to 65535",
            w->opt.listen);
    int one = 1;
    int *fd = &w->listen_fd;
    *fd = socket(a.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0 || setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(*fd, (struct sockaddr *)&a.sa, a.len) < 0 || listen(*fd, SOMAXCONN) < 0 ||
        getsockname(*fd, (struct sockaddr *)&a.sa, &a.len) < 0) {
        return kt_fail_errno(err, errno, "%s: can't listen there", w->opt.listen);
    }
    char host[INET6_ADDRSTRLEN];
    if (a.sa.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&a.sa;
        snprintf(w->url, sizeof w->url, "http://[%s]:%u/",
                 inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host), ntohs(in->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&a.sa;
        snprintf(w->url, sizeof w->url, "http://%s:%u/",
                 inet_ntop(AF_INET, &in->sin_addr, host, sizeof host), ntohs(in->sin_port));
    }
    return KT_OK;
}

static int start(struct kt_web *w, struct kt_error *err)
{
    struct kt_store *st;
    int rc = kt_web_reader_get(w, &st, err); /* a store that can't be read is told now */
    if (rc < 0)
        return rc;
    kt_web_reader_put(w, st);
    if ((rc = open_socket(w, err)) < 0)
        return rc;
    if ((rc = kt_web_conns_start(w)) < 0 || (rc = kt_web_jobs_start(w)) < 0 ||
        (rc = kt_web_stream_start(w)) < 0)
        return kt_fail(err, rc, 0, "no threads for the HTTP server");
    return KT_OK;
}

int kt_web_start(struct kt_web **web, const struct kt_web_options *opt, struct kt_error *err)
{
    *web = NULL;
    struct kt_web *w = calloc(1, sizeof *w);
    if (!w || !(w->store_path = strdup(opt->store_path))) {
        free(w);
        return kt_fail(err, KT_ENOMEM, 0, "no memory for the HTTP server");
    }
    w->opt = *opt;
    w->patience = opt->patience > 0 ? opt->patience : 10 * KT_SECOND;
    w->epoll = w->wake_fd = w->listen_fd = -1;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    pthread_cond_init(&w->work, NULL);
    int rc = start(w, err);
    if (rc < 0) {
        kt_web_stop(w);
        return rc;
    }
    *web = w;
    return KT_OK;
}

const char *kt_web_url(const struct kt_web *w)
{
    return w->url;
}

void kt_web_stop(struct kt_web *w)
{
    if (!w)
        return;
    kt_flag_set(&w->closing);
    kt_web_stream_stop(w);
    kt_web_jobs_stop(w);
    kt_web_conns_stop(w);
    while (w->readers)
        kt_store_close(w->reader[--w->readers]);
    kt_buf_free(&w->last_status);
    kt_buf_free(&w->last_events);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    pthread_cond_destroy(&w->work);
    free(w->store_path);
    free(w);
}
