/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The thread that unpacks ahead of its reader, in chunks that go round between the two.
 */
#include "io/reader.h"
#include <pthread.h>
#include <stdlib.h>

#define CHUNKS 4 /* a power of two */
#define CHUNK_SIZE (256u << 10)
#define PACKED_SIZE (128u << 10)

struct chunk {
    size_t len, at;
    int code; /* what follows these bytes: KT_OK more, KT_END, or a fault */
    struct kt_error err;
    uint8_t data[CHUNK_SIZE];
};

struct kt_unpack {
    struct kt_reader *reader;
    void *state; /* of the codec */
    /* the thread's: */
    size_t in_at, in_len;
    uint64_t taken; /* packed bytes consumed */
    bool between;   /* no member is begun */
    bool eof;
    uint8_t in[PACKED_SIZE];
    /* between both: */
    struct kt_ring *empty, *full;
    /* the reader's: */
    struct chunk *chunk;
    pthread_t thread;
    bool running;
};

/* More packed bytes behind those that are left. KT_OK also at the end, with eof set. */
static int fetch(struct kt_unpack *u, struct kt_error *err)
{
    memmove(u->in, u->in + u->in_at, u->in_len);
    u->in_at = 0;
    ssize_t n = kt_reader_raw(u->reader, u->in + u->in_len, sizeof u->in - u->in_len, err);
    if (n < 0)
        return (int)n;
    u->eof = n == 0;
    u->in_len += (size_t)n;
    return KT_OK;
}

static void take(struct kt_unpack *u, size_t n)
{
    u->in_at += n;
    u->in_len -= n;
    u->taken += n;
    kt_count_set(&u->reader->done, u->taken);
}

static int fault(struct kt_unpack *u, int code, const char *reason, struct kt_error *err)
{
    return kt_fail(err, code, u->taken, "%s: at packed byte %llu: %s", u->reader->name,
                   (unsigned long long)u->taken, reason);
}

/* Between members: zeros are padding, else the same codec must go on. */
static int begin_member(struct kt_unpack *u, struct kt_error *err)
{
    const struct kt_codec *codec = u->reader->codec;
    size_t zeros = 0;
    while (u->taken > 0 && zeros < u->in_len && u->in[u->in_at + zeros] == 0)
        zeros++;
    take(u, zeros);
    if (u->in_len < KT_CODEC_HEAD && !u->eof)
        return fetch(u, err);
    if (u->in_len == 0)
        return KT_END;
    if (!codec->probe(u->in + u->in_at, u->in_len))
        return kt_fail(err, KT_EFORMAT, u->taken,
                       "%s: at packed byte %llu: what follows the %s data is something else",
                       u->reader->name, (unsigned long long)u->taken, codec->name);
    u->between = false;
    return KT_OK;
}

static int step(struct kt_unpack *u, struct chunk *c, struct kt_error *err)
{
    const struct kt_codec *codec = u->reader->codec;
    struct kt_codec_io io = {.in = u->in + u->in_at,
                             .in_len = u->in_len,
                             .out = c->data + c->len,
                             .out_len = CHUNK_SIZE - c->len};
    int rc = codec->step(u->state, &io);
    size_t taken = u->in_len - io.in_len, made = CHUNK_SIZE - c->len - io.out_len;
    take(u, taken);
    c->len += made;
    if (rc < 0)
        return fault(u, rc, io.reason, err);
    u->between = rc == KT_END;
    if (rc == KT_OK && taken == 0 && made == 0) {
        if (u->eof)
            return kt_fail(err, KT_ETRUNCATED, u->taken,
                           "%s: at packed byte %llu: the file ends inside the %s data",
                           u->reader->name, (unsigned long long)u->taken, codec->name);
        if (u->in_len == sizeof u->in)
            return fault(u, KT_EFORMAT, "the packed data does not go on", err);
        return fetch(u, err);
    }
    return KT_OK;
}

/* Fills the chunk, or returns why it stays short. */
static int fill(struct kt_unpack *u, struct chunk *c, struct kt_error *err)
{
    int rc = KT_OK;
    while (rc == KT_OK && c->len < CHUNK_SIZE) {
        if (u->in_len == 0 && !u->eof) {
            if (!u->reader->regular && c->len > 0)
                break; /* more may be long in coming: hand on what is here */
            rc = fetch(u, err);
        } else {
            rc = u->between ? begin_member(u, err) : step(u, c, err);
        }
    }
    return rc;
}

static void *run(void *arg)
{
    struct kt_unpack *u = arg;
    void *item;
    int rc = KT_OK;
    while (rc == KT_OK && kt_ring_pop(u->empty, &item) == KT_OK) {
        struct chunk *c = item;
        c->len = c->at = 0;
        c->code = rc = fill(u, c, &c->err);
        if (kt_ring_push(u->full, c) != KT_OK) {
            free(c); /* nobody reads any more */
            break;
        }
    }
    return NULL;
}

ssize_t kt_unpack_read(struct kt_unpack *u, void *buf, size_t len, struct kt_error *err)
{
    for (;;) {
        struct chunk *c = u->chunk;
        if (c && c->at < c->len) {
            size_t n = c->len - c->at;
            n = n < len ? n : len;
            memcpy(buf, c->data + c->at, n);
            c->at += n;
            return (ssize_t)n;
        }
        if (c && c->code != KT_OK) {
            if (c->code < 0 && err)
                *err = c->err;
            return c->code == KT_END ? 0 : c->code;
        }
        if (c && kt_ring_push(u->empty, c) != KT_OK)
            return 0;
        u->chunk = NULL;
        void *item;
        if (kt_ring_pop(u->full, &item) != KT_OK)
            return 0;
        u->chunk = item;
    }
}

static int start(struct kt_unpack *u)
{
    u->state = u->reader->codec->open();
    if (!u->state || kt_ring_new(&u->empty, CHUNKS) < 0 || kt_ring_new(&u->full, CHUNKS) < 0)
        return KT_ENOMEM;
    for (unsigned i = 0; i < CHUNKS; i++) {
        struct chunk *c = malloc(sizeof *c);
        if (!c || kt_ring_try_push(u->empty, c) != KT_OK) {
            free(c);
            return KT_ENOMEM;
        }
    }
    u->running = pthread_create(&u->thread, NULL, run, u) == 0;
    return u->running ? KT_OK : KT_ENOMEM;
}

int kt_unpack_start(struct kt_unpack **unpack, struct kt_reader *r, struct kt_error *err)
{
    struct kt_unpack *u = malloc(sizeof *u);
    if (u) {
        memset(u, 0, offsetof(struct kt_unpack, in));
        memset(&u->empty, 0, sizeof *u - offsetof(struct kt_unpack, empty));
        u->reader = r;
        u->between = true;
        if (start(u) == KT_OK) {
            *unpack = u;
            return KT_OK;
        }
        kt_unpack_stop(u);
    }
    return kt_fail(err, KT_ENOMEM, 0, "%s: no memory to unpack it", r->name);
}

static void drop_ring(struct kt_ring *ring)
{
    void *item;
    while (ring && kt_ring_try_pop(ring, &item) == KT_OK)
        free(item);
    kt_ring_free(ring);
}

void kt_unpack_stop(struct kt_unpack *u)
{
    if (!u)
        return;
    if (u->running) {
        kt_ring_close(u->empty);
        kt_ring_close(u->full);
        pthread_join(u->thread, NULL);
    }
    free(u->chunk);
    drop_ring(u->empty);
    drop_ring(u->full);
    if (u->state)
        u->reader->codec->close(u->state);
    free(u);
}
