/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What a request gets: an answer, a query, or a place among the listeners. */
#include "assets.h"
#include "conn.h"
#include <stdio.h>
#include <time.h>

#define HELD_MAX ((size_t)256 << 20) /* answers that wait to be taken */

static const char *reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } all[] = {{200, "OK"},
               {304, "Not Modified"},
               {400, "Bad Request"},
               {403, "Forbidden"},
               {404, "Not Found"},
               {405, "Method Not Allowed"},
               {408, "Request Timeout"},
               {413, "Content Too Large"},
               {414, "URI Too Long"},
               {431, "Request Header Fields Too Large"},
               {503, "Service Unavailable"},
               {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < KT_ARRAY_LEN(all); i++)
        if (all[i].status == status)
            return all[i].reason;
    return "Internal Server Error";
}

static void put_head(struct kt_web_conn *c, unsigned status, const char *headers)
{
    char date[64];
    time_t now = time(NULL);
    struct tm tm;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    kt_buf_clear(&c->head);
    kt_buf_printf(&c->head,
                  "HTTP/1.1 %u %s\r\nDate: %s\r\nConnection: %s\r\n"
                  "Content-Security-Policy: " KT_PAGE_CSP "\r\nX-Content-Type-Options: nosniff\r\n"
                  "Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n%s",
                  status, reason(status), date, c->keep ? "keep-alive" : "close", headers);
}

void kt_web_reply(struct kt_web_conn *c, unsigned status, const char *headers, const void *body,
                  size_t len, struct kt_buf *own)
{
    struct kt_web *w = c->web;
    c->keep = c->ask.keep && !kt_flag_get(&w->closing);
    put_head(c, status, headers);
    kt_buf_printf(&c->head, "Content-Length: %zu\r\n\r\n", len);
    c->body = body;
    c->body_len = c->ask.head_only ? 0 : len;
    if (own) {
        c->own = *own;
        *own = (struct kt_buf){0};
        w->held += c->own.len;
    }
    kt_conn_enter(c, ANSWER);
    for (struct kt_web_conn *v;
         w->held > HELD_MAX && (v = kt_conn_yielding(w, IN(ANSWER))) && v != c;)
        kt_conn_drop(v);
}

void kt_web_reply_json(struct kt_web_conn *c, unsigned status, struct kt_buf *json)
{
    const char *more = status == 405   ? "Allow: GET, HEAD\r\n"
                       : status == 503 ? "Retry-After: 1\r\n"
                                       : "";
    if (json->failed || !json->data) {
        kt_buf_free(json);
        c->ask.keep = false;
        kt_web_reply(c, 500, "", NULL, 0, NULL);
        return;
    }
    char headers[128];
    snprintf(headers, sizeof headers,
             "Content-Type: application/json\r\nCache-Control: no-store\r\n%s", more);
    kt_web_reply(c, status, headers, json->data, json->len, json);
}

void kt_web_refuse(struct kt_web_conn *c, unsigned status, const char *code, const char *sentence)
{
    struct kt_buf json = {0};
    kt_web_error_json(&json, code, sentence);
    kt_web_reply_json(c, status, &json);
}

void kt_web_query(struct kt_web_conn *c)
{
    struct kt_web *w = c->web;
    if (kt_flag_get(&w->closing)) {
        kt_web_refuse(c, 503, "stopping", "the program is ending");
        return;
    }
    c->job = (struct kt_web_job){.conn = c, .ask = &c->ask, .until = kt_monotonic() + w->patience};
    memcpy(c->job.peer, c->peer, sizeof c->peer);
    kt_conn_enter(c, QUERY);
    c->busy = true;
    struct kt_web_job *without = kt_web_job_add(w, &c->job);
    if (!without)
        return;
    without->conn->busy = false;
    kt_web_refuse(without->conn, 503, "busy", "too many queries wait for an answer");
    kt_conn_settle(without->conn);
}

void kt_web_listen(struct kt_web_conn *c)
{
    struct kt_web *w = c->web;
    struct kt_web_conn *v = NULL;
    if (w->stream_count == LISTENERS && (v = kt_conn_yielding(w, IN(LISTENING))))
        kt_conn_drop(v);
    c->keep = false;
    put_head(c, 200,
             "Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-store\r\n");
    kt_buf_str(&c->head, "\r\n");
    if (c->ask.head_only) {
        kt_conn_enter(c, ANSWER);
        return;
    }
    kt_conn_enter(c, LISTENING);
    c->told = (struct kt_web_told){0};
    kt_web_stream_first(w, &c->told, &c->head);
    kt_conn_listeners(w, 1);
}
