/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * base: what every room stands on. Results and errors, bounds-checked bytes, growing text, JSON
 * output, hashing, memory that is freed at once, a ring between two threads, and time.
 *
 *     struct kt_error err = {0};
 *     if (do_something(&err) < 0)
 *         fprintf(stderr, "%s\n", err.text);
 *
 *     struct kt_buf out = {0};
 *     struct kt_json j = kt_json(&out);
 *     kt_json_open(&j, '{');
 *     kt_json_key(&j, "packets");
 *     kt_json_u64(&j, 5);
 *     kt_json_close(&j, '}');
 *     if (!out.failed)
 *         puts(out.data);                // {"packets":5}
 *     kt_buf_free(&out);
 *
 * Conventions of the whole house:
 *  - A function that can fail returns an int: KT_OK, KT_END (a state, not an error) or a negative
 *    KT_E… code, and fills the caller's struct kt_error (which may be NULL).
 *  - Ownership: what _open or _new makes, _close or _free ends, which do nothing for NULL. What the
 *    caller zero-initialises (struct kt_buf, kt_arena, kt_error) stays the caller's.
 *  - Time is int64_t nanoseconds since 1970 UTC. Sizes are bytes.
 *  - Nothing here prints, exits or keeps a global.
 *
 * Thread rule: a value belongs to one thread at a time. Those made for two or more say so: a ring
 * has one thread at either end, a flag and a counter may be read from any.
 *
 * Sources: JSON, RFC 8259; the folded multiply of wyhash; the ring, L. Lamport, Specifying
 * Concurrent Program Modules, 1983.
 */
#ifndef KOTARE_BASE_H
#define KOTARE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KT_VERSION "0.1.0"

#define KT_MUST_USE __attribute__((warn_unused_result))
#define KT_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define KT_LIKELY(x) __builtin_expect(!!(x), 1)
#define KT_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define KT_CACHE_LINE 64
#define KT_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define KT_SECOND INT64_C(1000000000)

/* ---- results ------------------------------------------------------------------------------ */

enum kt_code {
    KT_OK = 0,
    KT_END = 1,           /* nothing more will come */
    KT_EIO = -1,          /* the system refused a read, a write, an open */
    KT_EFORMAT = -2,      /* the bytes are not what they claim to be */
    KT_ETRUNCATED = -3,   /* the input stops inside a record */
    KT_EUNSUPPORTED = -4, /* well formed, but nothing here can read it */
    KT_ENOMEM = -5,
    KT_EINVAL = -6,   /* the caller (or the user) asked for something that makes no sense */
    KT_EVERSION = -7, /* made by a newer version */
    KT_EFULL = -8,    /* no space left on the device, or a stated limit reached */
    KT_EPERM = -9,
    KT_ENOTFOUND = -10,
    KT_EBUSY = -11,
    KT_ECANCELED = -12, /* whoever asked wants it no more */
};

/* One clear sentence about what went wrong, and where. Owned by the caller, no clean-up. */
struct kt_error {
    int code;        /* enum kt_code, 0 while nothing went wrong */
    uint64_t offset; /* byte offset (a line number for text files) where it was seen */
    char text[512];  /* "FILE: at byte OFFSET: REASON", without a newline */
};

/* Fills *err (may be NULL) with a formatted sentence and returns `code`. */
int kt_fail(struct kt_error *err, int code, uint64_t offset, const char *format, ...)
    KT_PRINTF(4, 5);
/* The same, with strerror(errno_value) appended; chooses the code from errno_value. */
int kt_fail_errno(struct kt_error *err, int errno_value, const char *format, ...) KT_PRINTF(3, 4);
/* "end of input", "truncated", … for a code, never NULL. */
const char *kt_code_name(int code);
/* The exit code of the program for a result: 0 ok, 1 usage, 2 bad input, 3 system, 4 store. */
int kt_code_exit(int code);

/* ---- checked bytes ------------------------------------------------------------------------ */

/* A cursor over bytes that somebody else owns. Reading past the end yields zeros and sets `bad`,
 * so a parser can read a whole header and check once. */
struct kt_cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static inline struct kt_cursor kt_cursor(const void *data, size_t len)
{
    const uint8_t *p = data;
    return (struct kt_cursor){p, p ? p + len : p, false};
}

static inline size_t kt_cursor_left(const struct kt_cursor *c)
{
    return (size_t)(c->end - c->at);
}

/* The next n bytes and a step over them, or NULL (and bad) when fewer are left. */
static inline const uint8_t *kt_cursor_take(struct kt_cursor *c, size_t n)
{
    if (kt_cursor_left(c) < n) {
        c->bad = true;
        c->at = c->end;
        return NULL;
    }
    const uint8_t *p = c->at;
    c->at += n;
    return p;
}

