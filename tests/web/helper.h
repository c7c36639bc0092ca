/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * A server over a small store of its own, and a client that sends exactly what it is told to.
 */
#ifndef TESTS_WEB_HELPER_H
#define TESTS_WEB_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <kotare/web.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const int64_t begin = INT64_C(1700000000) * KT_SECOND;

struct fixture {
    struct kt_store *store;
    struct kt_web *web;
    pthread_mutex_t lock;
    struct kt_web_status status;
    unsigned port;
};

#define MUST(call)                                                                                 \
    do {                                                                                           \
        struct kt_error why_ = {0};                                                                \
        struct kt_error *why = &why_;                                                              \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s", #call, why->text);                                                  \
    } while (0)

static inline struct kt_flow_label label_of(void *ctx, unsigned label)
{
    (void)ctx;
    static const struct kt_flow_label text[] = {{"DNS", "services", "dns-udp"},
                                                {"T\"LS", "web", "tls"}};
    return text[label % 2];
}

static inline void give_status(void *ctx, struct kt_web_status *s)
{
    struct fixture *f = ctx;
    pthread_mutex_lock(&f->lock);
    *s = f->status;
    pthread_mutex_unlock(&f->lock);
}

/* A minute of points; second 30 is a gap, the round trip is measured every other second. */
static inline void fill_points(struct kt_store *st)
{
    static const struct {
        struct kt_stream stream;
        int64_t value[KT_VALUES];
    } all[] = {
        {{KT_STREAM_TOTAL, ""}, {300, 180, 60}},
        {{KT_STREAM_APP, "DNS"}, {100, 60, 20}},
        {{KT_STREAM_APP, "T\"LS"}, {200, 120, 40}},
        {{KT_STREAM_CATEGORY, "services"}, {100, 60, 20}},
        {{KT_STREAM_CATEGORY, "web"}, {200, 120, 40}},
        {{KT_STREAM_HEALTH, "rtt"}, {500, 4, 1}},
        {{KT_STREAM_HEALTH, "refused"}, {3, 4, 0}},
    };
    MUST(kt_store_put_meta(st, "interval_ns", "1000000000", why));
    for (unsigned t = 0; t < 60; t++)
        for (unsigned i = 0; i < KT_ARRAY_LEN(all); i++) {
            struct kt_point p = {.ts = begin + t * KT_SECOND};
            memcpy(p.value, all[i].value, sizeof p.value);
            MUST(kt_store_stream(st, &all[i].stream, &p.stream, why));
            if (t != 30 && (t % 2 || strcmp(all[i].stream.name, "rtt") != 0))
                MUST(kt_store_add_points(st, &p, 1, why));
        }
}

static inline void fill_flows(struct kt_store *st, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct kt_flow_record r = {
            .id = i,
            .first = begin + i * INT64_C(250000000),
            .last = begin + i * INT64_C(250000000) + 1000,
            .key = {.ip = 4,
                    .proto = 17,
                    .addr = {{10, 0, 0, (uint8_t)i}, {10, 0, 1, 1}},
                    .port = {(uint16_t)(40000 + i), 53},
                    .vlan = {(uint16_t)(i % 3)}},
            .packets = {1, 2},
            .bytes = {60, 100 + i},
            .seen.dir[0] = {.len = 3, .captured = 3, .head = {1, 0xfe, 3}},
            .verdict = {.label = (uint16_t)(i % 2), .confidence = 90},
            .end = KT_FLOW_IDLE,
            .flags = KT_FLOW_SYN | KT_FLOW_ANSWERED,
            .name_kind = KT_NAME_DNS,
            .name_len = 7,
            .name = "a.b\xff\"<c",
        };
        MUST(kt_store_add_flows(st, &r, 1, label_of, NULL, why));
    }
}

