/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Files written here byte by byte, and, where the corpus is at hand, capinfos as the judge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <kotare/trace.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "plugins.h"

struct seen {
    uint64_t packets, bytes;
    int64_t first;
    int code;
    struct kt_error err;
};

static struct seen read_all(const char *path)
{
    struct seen s = {0};
    struct kt_source *src;
    struct kt_packet packets[KT_BATCH];
    struct kt_batch batch = {.packet = packets};
    s.code = kt_source_open(&src, kt_builtin_registry(), path, NULL, &s.err);
    if (s.code < 0)
        return s;
    while ((s.code = kt_source_read(src, &batch, &s.err)) == KT_OK)
        for (unsigned i = 0; i < batch.n; i++) {
            assert_int_equal(packets[i].seq, s.packets);
            if (s.packets++ == 0)
                s.first = packets[i].ts;
            s.bytes += packets[i].wirelen;
            kt_decode(&packets[i]);
        }
    kt_source_close(src);
    return s;
}

static char path[] = "/tmp/kotare-trace-XXXXXX";

static void write_file(const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}

static void put(uint8_t *at, uint32_t v, bool big)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (big ? 24 - 8 * i : 8 * i));
}

/* A pcap file of `n` packets of 60 bytes, a second apart. */
static size_t make_pcap(uint8_t *buf, uint32_t magic, bool big, uint32_t link, unsigned n)
{
    uint32_t head[6] = {magic, big ? 0x00020004 : 0x00040002, 0, 0, 65535, link};
    for (int i = 0; i < 6; i++)
        put(buf + 4 * i, head[i], big);
    size_t at = 24;
    for (unsigned k = 0; k < n; k++) {
        uint32_t record[4] = {1000 + k, 500, 60, 60};
        for (int i = 0; i < 4; i++)
            put(buf + at + 4 * (size_t)i, record[i], big);
        memset(buf + at + 16, (int)k, 60);
        at += 76;
    }
    return at;
}

static void test_pcap_variants(void **state)
{
    (void)state;
    uint8_t buf[4096];
    for (int i = 0; i < 4; i++) {
        bool nano = i & 1, big = i & 2;
        write_file(buf, make_pcap(buf, nano ? 0xa1b23c4d : 0xa1b2c3d4, big, 1, 20));
        struct seen s = read_all(path);
        assert_int_equal(s.code, KT_END);
        assert_int_equal(s.packets, 20);
        assert_int_equal(s.bytes, 1200);
        assert_int_equal(s.first, 1000 * KT_SECOND + (nano ? 500 : 500000));
    }
}

static void test_more_than_a_block(void **state)
{
    (void)state;
    enum { N = 20000 };
    uint8_t *buf = malloc(24 + N * 76);
    write_file(buf, make_pcap(buf, 0xa1b2c3d4, false, 1, N));
    free(buf);
    struct seen s = read_all(path);
    assert_int_equal(s.code, KT_END);
    assert_int_equal(s.packets, N);
}

/* Cut anywhere: the packets before are there, and the sentence names file and offset. */
static void test_truncated(void **state)
{
    (void)state;
    uint8_t buf[4096];
    size_t len = make_pcap(buf, 0xa1b2c3d4, false, 1, 5);
    for (size_t cut = 0; cut < len; cut++) {
        write_file(buf, cut);
        struct seen s = read_all(path);
        size_t whole = cut < 24 ? 0 : (cut - 24) / 76;
        assert_int_equal(s.packets, whole);
        bool at_record = cut >= 24 && (cut - 24) % 76 == 0;
        if (at_record) {
            assert_int_equal(s.code, KT_END);
        } else {
            assert_true(s.code < 0);
            assert_non_null(strstr(s.err.text, path));
            if (cut >= 24)
                assert_int_equal(s.err.offset, 24 + whole * 76);
        }
    }
}

static void test_faults(void **state)
{
    (void)state;
    uint8_t buf[4096];
    size_t len = make_pcap(buf, 0xa1b2c3d4, false, 147, 1);
    write_file(buf, len);
    struct seen s = read_all(path);
    assert_int_equal(s.code, KT_EUNSUPPORTED);
    assert_non_null(strstr(s.err.text, "147"));
    len = make_pcap(buf, 0xa1b2c3d4, false, 1, 3);
    put(buf + 24 + 76 + 8, 0xfffffff0, false); /* the second packet's length */
    write_file(buf, len);
    s = read_all(path);
    assert_int_equal(s.packets, 1);
    assert_int_equal(s.code, KT_EFORMAT);
    assert_int_equal(s.err.offset, 24 + 76);
    write_file("hello, world", 12);
    assert_int_equal(read_all(path).code, KT_EUNSUPPORTED);
    assert_int_equal(read_all("/nonexistent/file").code, KT_ENOTFOUND);
}

/* capinfos counts the same packets and bytes. */
static void test_corpus(void **state)
{
    (void)state;
    const char *corpus = getenv("KOTARE_CORPUS");
    char folder[512], command[1400], line[256];
    snprintf(folder, sizeof folder, "%s/pcap", corpus ? corpus : "");
    DIR *d = corpus ? opendir(folder) : NULL;
    if (!d)
        skip();
    unsigned checked = 0, number = 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.' || (number++ % 40 != 0 && !strstr(e->d_name, "w.pcapng")))
            continue;
        char file[1024];
        snprintf(file, sizeof file, "%s/%s", folder, e->d_name);
        snprintf(command, sizeof command, "capinfos -TMrcd '%s' 2>/dev/null", file);
        FILE *p = popen(command, "r");
        assert_non_null(p);
        unsigned long long packets, bytes;
        bool told = fgets(line, sizeof line, p) &&
                    sscanf(line + strlen(file), "%llu %llu", &packets, &bytes) == 2;
        pclose(p);
        struct seen s = read_all(file);
        if (!told || s.code == KT_EUNSUPPORTED)
            continue;
        if (s.packets != packets)
            print_error("%s: %llu packets here, %llu there\n", file, (unsigned long long)s.packets,
                        packets);
        assert_int_equal(s.packets, packets);
        checked++;
    }
    closedir(d);
    assert_true(checked > 20);
}

static void test_hostile_corpus(void **state)
{
    (void)state;
    const char *corpus = getenv("KOTARE_CORPUS");
    char folder[512];
    snprintf(folder, sizeof folder, "%s/pcap-hostile", corpus ? corpus : "");
    DIR *d = corpus ? opendir(folder) : NULL;
    if (!d)
        skip();
    for (struct dirent *e; (e = readdir(d));) {
        char file[1024];
        snprintf(file, sizeof file, "%s/%s", folder, e->d_name);
        if (e->d_name[0] == '.')
            continue;
        struct seen s = read_all(file);
        if (s.code < 0)
            assert_true(s.err.text[0] != '\0');
    }
    closedir(d);
}

static int clean(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

int main(void)
{
    close(mkstemp(path));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pcap_variants), cmocka_unit_test(test_more_than_a_block),
        cmocka_unit_test(test_truncated),     cmocka_unit_test(test_faults),
        cmocka_unit_test(test_corpus),        cmocka_unit_test(test_hostile_corpus),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
