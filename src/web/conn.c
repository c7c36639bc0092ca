/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The connections, all on one thread with one epoll. Nobody keeps a place for nothing: each state
 * has a deadline, and when all places are taken, the peer that has the most gives one up. */
#include "assets.h"
#include "internal.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define HELD_MAX ((size_t)256 << 20) /* answers that wait to be taken */
#define PIECE ((size_t)65536)        /* of an answer, that is taken within the patience */
#define SEND_BUFFER (256 << 10)      /* the kernel's, for each connection; it would take 4 MiB */
#define DISCARD ((size_t)1 << 20)    /* what is read and not looked at before closing */
#define QUIET (15 * KT_SECOND)       /* a listener hears something at least so often */

enum state { IDLE, HEAD, QUERY, ANSWER, LISTENING, LINGER };
#define IN(state) (1U << (state))

struct kt_web_conn {
    struct kt_web *web;
    struct kt_web_conn *next, *next_dead;
    int fd; /* -1: closed */
    enum state state;
    uint32_t events;      /* that epoll looks for */
    int64_t since, moved; /* in this state; when output was taken last */
    uint8_t peer[16];
    /* in */
    char in[KT_HTTP_HEAD];
    size_t in_len, scanned, head_len;
    struct kt_http_request ask;
    struct kt_web_job job;
    bool busy; /* the job is with jobs.c */
    /* out: a head, or what a listener is told; then a body, that is `own` or outlives it */
    struct kt_buf head, own;
    const char *body;
    size_t body_len, sent, taken, discarded;
    bool keep;
    struct kt_web_told told;
};

static bool same_peer(const struct kt_web_conn *a, const struct kt_web_conn *b)
{
    return memcmp(a->peer, b->peer, sizeof a->peer) == 0;
}

static void enter(struct kt_web_conn *c, enum state state)
{
    c->state = state;
    c->since = c->moved = kt_monotonic();
}

/* What the state waits for. */
static void settle(struct kt_web_conn *c)
{
    static const uint32_t wants[] = {
        [IDLE] = EPOLLIN,    [HEAD] = EPOLLIN,         [QUERY] = EPOLLRDHUP,
        [ANSWER] = EPOLLOUT, [LISTENING] = EPOLLRDHUP, [LINGER] = EPOLLIN};
    if (c->fd < 0)
        return;
    uint32_t events = wants[c->state];
    if (c->state == QUERY && kt_flag_get(&c->job.left))
        events = 0; /* that was told */
    if (c->state == LISTENING && c->head.len)
        events |= EPOLLOUT;
    if (events == c->events)
        return;
    c->events = events;
    epoll_ctl(c->web->epoll, EPOLL_CTL_MOD, c->fd,
              &(struct epoll_event){.events = events, .data.ptr = c});
}

static void listeners(struct kt_web *w, int more)
{
    w->stream_count += (unsigned)more;
    kt_web_stream_count(w, w->stream_count);
}

static void let_go(struct kt_web_conn *c)
{
    c->web->held -= c->own.len;
    kt_buf_free(&c->own);
    kt_buf_clear(&c->head);
    c->body = NULL;
    c->body_len = c->sent = c->taken = 0;
}

static void bury(struct kt_web_conn *c)
{
    c->next_dead = c->web->dead;
    c->web->dead = c;
}

/* Closes it. The memory, and its `next`, stay until nobody can know of it any more. */
static void drop(struct kt_web_conn *c)
{
    struct kt_web *w = c->web;
    if (c->fd < 0)
        return;
    if (c->head.len) /* what is not taken is not kept in the kernel either */
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    /* A child that was forked meanwhile may hold it open for a moment. */
    epoll_ctl(w->epoll, EPOLL_CTL_DEL, c->fd, NULL);
    close(c->fd);
    c->fd = -1;
    for (struct kt_web_conn **at = &w->conns; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    w->conn_count--;
    if (c->state == LISTENING)
        listeners(w, -1);
    let_go(c);
    kt_buf_free(&c->head);
    if (c->busy && kt_web_job_cancel(w, &c->job))
        c->busy = false;
    if (!c->busy)
        bury(c);
}

/* Who gives way: of the peer with the most connections in these states (a bit each), the one that
 * has been in its own for longest. */
static struct kt_web_conn *yielding(struct kt_web *w, unsigned states)
{
    struct kt_web_conn *found = NULL;
    unsigned most = 0;
    for (struct kt_web_conn *c = w->conns; c; c = c->next) {
        if (!(states & IN(c->state)) || (found && same_peer(found, c)))
            continue;
        struct kt_web_conn *oldest = c;
        unsigned n = 0;
        for (struct kt_web_conn *d = c; d; d = d->next)
            if (states & IN(d->state) && same_peer(c, d)) {
                oldest = d->since <= oldest->since ? d : oldest;
                n++;
            }
        if (n > most || (n == most && oldest->since < found->since)) {
            most = n;
            found = oldest;
        }
    }
    return found;
}

/* ---- answers ---- */

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
    enter(c, ANSWER);
    for (struct kt_web_conn *v; w->held > HELD_MAX && (v = yielding(w, IN(ANSWER))) && v != c;)
        drop(v);
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
    enter(c, QUERY);
    c->busy = true;
    struct kt_web_job *without = kt_web_job_add(w, &c->job);
    if (!without)
        return;
    without->conn->busy = false;
    kt_web_refuse(without->conn, 503, "busy", "too many queries wait for an answer");
    settle(without->conn);
}

