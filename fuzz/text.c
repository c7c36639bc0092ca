/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The small parsers of text, each over the same bytes: addresses, what to listen on, whose name a
 * browser gives, kinds of streams, byte patterns; and text as it goes out again: JSON and times.
 */
#include "fuzz.h"
#include "json.h"
#include "web/internal.h"
#include <arpa/inet.h>

static void address(const char *text)
{
    uint8_t addr[16], again[16];
    int ip, ip2;
    char back[KT_ADDR_TEXT];
    if (kt_addr_parse(text, addr, &ip) != KT_OK)
        return;
    fuzz_must(ip == 4 || ip == 6);
    kt_addr_text(addr, ip, back);
    fuzz_must(kt_addr_parse(back, again, &ip2) == KT_OK && ip2 == ip);
    fuzz_must(memcmp(addr, again, 16) == 0);
}

static void listening(const char *text)
{
    struct kt_web_address a;
    const char *colon = strrchr(text, ':');
    kt_web_host_ours(text);
    if (!kt_web_listen_parse(text, &a))
        return;
    fuzz_must(colon && a.len <= sizeof a.sa);
    fuzz_must(a.sa.ss_family == AF_INET || a.sa.ss_family == AF_INET6);
    unsigned long port = strtoul(colon + 1, NULL, 10);
    fuzz_must(ntohs(((const struct sockaddr_in *)&a.sa)->sin_port) == port);
    fuzz_must(kt_web_host_ours(text)); /* what we listen on, we answer to */
}

static void pattern(const char *text)
{
    uint8_t value[32], mask[32];
    const char *end = text;
    struct kt_error err = {0};
    int n = kt_expr_bytes(text, value, mask, sizeof value, &end, &err);
    fuzz_must(n <= 32 && end >= text && end <= text + strlen(text));
    fuzz_must(n >= 0 || err.text[0]);
    for (int i = 0; i < n; i++)
        fuzz_must(mask[i] == 0 || mask[i] == 0xff);
}

static void json(const uint8_t *data, size_t size)
{
    struct kt_buf out = {0};
    struct kt_json j = kt_json(&out);
    int64_t number = 0;
    double real = 0;
    memcpy(&number, data, size < 8 ? size : 8);
    memcpy(&real, data, size < 8 ? size : 8);
    kt_json_open(&j, '[');
    kt_json_strn(&j, (const char *)data, size);
    kt_json_i64(&j, number);
    kt_json_u64(&j, (uint64_t)number);
    kt_json_f64(&j, real);
    kt_json_close(&j, ']');
    fuzz_must(!out.failed && json_valid(out.data, out.len));
    fuzz_must(kt_json_valid(out.data, out.len));
    fuzz_must(kt_json_valid((const char *)data, size) == json_valid((const char *)data, size));
    kt_buf_free(&out);
}

static void numbers(const uint8_t *data, size_t size)
{
    int64_t v = 0;
    char time[KT_TIME_TEXT], text[KT_SIZE_TEXT];
    memcpy(&v, data, size < 8 ? size : 8);
    fuzz_must(strlen(kt_time_text(v, size % 10, time)) < KT_TIME_TEXT);
    fuzz_must(strlen(kt_bytes_text((uint64_t)v, text)) < KT_SIZE_TEXT);
    fuzz_must(strlen(kt_count_text((uint64_t)v, text)) < KT_SIZE_TEXT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    address(text);
    listening(text);
    pattern(text);
    int kind = kt_stream_kind_parse(text);
    fuzz_must(kind < 0 || strcmp(kt_stream_kind_text((enum kt_stream_kind)kind), text) == 0);
    json(data, size);
    numbers(data, size);
    free(text);
    return 0;
}
