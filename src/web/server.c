/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "assets.h"
#include "internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <kotare/packet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS = 256, THREADS = 2, IDLE_SECONDS = 20, REQUEST_MEMORY = 32768 };

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

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status,
                              struct MHD_Response *response)
{
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Security-Policy", KT_PAGE_CSP);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    enum MHD_Result rc = MHD_queue_response(c, status, response);
    MHD_destroy_response(response);
    return rc;
}

static enum MHD_Result answer_json(struct MHD_Connection *c, unsigned status, struct kt_buf *out)
{
    if (out->failed || !out->data) {
        kt_buf_free(out);
        return MHD_NO;
    }
    struct MHD_Response *r =
        MHD_create_response_from_buffer(out->len, out->data, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        kt_buf_free(out);
        return MHD_NO;
    }
    MHD_add_response_header(r, "Content-Type", "application/json");
    MHD_add_response_header(r, "Cache-Control", "no-store");
    if (status == 405)
        MHD_add_response_header(r, "Allow", "GET, HEAD");
    return answer(c, status, r);
}

static enum MHD_Result refuse(struct MHD_Connection *c, unsigned status, const char *code,
                              const char *sentence)
{
    struct kt_buf out = {0};
    kt_buf_printf(&out, "{\"error\":\"%s\",\"code\":\"%s\"}", sentence, code);
    return answer_json(c, status, &out);
}

static const char *header_of(struct MHD_Connection *c, const char *name)
{
    const char *v = MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
    return v ? v : "";
}

static bool wants_gzip(struct MHD_Connection *c)
{
    const char *at = strcasestr(header_of(c, "Accept-Encoding"), "gzip");
    if (!at)
        return false;
    double q = 1;
    sscanf(at + 4, " ; q = %lf", &q);
    return q > 0;
}

static bool knows(struct MHD_Connection *c, const char *etag)
{
    const char *tags = header_of(c, "If-None-Match");
    return strcmp(tags, "*") == 0 || strstr(tags, etag);
}

static enum MHD_Result asset(struct MHD_Connection *c, const char *path)
{
    if (strcmp(path, "/") == 0)
        path = "/index.html";
    const struct kt_asset *a = NULL;
    for (size_t i = 0; i < kt_asset_count && !a; i++)
        if (strcmp(kt_assets[i].path, path) == 0)
            a = &kt_assets[i];
    if (!a)
        return refuse(c, 404, "not-found", "there is nothing at this path");
    bool same = knows(c, a->etag), gz = a->gz && wants_gzip(c);
    const unsigned char *data = gz ? a->gz : a->data;
    struct MHD_Response *r =
        MHD_create_response_from_buffer(same ? 0
                                        : gz ? a->gz_len
                                             : a->len,
                                        (void *)(uintptr_t)data, MHD_RESPMEM_PERSISTENT);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "ETag", a->etag);
    MHD_add_response_header(r, "Cache-Control", "no-cache");
    MHD_add_response_header(r, "Vary", "Accept-Encoding");
    if (!same) {
        MHD_add_response_header(r, "Content-Type", a->type);
        if (gz)
            MHD_add_response_header(r, "Content-Encoding", "gzip");
    }
    return answer(c, same ? 304 : 200, r);
}

static const char *param(void *ctx, const char *name)
{
    return MHD_lookup_connection_value(ctx, MHD_GET_ARGUMENT_KIND, name);
}

/* What can be said without the store. */
static enum MHD_Result answer_now(struct kt_web *w, struct MHD_Connection *c, const char *name)
{
    if (strcmp(name, "stream") == 0) {
        struct MHD_Response *r = kt_web_stream_open(w, c);
        if (!r)
            return refuse(c, 503, "busy", "too many pages are listening");
        MHD_add_response_header(r, "Cache-Control", "no-store");
        return answer(c, 200, r);
    }
    struct kt_buf out = {0};
    kt_web_status_json(w, &out);
    return answer_json(c, 200, &out);
}