void kt_web_listen(struct kt_web_conn *c)
{
    struct kt_web *w = c->web;
    struct kt_web_conn *v = NULL;
    if (w->stream_count == LISTENERS && (v = yielding(w, IN(LISTENING))))
        drop(v);
    c->keep = false;
    put_head(c, 200,
             "Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-store\r\n");
    kt_buf_str(&c->head, "\r\n");
    if (c->ask.head_only) {
        enter(c, ANSWER);
        return;
    }
    enter(c, LISTENING);
    c->told = (struct kt_web_told){0};
    kt_web_stream_first(w, &c->told, &c->head);
    listeners(w, 1);
}

/* ---- in and out ---- */

/* The next request, when all of its head is there. */
static bool next_head(struct kt_web_conn *c)
{
    size_t empty = 0; /* lines before a request (RFC 9112, 2.2) */
    while (!c->scanned && empty < c->in_len && (c->in[empty] == '\r' || c->in[empty] == '\n'))
        empty++;
    c->in_len -= empty;
    memmove(c->in, c->in + empty, c->in_len);
    c->head_len = kt_http_head(c->in, c->in_len, &c->scanned);
    if (c->head_len) {
        if (kt_http_parse(&c->ask, c->in, c->head_len))
            kt_web_answer(c->web, c, &c->ask);
        else
            kt_web_refuse(c, c->ask.status, c->ask.code, c->ask.sentence);
        return true;
    }
    if (c->in_len < sizeof c->in)
        return false;
    bool uri = !memchr(c->in, '\n', c->in_len);
    c->ask = (struct kt_http_request){0};
    c->head_len = c->in_len;
    kt_web_refuse(c, uri ? 414 : 431, "too-long",
                  "the head of a request has at most 16384 bytes here");
    return true;
}

/* An answer is through. */
static void finish(struct kt_web_conn *c)
{
    let_go(c);
    if (!c->keep) {
        shutdown(c->fd, SHUT_WR); /* closing now, with input unread, would tear the answer up */
        c->discarded = 0;
        enter(c, LINGER);
        return;
    }
    c->in_len -= c->head_len;
    memmove(c->in, c->in + c->head_len, c->in_len);
    c->head_len = c->scanned = 0;
    enter(c, c->in_len ? HEAD : IDLE);
}

/* False: it has to wait, or it is closed. */
static bool put_out(struct kt_web_conn *c)
{
    if (c->head.failed) {
        drop(c);
        return false;
    }
    while (c->sent < c->head.len + c->body_len) {
        size_t in_body = c->sent > c->head.len ? c->sent - c->head.len : 0;
        size_t in_head = c->sent - in_body;
        struct iovec part[2] = {
            {.iov_base = c->head.data + in_head, .iov_len = c->head.len - in_head}};
        struct msghdr msg = {.msg_iov = part, .msg_iovlen = 1};
        if (c->body_len)
            part[msg.msg_iovlen++] =
                (struct iovec){.iov_base = (void *)(uintptr_t)(c->body + in_body),
                               .iov_len = c->body_len - in_body};
        ssize_t n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            if (errno != EAGAIN)
                drop(c);
            return false;
        }
        c->sent += (size_t)n;
        c->taken += (size_t)n;
        if (c->taken >= PIECE) {
            c->moved = kt_monotonic();
            c->taken = 0;
        }
    }
    return true;
}

