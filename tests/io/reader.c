/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What the real tools packed comes back whole; what was damaged is told after what was good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <kotare/io.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct tool {
    const char *codec, *command;
} tools[] = {
    {"gzip", "gzip -c"},  {"zstd", "zstd -q -c --check"},
    {"lz4", "lz4 -q -c"}, {"bzip2", "bzip2 -c"},
    {"xz", "xz -c"},
};

enum { SIZE = 1500000 };

static char dir[] = "/tmp/kotare-io-XXXXXX";
static uint8_t plain[SIZE];

static const char *in_dir(const char *name)
{
    static char path[4][64];
    static unsigned turn;
    char *p = path[turn++ % 4];
    snprintf(p, 64, "%s/%s", dir, name);
    return p;
}

static void store(const char *name, const void *data, size_t len)
{
    FILE *f = fopen(in_dir(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static size_t load(const char *name, uint8_t **data)
{
    struct stat st;
    FILE *f = fopen(in_dir(name), "rb");
    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    *data = malloc((size_t)st.st_size + 16);
    assert_int_equal(fread(*data, 1, (size_t)st.st_size, f), st.st_size);
    fclose(f);
    return (size_t)st.st_size;
}

static void shell(const char *format, ...) KT_PRINTF(1, 2);
static void shell(const char *format, ...)
{
    char command[1024];
    int n = snprintf(command, sizeof command, "cd %s && ", dir);
    va_list ap;
    va_start(ap, format);
    vsnprintf(command + n, sizeof command - (size_t)n, format, ap);
    va_end(ap);
    assert_int_equal(system(command), 0);
}

struct result {
    uint8_t *data;
    size_t len;
    int code;
    char codec[16];
    struct kt_error err;
};

/* Reads all in pieces of `piece` bytes. */
static struct result slurp(const char *path, size_t piece)
{
    struct result r = {.data = malloc(3 * SIZE)};
    struct kt_reader *in;
    ssize_t n = kt_reader_open(&in, path, &r.err);
    if (n == KT_OK) {
        snprintf(r.codec, sizeof r.codec, "%s", kt_reader_codec(in));
        while ((n = kt_reader_read(in, r.data + r.len, piece, &r.err)) > 0) {
            r.len += (size_t)n;
            assert_true(r.len <= 3 * SIZE - piece);
        }
        uint64_t done, total;
        kt_reader_progress(in, &done, &total);
        assert_true(n < 0 || total == 0 || done == total);
        if (n < 0) /* the fault stays */
            assert_int_equal(kt_reader_read(in, r.data, 1, NULL), n);
        kt_reader_close(in);
    }
    r.code = (int)n;
    return r;
}

static void drop(struct result *r)
{
    free(r->data);
}

static int prepare(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    uint32_t x = 1;
    for (size_t i = 0; i < SIZE; i++) {
        x = x * 1664525 + 1013904223;
        plain[i] = i % 4096 < 2048 ? (uint8_t)(x >> 24) : (uint8_t)(i / 4096);
    }
    store("plain", plain, SIZE);
    store("small", plain, 3000);
    for (size_t i = 0; i < KT_ARRAY_LEN(tools); i++) {
        shell("%s plain > %s", tools[i].command, tools[i].codec);
        shell("%s small > %s.small", tools[i].command, tools[i].codec);
    }
    return 0;
}

static int clean(void **state)
{
    (void)state;
    shell("rm -rf %s", dir);
    return 0;
}

static void test_round_trip(void **state)
{
    (void)state;
    static const size_t pieces[] = {777, 65536, 262144, 1000000};
    for (size_t i = 0; i < KT_ARRAY_LEN(tools); i++)
        for (size_t k = 0; k < KT_ARRAY_LEN(pieces); k++) {
            struct result r = slurp(in_dir(tools[i].codec), pieces[k]);
            assert_int_equal(r.code, 0);
            assert_string_equal(r.codec, tools[i].codec);
            assert_int_equal(r.len, SIZE);
            assert_memory_equal(r.data, plain, SIZE);
            drop(&r);
        }
    struct result r = slurp(in_dir("plain"), 100000);
    assert_string_equal(r.codec, "plain");
    assert_int_equal(r.len, SIZE);
    assert_memory_equal(r.data, plain, SIZE);
    drop(&r);
}

static void test_members_follow_each_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < KT_ARRAY_LEN(tools); i++) {
        const char *c = tools[i].codec;
        shell("cat %s %s.small %s.small > both", c, c, c);
        struct result r = slurp(in_dir("both"), 65536);
        assert_int_equal(r.code, 0);
        assert_int_equal(r.len, SIZE + 6000);
        assert_memory_equal(r.data + SIZE, plain, 3000);
        assert_memory_equal(r.data + SIZE + 3000, plain, 3000);
        drop(&r);
    }
}

/* As many as make every place of a member meet every place of the input buffer. */
static void test_many_small_members(void **state)
{
    (void)state;
    store("tiny", "abcdefg", 7);
    for (size_t i = 0; i < KT_ARRAY_LEN(tools); i++) {
        enum { N = 9000 };
        uint8_t *one;
        shell("%s tiny > one", tools[i].command);
        size_t len = load("one", &one);
        uint8_t *all = malloc(len * N);
        for (size_t k = 0; k < N; k++)
            memcpy(all + k * len, one, len);
        store("many", all, len * N);
        struct result r = slurp(in_dir("many"), 65536);
        assert_int_equal(r.code, 0);
        assert_int_equal(r.len, 7 * N);
        for (size_t k = 0; k < N; k++)
            assert_memory_equal(r.data + 7 * k, "abcdefg", 7);
        drop(&r);
        free(all);
        free(one);
    }
}

static void test_truncated(void **state)
{
    (void)state;
    for (size_t i = 0; i < KT_ARRAY_LEN(tools); i++) {
        uint8_t *packed;
        char name[32];
        snprintf(name, sizeof name, "%s.small", tools[i].codec);
        size_t len = load(name, &packed);
        for (size_t cut = 6; cut < len; cut += cut < 40 || len - cut < 40 ? 1 : 97) {
            store("cut", packed, cut);
            struct result r = slurp(in_dir("cut"), 65536);
            assert_int_equal(r.code, KT_ETRUNCATED);
            assert_int_equal(r.err.offset, cut);
            assert_non_null(strstr(r.err.text, "/cut: at packed byte "));
            assert_true(r.len <= 3000);
            assert_memory_equal(r.data, plain, r.len);
            drop(&r);
        }
        free(packed);
        /* What was good comes first: most of a long file that lacks its end. */
        len = load(tools[i].codec, &packed);
        store("cut", packed, len - 5);
        struct result r = slurp(in_dir("cut"), 65536);
        assert_int_equal(r.code, KT_ETRUNCATED);
        assert_true(r.len > SIZE / 3);
        assert_memory_equal(r.data, plain, r.len);
        drop(&r);
        free(packed);
    }
}

static void test_damaged(void **state)
{
    (void)state;
    for (size_t i = 0; i < KT_ARRAY_LEN(tools); i++) {
        uint8_t *packed;
        size_t len = load(tools[i].codec, &packed);
        packed[len / 2] ^= 0x55;
        packed[len / 2 + 1] ^= 0x55;
        store("bad", packed, len);
        struct result r = slurp(in_dir("bad"), 65536);
        assert_int_equal(r.code, KT_EFORMAT);
        assert_non_null(strstr(r.err.text, "/bad: at packed byte "));
        assert_true(r.err.offset > 0 && r.err.offset <= len);
        drop(&r);
        free(packed);
    }
}

/* The last bytes are a checksum (in xz: of its index, in gzip the length behind it). */
/* Bits of a deflate stream, from the lowest of each byte on; codes come with their highest first.
 */
struct bits {
    uint8_t at[2048];
    size_t n;
};

static void put_bits(struct bits *b, unsigned value, unsigned count)
{
    for (unsigned i = 0; i < count; i++, b->n++)
        b->at[b->n / 8] |= (uint8_t)((value >> i & 1) << b->n % 8);
}

static void put_code(struct bits *b, unsigned code, unsigned count)
{
    for (unsigned i = count; i-- > 0;)
        put_bits(b, code >> i & 1, 1);
}

/* Found by fuzzing: a copy from before the beginning gave what lay in memory. */
static void test_copy_from_nowhere(void **state)
{
    (void)state;
    enum { GOOD = 1000 };
    static const uint8_t head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    for (unsigned more = 0; more <= 400; more += 400) { /* ISA-L works otherwise near the end */
        struct bits b = {.n = 8 * sizeof head};
        memcpy(b.at, head, sizeof head);
        put_bits(&b, 1, 1); /* the last block, of fixed codes */
        put_bits(&b, 1, 2);
        for (unsigned i = 0; i < GOOD; i++)
            put_code(&b, 0x30 + 'a', 8);
        put_code(&b, 0xc5, 8); /* 258 bytes … */
        put_code(&b, 29, 5);   /* … from 32768 back */
        put_bits(&b, 0x1fff, 13);
        for (unsigned i = 0; i < more; i++)
            put_code(&b, 0x30 + 'b', 8);
        put_code(&b, 0, 7);
        store("nowhere.gz", b.at, b.n / 8 + 9);
        struct result r = slurp(in_dir("nowhere.gz"), 4096);
        assert_int_equal(r.code, KT_EFORMAT);
        assert_in_range(r.len, GOOD - 258, GOOD);
        for (size_t i = 0; i < r.len; i++)
            assert_int_equal(r.data[i], 'a');
        free(r.data);
    }
}

static void test_wrong_checksum(void **state)
{
    (void)state;
    static const struct {
        const char *codec;
        size_t from_end;
    } at[] = {{"gzip", 8}, {"gzip", 1}, {"zstd", 1}, {"lz4", 1}, {"xz", 6}, {"bzip2", 3}};
    for (size_t i = 0; i < KT_ARRAY_LEN(at); i++) {
        uint8_t *packed;
        size_t len = load(at[i].codec, &packed);
        packed[len - at[i].from_end] ^= 0x10;
        store("bad", packed, len);
        struct result r = slurp(in_dir("bad"), 65536);
        assert_int_equal(r.code, KT_EFORMAT);
        drop(&r);
        free(packed);
    }
}

static void test_what_follows(void **state)
{
    (void)state;
    for (size_t i = 0; i < KT_ARRAY_LEN(tools); i++) {
        const char *c = tools[i].codec;
        uint8_t *packed;
        char name[32];
        snprintf(name, sizeof name, "%s.small", c);
        size_t len = load(name, &packed);
        free(packed);
        shell("cat %s.small > after && echo something else >> after", c);
        struct result r = slurp(in_dir("after"), 65536);
        assert_int_equal(r.code, KT_EFORMAT);
        assert_int_equal(r.err.offset, len);
        assert_int_equal(r.len, 3000);
        drop(&r);
        shell("cat %s.small > after && head -c 512 /dev/zero >> after", c);
        r = slurp(in_dir("after"), 65536); /* padding, as tapes have it */
        assert_int_equal(r.code, 0);
        assert_int_equal(r.len, 3000);
        drop(&r);
    }
}

/* From a pipe, also bit by bit, and given up while more is awaited. */
static void test_standard_input(void **state)
{
    (void)state;
    int keep = dup(STDIN_FILENO);
    static const char *const files[] = {"plain", "gzip", "zstd", "lz4", "bzip2", "xz"};
    for (size_t i = 0; i < KT_ARRAY_LEN(files); i++) {
        int ends[2];
        uint8_t *data;
        size_t len = load(files[i], &data);
        assert_int_equal(pipe(ends), 0);
        if (fork() == 0) {
            close(ends[0]);
            for (size_t at = 0, n; at < len; at += n) {
                n = at < 10 ? 1 : len - at < 10001 ? len - at : 10001;
                if (write(ends[1], data + at, n) != (ssize_t)n)
                    _exit(1);
            }
            _exit(0);
        }
        close(ends[1]);
        dup2(ends[0], STDIN_FILENO);
        close(ends[0]);
        struct result r = slurp("-", 65536);
        assert_int_equal(r.code, 0);
        assert_int_equal(r.len, SIZE);
        assert_memory_equal(r.data, plain, SIZE);
        drop(&r);
        free(data);
    }
    dup2(keep, STDIN_FILENO);
    close(keep);
}

static void test_closing_does_not_wait(void **state)
{
    (void)state;
    uint8_t *data, buf[100];
    size_t len = load("gzip", &data);
    assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
    int keeper = open(in_dir("fifo"), O_RDWR); /* so that no end of file comes */
    assert_int_equal(write(keeper, data, 50000), 50000);
    assert_true(len > 50000);
    struct kt_reader *in;
    struct kt_error err;
    assert_int_equal(kt_reader_open(&in, in_dir("fifo"), &err), KT_OK);
    assert_int_equal(kt_reader_read(in, buf, sizeof buf, &err), sizeof buf);
    assert_memory_equal(buf, plain, sizeof buf);
    kt_reader_close(in);
    close(keeper);
    free(data);
}

static void test_closing_early(void **state)
{
    (void)state;
    for (size_t i = 0; i < KT_ARRAY_LEN(tools); i++) {
        struct kt_reader *in;
        uint8_t b;
        assert_int_equal(kt_reader_open(&in, in_dir(tools[i].codec), NULL), KT_OK);
        assert_int_equal(kt_reader_read(in, &b, 1, NULL), 1);
        kt_reader_close(in);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    struct result r = slurp(in_dir("none"), 10);
    assert_int_equal(r.code, KT_ENOTFOUND);
    assert_non_null(strstr(r.err.text, "/none"));
    drop(&r);
    r = slurp(dir, 10);
    assert_true(r.code < 0);
    assert_non_null(strstr(r.err.text, "directory"));
    drop(&r);
    store("empty", "", 0);
    r = slurp(in_dir("empty"), 10);
    assert_int_equal(r.code, 0);
    assert_int_equal(r.len, 0);
    drop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_members_follow_each_other),
        cmocka_unit_test(test_many_small_members),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_copy_from_nowhere),
        cmocka_unit_test(test_wrong_checksum),
        cmocka_unit_test(test_what_follows),
        cmocka_unit_test(test_standard_input),
        cmocka_unit_test(test_closing_does_not_wait),
        cmocka_unit_test(test_closing_early),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, prepare, clean);
}
