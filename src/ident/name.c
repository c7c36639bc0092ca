/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Names in first payloads: the server name of a TLS ClientHello (cut ones too, as far as they go),
 * the Host of an HTTP request, the question of a DNS message.
 */
#include <kotare/ident.h>

struct name {
    char *text;
    uint8_t *len;
};

/* Adds a character that is safe to show; false when the name is full. */
static bool put(struct name *n, int c)
{
    bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                (c && strchr("-._:", c));
    if (*n->len == KT_NAME_MAX)
        return false;
    n->text[(*n->len)++] = safe ? (char)c : '?';
    return true;
}

static void put_all(struct name *n, const uint8_t *p, size_t len)
{
    while (len-- && put(n, *p))
        p++;
}

/* Steps over a block that its length, `width` bytes wide, precedes. False: it is not all here. */
static bool skip(struct kt_cursor *c, unsigned width)
{
    size_t n = width == 1 ? kt_cursor_u8(c) : kt_cursor_be16(c);
    return kt_cursor_take(c, n) || (n == 0 && !c->bad);
}

static enum kt_name_kind server_name(struct kt_cursor ext, struct name *n)
{
    kt_cursor_be16(&ext); /* length of the list; it has one entry in practice */
    uint8_t type = kt_cursor_u8(&ext);
    uint16_t len = kt_cursor_be16(&ext);
    if (ext.bad || type != 0 || !len)
        return KT_NAME_NONE;
    size_t here = kt_cursor_left(&ext);
    put_all(n, ext.at, len < here ? len : here);
    return *n->len ? KT_NAME_SNI : KT_NAME_NONE;
}

/* From the handshake header on. */
static enum kt_name_kind client_hello(struct kt_cursor c, struct name *n)
{
    if (kt_cursor_u8(&c) != 1 || !kt_cursor_take(&c, 3 + 2 + 32)) /* length, version, random */
        return KT_NAME_NONE;
    if (!skip(&c, 1) || !skip(&c, 2) || !skip(&c, 1)) /* session, ciphers, compression */
        return KT_NAME_NONE;
    kt_cursor_be16(&c);
    while (!c.bad && kt_cursor_left(&c) >= 4) {
        uint16_t type = kt_cursor_be16(&c), len = kt_cursor_be16(&c);
        size_t here = len < kt_cursor_left(&c) ? len : kt_cursor_left(&c);
        struct kt_cursor ext = kt_cursor(kt_cursor_take(&c, here), here);
        if (type == 0)
            return server_name(ext, n);
    }
    return KT_NAME_NONE;
}

static enum kt_name_kind tls(const uint8_t *p, size_t len, struct name *n)
{
    if (len < 9 || p[0] != 0x16 || p[1] != 3)
        return KT_NAME_NONE;
    return client_hello(kt_cursor(p + 5, len - 5), n);
}

static bool request(const uint8_t *p, size_t len)
{
    static const char *const methods[] = {"GET ",     "POST ",    "HEAD ",  "PUT ",      "DELETE ",
                                          "OPTIONS ", "CONNECT ", "PATCH ", "PROPFIND ", "REPORT "};
    for (size_t i = 0; i < KT_ARRAY_LEN(methods); i++) {
        size_t k = strlen(methods[i]);
        if (len > k && !memcmp(p, methods[i], k))
            return true;
    }
    return false;
}

static bool is_host(const uint8_t *p, const uint8_t *end)
{
    static const char key[] = "host:";
    if (end - p < 5)
        return false;
    for (int i = 0; i < 5; i++) {
        if ((i < 4 ? p[i] | 0x20 : p[i]) != key[i])
            return false;
    }
    return true;
}

static enum kt_name_kind http(const uint8_t *p, size_t len, struct name *n)
{
    const uint8_t *end = p + len;
    if (!request(p, len))
        return KT_NAME_NONE;
    while (p < end) {
        const uint8_t *nl = memchr(p, '\n', (size_t)(end - p));
        const uint8_t *stop = nl ? nl : end;
        if (is_host(p, stop)) {
            p += 5;
            while (p < stop && (*p == ' ' || *p == '\t'))
                p++;
            while (p<stop && * p> ' ' && put(n, *p))
                p++;
            return *n->len ? KT_NAME_HTTP_HOST : KT_NAME_NONE;
        }
        if (!nl || (p < nl && *p == '\r' && nl == p + 1) || p == nl)
            break; /* the headers end here */
        p = nl + 1;
    }
    return KT_NAME_NONE;
}

/* A message with one question whose name is written out. */
static enum kt_name_kind dns(struct kt_cursor c, struct name *n)
{
    kt_cursor_be16(&c);
    uint16_t flags = kt_cursor_be16(&c), questions = kt_cursor_be16(&c);
    uint16_t answers = kt_cursor_be16(&c), authorities = kt_cursor_be16(&c);
    uint16_t more = kt_cursor_be16(&c);
    bool query = !(flags & 0x8000);
    if (c.bad || flags & 0x0040 || questions != 1 || (query && (answers || authorities > 4)) ||
        answers > 255 || authorities > 255 || more > 255)
        return KT_NAME_NONE;
    for (uint8_t label = kt_cursor_u8(&c); label && !c.bad; label = kt_cursor_u8(&c)) {
        const uint8_t *p = label < 64 ? kt_cursor_take(&c, label) : NULL;
        if (!p) {
            *n->len = 0;
            return KT_NAME_NONE;
        }
        if (*n->len)
            put(n, '.');
        put_all(n, p, label);
    }
    uint16_t type = kt_cursor_be16(&c), class = kt_cursor_be16(&c) & 0x7fff;
    if (c.bad || !*n->len || !type || (class != 1 && class != 3 && class != 255)) {
        *n->len = 0;
        return KT_NAME_NONE;
    }
    return KT_NAME_DNS;
}

enum kt_name_kind kt_ident_name(uint8_t proto, const uint8_t *payload, size_t captured,
                                char name[KT_NAME_MAX], uint8_t *len)
{
    struct name n = {name, len};
    *len = 0;
    if (!payload || captured < 5)
        return KT_NAME_NONE;
    if (proto == KT_PROTO_UDP)
        return dns(kt_cursor(payload, captured), &n);
    if (proto != KT_PROTO_TCP)
        return KT_NAME_NONE;
    if (payload[0] == 0x16)
        return tls(payload, captured, &n);
    enum kt_name_kind kind = http(payload, captured, &n);
    uint16_t size = kt_be16(payload); /* DNS over TCP: its length first */
    if (kind == KT_NAME_NONE && size >= 17 && size <= captured - 2)
        kind = dns(kt_cursor(payload + 2, size), &n);
    return kind;
}
