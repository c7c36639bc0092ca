/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Names in payloads, whole, cut at every byte, and hostile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <kotare/ident.h>
// cmocka wants these first
#include <stdlib.h>

static const uint8_t hello[] =
    "\x16\x03\x01\x00\x49\x01\x00\x00\x45\x03\x03" /* record, handshake, version */
    "0123456789abcdef0123456789abcdef"
    "\x00\x00\x02\x13\x01\x01\x00\x00\x1a" /* session, one cipher, compression, extensions */
    "\x00\x00\x00\x10\x00\x0e\x00\x00\x0b"
    "example.org"
    "\x00\x17\x00\x02\x00\x00";

/* The payload lies at the very end of its own block, so that a reader too many is noticed. */
static void expect(uint8_t proto, const void *data, size_t len, enum kt_name_kind kind,
                   const char *want)
{
    char name[KT_NAME_MAX];
    uint8_t n;
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, data, len);
    assert_int_equal(kt_ident_name(proto, copy, len, name, &n), kind);
    free(copy);
    if (want) {
        assert_int_equal(n, strlen(want));
        assert_memory_equal(name, want, n);
    }
}

static void tls(void **state)
{
    (void)state;
    expect(KT_PROTO_TCP, hello, sizeof hello - 1, KT_NAME_SNI, "example.org");
    for (size_t n = 0; n < sizeof hello - 1; n++) {
        bool begun = n > 61, whole = n >= 72;
        expect(KT_PROTO_TCP, hello, n, begun ? KT_NAME_SNI : KT_NAME_NONE,
               whole ? "example.org" : NULL);
    }
    expect(KT_PROTO_UDP, hello, sizeof hello - 1, KT_NAME_NONE, NULL);
}

static void http(void **state)
{
    static const struct {
        const char *text;
        const char *host;
    } table[] = {
        {"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "example.org"},
        {"POST /a HTTP/1.1\r\nAccept: */*\r\nhOsT:example.org:8080\r\n\r\n", "example.org:8080"},
        {"GET / HTTP/1.1\nHost: a b\n\n", "a"},
        {"GET / HTTP/1.1\r\nHost: ex", "ex"},
        {"GET / HTTP/1.1\r\nHost: a<b>\r\n", "a?b?"},
        {"GET / HTTP/1.0\r\nAccept: x\r\n\r\nHost: body\r\n", NULL},
        {"GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", NULL},
        {"HTTP/1.1 200 OK\r\nHost: a\r\n", NULL},
        {"GET / HTTP/1.1\r\nHost:", NULL},
    };
    (void)state;
    for (size_t i = 0; i < KT_ARRAY_LEN(table); i++)
        expect(KT_PROTO_TCP, table[i].text, strlen(table[i].text),
               table[i].host ? KT_NAME_HTTP_HOST : KT_NAME_NONE, table[i].host);
}

static void long_name(void **state)
{
    struct kt_buf b = {0};
    char name[KT_NAME_MAX];
    uint8_t n;
    (void)state;
    kt_buf_str(&b, "GET / HTTP/1.1\r\nHost: ");
    for (int i = 0; i < 500; i++)
        kt_buf_str(&b, "x");
    assert_int_equal(kt_ident_name(KT_PROTO_TCP, (uint8_t *)b.data, b.len, name, &n),
                     KT_NAME_HTTP_HOST);
    assert_int_equal(n, KT_NAME_MAX);
    kt_buf_free(&b);
}

static void dns(void **state)
{
    static const char query[] = "\x00\x1d"
                                "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
                                "\x07"
                                "example\x03org\x00\x00\x01\x00\x01";
    char bad[sizeof query];
    (void)state;
    expect(KT_PROTO_UDP, query + 2, sizeof query - 3, KT_NAME_DNS, "example.org");
    expect(KT_PROTO_TCP, query, sizeof query - 1, KT_NAME_DNS, "example.org");
    for (size_t n = 0; n < sizeof query - 3; n++)
        expect(KT_PROTO_UDP, query + 2, n, KT_NAME_NONE, NULL);
    memcpy(bad, query, sizeof query);
    bad[14] = (char)0xc0; /* a pointer to itself */
    expect(KT_PROTO_UDP, bad + 2, sizeof query - 3, KT_NAME_NONE, NULL);
    bad[14] = 60; /* a label longer than the message */
    expect(KT_PROTO_UDP, bad + 2, sizeof query - 3, KT_NAME_NONE, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tls), cmocka_unit_test(http),
                                       cmocka_unit_test(long_name), cmocka_unit_test(dns)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