/* Goes on as far as it goes without waiting. */
static void pump(struct kt_web_conn *c)
{
    for (bool more = true; more && c->fd >= 0;) {
        switch (c->state) {
        case IDLE:
        case HEAD:
            more = next_head(c);
            break;
        case ANSWER:
            if ((more = put_out(c)))
                finish(c);
            break;
        case LISTENING:
            if (c->head.len) {
                if ((more = put_out(c)))
                    let_go(c);
                break;
            }
            kt_web_stream_next(c->web, &c->told, &c->head);
            if ((more = c->head.len))
                c->moved = kt_monotonic();
            break;
        default:
            more = false;
        }
    }
    settle(c);
}

static void take_in(struct kt_web_conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_len, sizeof c->in - c->in_len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(c);
        return;
    }
    c->in_len += (size_t)n;
    if (c->state == IDLE)
        enter(c, HEAD);
    pump(c);
}

static void discard(struct kt_web_conn *c)
{
    char some[16384];
    ssize_t n = recv(c->fd, some, sizeof some, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    c->discarded += n > 0 ? (size_t)n : 0;
    if (n <= 0 || c->discarded > DISCARD)
        drop(c);
}

static void serve(struct kt_web_conn *c, uint32_t events)
{
    if (c->fd < 0)
        return;
    switch (c->state) {
    case IDLE:
    case HEAD:
        take_in(c);
        break;
    case QUERY:
        if (events & (EPOLLHUP | EPOLLERR)) {
            drop(c);
        } else if (kt_web_job_cancel(c->web, &c->job)) {
            c->busy = false;
            kt_web_refuse(c, 400, "left", "the connection was closed before there was an answer");
            pump(c);
        } else {
            settle(c);
        }
        break;
    case LISTENING:
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            drop(c);
        else
            pump(c);
        break;
    case ANSWER:
        pump(c);
        break;
    case LINGER:
        discard(c);
    }
}

/* ---- coming ---- */

/* Those who share a network of IPv6 are one: each of them has as many addresses as it likes. */
static void peer_of(const struct sockaddr_storage *sa, uint8_t peer[16])
{
    memset(peer, 0, 16);
    if (sa->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)sa;
        bool v4 = IN6_IS_ADDR_V4MAPPED(&in->sin6_addr);
        memcpy(peer, &in->sin6_addr, v4 ? 16 : 8);
        peer[15] |= (uint8_t)(!v4 && IN6_IS_ADDR_LOOPBACK(&in->sin6_addr));
    } else {
        memset(peer + 10, 0xff, 2);
        memcpy(peer + 12, &((const struct sockaddr_in *)sa)->sin_addr, 4);
    }
}

static void add(struct kt_web *w, int fd, const struct sockaddr_storage *sa)
{
    struct kt_web_conn *c = calloc(1, sizeof *c);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (!c || epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
        free(c);
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){SEND_BUFFER}, sizeof(int));
    c->web = w;
    c->fd = fd;
    c->events = EPOLLIN;
    peer_of(sa, c->peer);
    enter(c, IDLE);
    c->next = w->conns;
    w->conns = c;
    w->conn_count++;
}

static void make_room(struct kt_web *w)
{
    struct kt_web_conn *v = yielding(w, IN(IDLE) | IN(HEAD) | IN(LINGER));
    if (v || (v = yielding(w, IN(ANSWER))))
        drop(v);
}

static void hear(struct kt_web *w, bool on)
{
    w->deaf = !on;
    epoll_ctl(w->epoll, EPOLL_CTL_MOD, w->listen_fd,
              &(struct epoll_event){.events = on ? EPOLLIN : 0, .data.ptr = &w->listen_fd});
}