static inline uint16_t kt_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t kt_be24(const uint8_t *p)
{
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static inline uint32_t kt_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

static inline uint64_t kt_be64(const uint8_t *p)
{
    return (uint64_t)kt_be32(p) << 32 | kt_be32(p + 4);
}

static inline uint16_t kt_le16(const uint8_t *p)
{
    return (uint16_t)(p[1] << 8 | p[0]);
}

static inline uint32_t kt_le32(const uint8_t *p)
{
    return (uint32_t)kt_le16(p + 2) << 16 | kt_le16(p);
}

static inline uint8_t kt_cursor_u8(struct kt_cursor *c)
{
    const uint8_t *p = kt_cursor_take(c, 1);
    return p ? *p : 0;
}

static inline uint16_t kt_cursor_be16(struct kt_cursor *c)
{
    const uint8_t *p = kt_cursor_take(c, 2);
    return p ? kt_be16(p) : 0;
}

static inline uint32_t kt_cursor_be32(struct kt_cursor *c)
{
    const uint8_t *p = kt_cursor_take(c, 4);
    return p ? kt_be32(p) : 0;
}

/* ---- growing text ------------------------------------------------------------------------- */

/* A byte buffer that grows. Zero-initialise; `data` is always NUL-terminated once written to.
 * On lack of memory `failed` is set and further writes do nothing: check it once at the end. */
struct kt_buf {
    char *data;
    size_t len, cap;
    bool failed;
};

void kt_buf_add(struct kt_buf *b, const void *data, size_t len);
void kt_buf_str(struct kt_buf *b, const char *text);
void kt_buf_printf(struct kt_buf *b, const char *format, ...) KT_PRINTF(2, 3);
/* Makes room for n more bytes and returns where they go, or NULL. The caller adds to len. */
void *kt_buf_room(struct kt_buf *b, size_t n);
void kt_buf_clear(struct kt_buf *b); /* keeps the memory */
void kt_buf_free(struct kt_buf *b);

/* Length of the well-formed UTF-8 sequence at p, which has `left` bytes, or 0 (RFC 3629: no
 * overlong forms, no surrogates). */
size_t kt_utf8_len(const uint8_t *p, size_t left);

/* ---- JSON output -------------------------------------------------------------------------- */

/* Writes JSON into a kt_buf and sets the commas itself. Strings may hold any bytes: control
 * characters are escaped and what is not UTF-8 becomes U+FFFD, so the reader always gets JSON. */
struct kt_json {
    struct kt_buf *out;
    uint64_t more; /* a bit per depth: something stands before */
    unsigned depth;
    bool after_key;
};

static inline struct kt_json kt_json(struct kt_buf *out)
{
    return (struct kt_json){.out = out};
}

void kt_json_open(struct kt_json *j, char bracket);  /* '{' or '[' */
void kt_json_close(struct kt_json *j, char bracket); /* '}' or ']' */
void kt_json_key(struct kt_json *j, const char *key);
void kt_json_str(struct kt_json *j, const char *text); /* NULL gives null */
void kt_json_strn(struct kt_json *j, const char *text, size_t len);
void kt_json_i64(struct kt_json *j, int64_t v);
void kt_json_u64(struct kt_json *j, uint64_t v);
void kt_json_f64(struct kt_json *j, double v); /* NaN and infinities give null */
void kt_json_bool(struct kt_json *j, bool v);
void kt_json_null(struct kt_json *j);
/* Is this JSON (RFC 8259, in UTF-8, at most 64 deep)? For what somebody else wrote. */
bool kt_json_valid(const char *text, size_t len);

/* A key and its value in one go. */
void kt_json_put_str(struct kt_json *j, const char *key, const char *text);
void kt_json_put_u64(struct kt_json *j, const char *key, uint64_t v);
/* As a string: moments in nanoseconds do not fit the 53 bits that many readers keep of a number. */
void kt_json_put_big(struct kt_json *j, const char *key, int64_t v); /* key NULL: in an array */
/* JSON that somebody else wrote. */
void kt_json_put_raw(struct kt_json *j, const char *key, const char *json);

/* ---- hashing ------------------------------------------------------------------------------ */

/* Mixes two words into one by a 64 x 64 -> 128 bit multiplication (the folded multiply of
 * wyhash, public domain). Fast, well spread, not cryptographic: seed what outsiders choose. */
static inline uint64_t kt_mix64(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
#else
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t ll = al * bl, lh = al * bh, hl = ah * bl, hh = ah * bh;
    uint64_t mid = (ll >> 32) + (uint32_t)lh + (uint32_t)hl;
    uint64_t lo = (mid << 32) | (uint32_t)ll, hi = hh + (lh >> 32) + (hl >> 32) + (mid >> 32);
    return lo ^ hi;
#endif
}

uint64_t kt_hash(const void *data, size_t len, uint64_t seed);
/* A seed that outsiders cannot guess, a new one each time. */
uint64_t kt_random_seed(void);

/* ---- growing arrays ----------------------------------------------------------------------- */

void *kt_array_grow(void *array, size_t n, size_t *cap, size_t size);

/* A malloc()ed array, NULL at first, with room for n elements of `size` bytes: itself, or a copy of
 * at least twice its length in its place. *cap says how many it has room for. NULL: no memory; the
 * array is as it was.
 *
 *     struct thing *more = kt_array_room(t->thing, t->n + 1, &t->cap, sizeof *more);
 *     if (!more)
 *         return KT_ENOMEM;
 *     t->thing = more;
 */
static inline void *kt_array_room(void *array, size_t n, size_t *cap, size_t size)
{
    return KT_LIKELY(n <= *cap && array) ? array : kt_array_grow(array, n, cap, size);
}

/* ---- arena -------------------------------------------------------------------------------- */

/* Memory that is handed out in order and freed all at once. Zero-initialise. */
struct kt_arena {
    struct kt_arena_block *head;
    size_t used; /* bytes handed out */
};

void *kt_arena_alloc(struct kt_arena *a, size_t size); /* 16-byte aligned; NULL: no memory */
char *kt_arena_strdup(struct kt_arena *a, const char *text, size_t len);
void kt_arena_free(struct kt_arena *a);

/* ---- large arrays -------------------------------------------------------------------------- */

/* Address space of `size` bytes whose pages come, zeroed, when they are touched; in large pages
 * where the kernel has them, for what is met in no order. NULL: none is left. */
void *kt_pages_new(size_t size);
void kt_pages_free(void *pages, size_t size); /* NULL is fine */

/* ---- a ring between two threads ----------------------------------------------------------- */

/* A bounded queue of pointers from one producer thread to one consumer thread, without a lock on
 * the fast path; the slow path (empty or full) sleeps. Closing wakes both ends. */
struct kt_ring;
int kt_ring_new(struct kt_ring **ring, size_t slots); /* slots: a power of two */
void kt_ring_free(struct kt_ring *ring);
/* Waits while the ring is full. KT_OK, or KT_END once closed. */
int kt_ring_push(struct kt_ring *ring, void *item);
/* Waits while the ring is empty. KT_OK, or KT_END once closed and empty. */
int kt_ring_pop(struct kt_ring *ring, void **item);
/* The same without waiting: KT_OK, KT_EBUSY (full or empty), KT_END. */
int kt_ring_try_push(struct kt_ring *ring, void *item);
int kt_ring_try_pop(struct kt_ring *ring, void **item);
void kt_ring_close(struct kt_ring *ring);

/* A flag that one thread sets and others read ("stop"), safe in a signal handler. */
struct kt_flag {
    int value;
};
static inline void kt_flag_set(struct kt_flag *f)
{
    __atomic_store_n(&f->value, 1, __ATOMIC_RELEASE);
}
static inline bool kt_flag_get(const struct kt_flag *f)
{
    return __atomic_load_n(&f->value, __ATOMIC_ACQUIRE) != 0;
}
/* A counter that one thread sets, or several advance, and others read. */
static inline void kt_count_add(uint64_t *c, uint64_t n)
{
    __atomic_fetch_add(c, n, __ATOMIC_RELAXED);
}
static inline void kt_count_set(uint64_t *c, uint64_t v)
{
    __atomic_store_n(c, v, __ATOMIC_RELAXED);
}
static inline uint64_t kt_count_get(const uint64_t *c)
{
    return __atomic_load_n(c, __ATOMIC_RELAXED);
}

/* ---- time and text ------------------------------------------------------------------------ */

int64_t kt_now(void);       /* wall clock, nanoseconds since 1970 UTC */
int64_t kt_monotonic(void); /* for durations */
/* "2026-01-02T03:04:05.123456789Z" with `digits` (0 to 9) after the point. Returns buf. */
#define KT_TIME_TEXT 40
char *kt_time_text(int64_t ns, int digits, char buf[KT_TIME_TEXT]);
/* "1.5 MiB", "12.3 k": for people. Returns buf. */
#define KT_SIZE_TEXT 24
char *kt_bytes_text(uint64_t bytes, char buf[KT_SIZE_TEXT]);
char *kt_count_text(uint64_t n, char buf[KT_SIZE_TEXT]);

#endif