/* Refuses what is refused whatever it asks for. */
static bool refused(struct MHD_Connection *c, const char *method, enum MHD_Result *rc)
{
    const char *length = header_of(c, "Content-Length");
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        *rc = refuse(c, 405, "method", "only GET and HEAD are served");
    else if (length[strspn(length, "0")] || *header_of(c, "Transfer-Encoding"))
        *rc = refuse(c, 413, "body", "a request has no body here");
    else if (!kt_web_host_ours(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host")))
        *rc = refuse(c, 403, "host", "ask by address or as localhost");
    else
        return false;
    return true;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state)
{
    static const char api[] = "/api/v1/";
    struct kt_web *w = cls;
    struct kt_web_job *job = *state;
    (void)version, (void)upload;
    if (!job) { /* the headers are here; answer when the request is whole */
        *state = job = calloc(1, sizeof *job);
        enum MHD_Result rc = job ? MHD_YES : MHD_NO;
        if (job)
            job->refused = refused(c, method, &rc);
        return rc;
    }
    if (job->refused)
        return MHD_YES;
    if (*upload_size) {
        *upload_size = 0;
        return MHD_YES;
    }
    if (job->asked && !job->done) /* woken for nothing */
        return MHD_YES;
    if (job->done) {
        if (!job->status)
            return refuse(c, 503, "stopping", "the program is ending");
        struct kt_buf out = job->out;
        job->out = (struct kt_buf){0};
        return answer_json(c, job->status, &out);
    }
    if (strncmp(url, api, sizeof api - 1) != 0)
        return asset(c, url);
    job->name = url + sizeof api - 1;
    if (strcmp(job->name, "stream") == 0 || strcmp(job->name, "status") == 0)
        return answer_now(w, c, job->name);
    job->conn = c;
    job->param = param;
    if (!kt_web_job_add(w, job))
        return refuse(c, 503, "stopping", "the program is ending");
    return MHD_YES;
}

static void over(void *cls, struct MHD_Connection *c, void **state,
                 enum MHD_RequestTerminationCode why)
{
    struct kt_web_job *job = *state;
    (void)cls, (void)c, (void)why;
    if (job)
        kt_buf_free(&job->out);
    free(job);
    *state = NULL;
}

/* ---- listening ---- */

static int open_socket(struct kt_web *w, int *fd, struct kt_error *err)
{
    struct kt_web_address a;
    if (!kt_web_listen_parse(w->opt.listen, &a))
        return kt_fail(
            err, KT_EINVAL, 0,
            "%s: an address to listen on looks like 127.0.0.1:8470 or [::1]:8470, with a port "
            "up to 65535",
            w->opt.listen);
    int one = 1;
    *fd = socket(a.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0 || setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(*fd, (struct sockaddr *)&a.sa, a.len) < 0 || listen(*fd, 64) < 0 ||
        getsockname(*fd, (struct sockaddr *)&a.sa, &a.len) < 0) {
        int e = errno;
        if (*fd >= 0)
            close(*fd);
        return kt_fail_errno(err, e, "%s: can't listen there", w->opt.listen);
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
    int fd = -1;
    int rc = kt_web_reader_get(w, &st, err); /* a store that can't be read is told now */
    if (rc < 0)
        return rc;
    kt_web_reader_put(w, st);
    rc = open_socket(w, &fd, err);
    if (rc < 0)
        return rc;
    if (kt_web_jobs_start(w) < 0) {
        close(fd);
        return kt_fail(err, KT_ENOMEM, 0, "no threads for the page's queries");
    }
    w->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
        handle, w, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MEMORY,
        MHD_OPTION_NOTIFY_COMPLETED, over, NULL, MHD_OPTION_END);
    if (!w->daemon) {
        close(fd);
        return kt_fail(err, KT_EIO, 0, "%s: the HTTP server can't start", w->opt.listen);
    }
    rc = kt_web_stream_start(w);
    return rc < 0 ? kt_fail(err, rc, 0, "no thread for the page's live updates") : KT_OK;
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
    kt_web_stream_stop(w);
    kt_web_jobs_stop(w);
    if (w->daemon)
        MHD_stop_daemon(w->daemon);
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