static inline int start_web_with(void **state, int64_t patience)
{
    struct fixture *f = calloc(1, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    f->status = (struct kt_web_status){.input = "day\"1.pcap", .packets = 7, .interval = KT_SECOND};
    MUST(kt_store_open(&f->store, NULL, KT_STORE_WRITE, why));
    fill_points(f->store);
    fill_flows(f->store, 200);
    struct kt_event e = {.began = begin + 5 * KT_SECOND,
                         .noticed = begin + 6 * KT_SECOND,
                         .kind = "surge",
                         .title = "DNS \"rose\""};
    MUST(kt_store_put_event(f->store, &e, why));
    MUST(kt_store_commit(f->store, why));
    struct kt_web_options opt = {.listen = "127.0.0.1:0",
                                 .store_path = kt_store_path(f->store),
                                 .status = give_status,
                                 .patience = patience,
                                 .ctx = f};
    MUST(kt_web_start(&f->web, &opt, why));
    assert_int_equal(sscanf(kt_web_url(f->web), "http://127.0.0.1:%u/", &f->port), 1);
    *state = f;
    return 0;
}

static inline int start_web(void **state)
{
    return start_web_with(state, 0);
}

/* One that waits for a second only. */
static inline int start_hasty_web(void **state)
{
    return start_web_with(state, KT_SECOND);
}

static inline int stop_web(void **state)
{
    struct fixture *f = *state;
    kt_web_stop(f->web);
    kt_store_close(f->store);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

/* As a peer of its own: 127.0.0.`peer`. */
static inline int dial_from(const struct fixture *f, unsigned peer)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->port)};
    struct sockaddr_in me = {.sin_family = AF_INET};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    me.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + peer);
    struct timeval patience = {10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(bind(fd, (struct sockaddr *)&me, sizeof me), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline int dial(const struct fixture *f)
{
    return dial_from(f, 1);
}

/* Reads until the server hangs up; false: it does not within 10 s. */
static inline bool hung_up(int fd)
{
    char some[4096];
    ssize_t n;
    while ((n = recv(fd, some, sizeof some, 0)) > 0)
        ;
    return n == 0 || errno == ECONNRESET;
}

/* Without reading. */
static inline bool connected(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return info.tcpi_state == TCP_ESTABLISHED;
}

struct reply {
    int status;
    char *head, *body; /* the header, and what follows it; NULL: nothing came */
    size_t len;        /* of the body */
    struct kt_buf raw;
};

/* Reads until the server closes; the connection is closed. */
static inline struct reply hear(int fd)
{
    struct reply r = {0};
    char part[8192];
    ssize_t n;
    while ((n = recv(fd, part, sizeof part, 0)) > 0)
        kt_buf_add(&r.raw, part, (size_t)n);
    close(fd);
    r.head = r.raw.data;
    char *end = r.head ? strstr(r.head, "\r\n\r\n") : NULL;
    if (end) {
        *end = '\0';
        r.body = end + 4;
        r.len = r.raw.len - (size_t)(r.body - r.raw.data);
        sscanf(r.head, "HTTP/1.%*d %d", &r.status);
    }
    return r;
}

/* Sends bytes as they are. */
static inline void say(int fd, const char *bytes, size_t len)
{
    ssize_t n;
    for (size_t at = 0; at < len; at += (size_t)n)
        if ((n = send(fd, bytes + at, len - at, MSG_NOSIGNAL)) <= 0)
            break;
}

static inline struct reply talk(const struct fixture *f, const char *bytes, size_t len)
{
    int fd = dial(f);
    say(fd, bytes, len);
    return hear(fd);
}

static inline struct reply ask(const struct fixture *f, const char *method, const char *path,
                               const char *headers)
{
    struct kt_buf b = {0};
    kt_buf_printf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n%s\r\n", method,
                  path, f->port, headers ? headers : "");
    struct reply r = talk(f, b.data, b.len);
    kt_buf_free(&b);
    return r;
}

static inline struct reply get(const struct fixture *f, const char *path)
{
    return ask(f, "GET", path, NULL);
}

static inline void drop(struct reply *r)
{
    kt_buf_free(&r->raw);
}

#endif
