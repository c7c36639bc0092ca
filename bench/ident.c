/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What identification costs a flow: with the rules that ship, and with 600 made-up ones beside
 * them. Also against running rule after rule. Prints nanoseconds and the ratio.
 */
#include "ident/rules.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FLOWS = 4096, ROUNDS = 200 };

static struct kt_seen flows[FLOWS];

/* Heads of common protocols, each with bytes that vary, and a third that no rule knows. */
static void make(void)
{
    static const struct {
        uint8_t proto, n;
        uint16_t server, up, down;
        const char *head;
    } kind[] = {
        {KT_PROTO_TCP, 11, 443, 517, 1448, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
        {KT_PROTO_TCP, 5, 80, 300, 1448, "GET /"},
        {KT_PROTO_TCP, 6, 22, 41, 41, "SSH-2."},
        {KT_PROTO_UDP, 12, 53, 45, 0, "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"},
        {KT_PROTO_UDP, 6, 443, 1200, 1200, "\xc3\x00\x00\x00\x01\x08"},
        {KT_PROTO_UDP, 2, 123, 48, 48, "\x23\x02"},
        {KT_PROTO_TCP, 8, 6379, 40, 5, "*2\r\n$3\r\n"},
        {KT_PROTO_UDP, 0, 40001, 90, 120, ""},
        {KT_PROTO_TCP, 0, 40001, 600, 900, ""},
        {KT_PROTO_UDP, 0, 443, 64, 64, ""},
    };
    uint64_t x = 1;
    for (unsigned i = 0; i < FLOWS; i++) {
        unsigned k = (unsigned)(kt_mix64(i + 1, UINT64_C(0x9e3779b97f4a7c15)) % KT_ARRAY_LEN(kind));
        struct kt_seen *s = &flows[i];
        *s = (struct kt_seen){.proto = kind[k].proto,
                              .ip = 4,
                              .server = kind[k].server,
                              .client = (uint16_t)(32768 + i)};
        for (int d = 0; d < 2; d++) {
            s->dir[d].len = d ? kind[k].down : kind[k].up;
            s->dir[d].captured =
                s->dir[d].len < KT_IDENT_HEAD ? (uint8_t)s->dir[d].len : KT_IDENT_HEAD;
            for (unsigned j = 0; j < s->dir[d].captured; j++) {
                x = kt_mix64(x + 3, UINT64_C(0xd6e8feb86659fd93)) + 1;
                s->dir[d].head[j] = j < kind[k].n && !d ? (uint8_t)kind[k].head[j] : (uint8_t)x;
            }
        }
    }
}

/* Nanoseconds of CPU, so that a busy machine does not count. */
static int64_t cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * KT_SECOND + t.tv_nsec;
}

typedef void match(const struct kt_rules *, const struct kt_seen *, struct kt_verdict *);

static double measure(const struct kt_rules *r, match *m, unsigned rounds)
{
    struct kt_verdict v;
    unsigned sum = 0;
    int64_t best = INT64_MAX;
    for (int n = 0; n < 5; n++) {
        int64_t start = cpu();
        for (unsigned i = 0; i < rounds * FLOWS / 5; i++) {
            m(r, &flows[i % FLOWS], &v);
            sum += v.label;
        }
        int64_t took = cpu() - start;
        best = took < best ? took : best;
    }
    if (sum == 1)
        puts("");
    return (double)best / ((double)rounds * FLOWS / 5);
}

/* The shipped rules and n more of the usual kinds: magic bytes, lengths, length fields, ports. */
static struct kt_rules *with(unsigned n)
{
    struct kt_buf text = {0};
    struct kt_rules *r;
    struct kt_error err;
    for (const struct rule_text *t = rule_builtin; t->name; t++) {
        kt_buf_add(&text, t->text, t->len);
        kt_buf_str(&text, "\n\n");
    }
    for (unsigned i = 0; i < n; i++) {
        uint64_t x = kt_mix64(i + 1, UINT64_C(0x9e3779b97f4a7c15));
        kt_buf_printf(&text,
                      "protocol: made-%u\nname: Made %u\ntransport: %s\ncategory: test\n"
                      "priority: %u\n",
                      i, i, i & 1 ? "tcp" : "udp", 30 + i % 100);
        unsigned a = x & 255, b = x >> 8 & 255, c = x >> 16 & 255, len = x >> 24 & 511;
        if (i % 8 < 4)
            kt_buf_printf(&text,
                          "shape ask: bytes %02x %02x .. %02x and len == %u\n"
                          "shape reply: bytes %02x .. .. %02x\n",
                          a, b, c, len + 4, b, a);
        else if (i % 8 < 6)
            kt_buf_printf(&text,
                          "shape ask: b0 == %u and be16b == len - %u\n"
                          "shape reply: len in {%u, %u..%u}\n",
                          a, b & 7, len, len + 9, len + 20);
        else
            kt_buf_printf(&text,
                          "shape ask: be32 == len - %u and port == %u\n"
                          "shape reply: b0 == %u and b3 in {1..%u}\n",
                          a & 15, 1024 + (b << 5), c, a);
        kt_buf_printf(&text, "accept: ask <-> reply\naccept: ask <-> silent%s\n\n",
                      i % 3 ? "" : " when port == 7777");
    }
    if (kt_rules_load_text(&r, "bench", text.data, text.len, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    kt_buf_free(&text);
    return r;
}

int main(void)
{
    make();
    int64_t start = cpu();
    struct kt_rules *few = with(0);
    int64_t middle = cpu();
    struct kt_rules *many = with(600);
    int64_t end = cpu();
    printf("loading: %.1f ms for %u labels, %.1f ms for %u\n", (double)(middle - start) / 1e6,
           kt_rules_labels(few), (double)(end - middle) / 1e6, kt_rules_labels(many));
    printf("columns: %u TCP and %u UDP, with 600 more %u and %u\n", few->index[0].n,
           few->index[1].n, many->index[0].n, many->index[1].n);
    double a = measure(few, kt_ident_match, ROUNDS), b = measure(many, kt_ident_match, ROUNDS);
    double c = measure(few, rule_match_slowly, ROUNDS / 20),
           d = measure(many, rule_match_slowly, ROUNDS / 50);
    printf("the rules that ship   %7.1f ns a flow; rule after rule %8.1f, ratio %.0f\n", a, c,
           c / a);
    printf("and 600 more          %7.1f ns a flow; rule after rule %8.1f, ratio %.0f\n", b, d,
           d / b);
    printf("600 more rules cost a factor of %.2f\n", b / a);
    kt_rules_free(few);
    kt_rules_free(many);
    return 0;
}