static void come_in(struct kt_web *w)
{
    for (unsigned i = 0; i < 64; i++) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        int fd = accept4(w->listen_fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            if (w->conn_count >= CONNECTIONS)
                make_room(w);
            add(w, fd, &sa);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            make_room(w);
            hear(w, false);
        }
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

/* ---- deadlines ---- */

static void check(struct kt_web_conn *c, int64_t now)
{
    int64_t patience = c->web->patience;
    switch (c->state) {
    case IDLE:
        if (now - c->since > 3 * patience)
            drop(c);
        break;
    case HEAD:
        if (now - c->since <= patience)
            break;
        c->ask = (struct kt_http_request){0};
        kt_web_refuse(c, 408, "slow", "the head of the request took too long");
        pump(c);
        break;
    case ANSWER:
        if (now - c->moved > patience)
            drop(c);
        break;
    case LISTENING:
        if (c->head.len) {
            if (now - c->moved > patience)
                drop(c);
        } else if (now - c->moved >= QUIET) {
            kt_buf_str(&c->head, ": still here\n\n");
            c->moved = now;
            pump(c);
        }
        break;
    case LINGER:
        if (now - c->since > patience / 5)
            drop(c);
        break;
    case QUERY: /* jobs.c looks after it */
        break;
    }
}

static void sweep(struct kt_web *w, int64_t now)
{
    w->swept = now;
    if (w->deaf)
        hear(w, true);
    for (struct kt_web_conn *c = w->conns; c; c = c->next)
        if (c->fd >= 0)
            check(c, now);
}

/* ---- the loop ---- */

static void answer_jobs(struct kt_web *w)
{
    for (struct kt_web_job *job; (job = kt_web_job_done(w));) {
        struct kt_web_conn *c = job->conn;
        c->busy = false;
        if (c->fd < 0) {
            kt_buf_free(&job->out);
            bury(c);
            continue;
        }
        kt_web_reply_json(c, job->status, &job->out);
        pump(c);
    }
}

static void tell_listeners(struct kt_web *w)
{
    for (struct kt_web_conn *c = w->conns; c; c = c->next)
        if (c->state == LISTENING)
            pump(c);
}

static void free_dead(struct kt_web *w)
{
    for (struct kt_web_conn *c; (c = w->dead);) {
        w->dead = c->next_dead;
        free(c);
    }
}

/* What is asked and not answered is told so; nobody is waited for. */
static void say_goodbye(struct kt_web *w)
{
    answer_jobs(w);
    while (w->conns) {
        struct kt_web_conn *c = w->conns;
        if (c->busy && kt_web_job_cancel(w, &c->job)) {
            c->busy = false;
            kt_web_refuse(c, 503, "stopping", "the program is ending");
            put_out(c);
        }
        if (c->sent == c->head.len + c->body_len)
            kt_buf_clear(&c->head); /* all is said: no reset */
        drop(c);
    }
    free_dead(w);
}

static void *loop(void *arg)
{
    struct kt_web *w = arg;
    int64_t tick = w->patience / 20 < KT_SECOND / 2 ? w->patience / 20 : KT_SECOND / 2;
    while (!kt_flag_get(&w->ended)) {
        struct epoll_event ev[64];
        int ms = w->conns || w->deaf ? (int)(tick / 1000000) + 1 : -1;
        int n = epoll_wait(w->epoll, ev, KT_ARRAY_LEN(ev), ms);
        for (int i = 0; i < n; i++) {
            uint64_t count;
            if (ev[i].data.ptr == &w->listen_fd) {
                come_in(w);
            } else if (ev[i].data.ptr != &w->wake_fd) {
                serve(ev[i].data.ptr, ev[i].events);
            } else if (read(w->wake_fd, &count, sizeof count) > 0) {
                answer_jobs(w);
                tell_listeners(w);
            }
        }
        int64_t now = kt_monotonic();
        if (now - w->swept >= tick)
            sweep(w, now);
        free_dead(w);
    }
    say_goodbye(w);
    return NULL;
}

void kt_web_wake(struct kt_web *w)
{
    if (w->wake_fd >= 0 && write(w->wake_fd, &(uint64_t){1}, sizeof(uint64_t)) < 0)
        return; /* it is awake */
}

int kt_web_conns_start(struct kt_web *w)
{
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = &w->listen_fd};
    struct epoll_event wake = {.events = EPOLLIN, .data.ptr = &w->wake_fd};
    w->looping = w->epoll >= 0 && w->wake_fd >= 0 &&
                 epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->listen_fd, &listening) == 0 &&
                 epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->wake_fd, &wake) == 0 &&
                 pthread_create(&w->loop, NULL, loop, w) == 0;
    return w->looping ? KT_OK : KT_ENOMEM;
}

void kt_web_conns_stop(struct kt_web *w)
{
    kt_flag_set(&w->ended);
    kt_web_wake(w);
    if (w->looping)
        pthread_join(w->loop, NULL);
    int *const fds[] = {&w->listen_fd, &w->wake_fd, &w->epoll};
    for (size_t i = 0; i < KT_ARRAY_LEN(fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}
