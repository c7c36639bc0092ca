/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "cmd.h"
#include "plugins.h"
#include <kotare/trace.h>
#include <stdio.h>

struct count {
    unsigned inputs; /* that could be opened */
    uint64_t packets, bytes, ip4, ip6, tcp, udp, icmp, other, not_ip, malformed;
};

static void add(struct count *c, const struct kt_packet *p)
{
    c->bytes += p->wirelen;
    c->ip4 += p->key.ip == 4;
    c->ip6 += p->key.ip == 6;
    c->malformed += !!(p->flags & KT_PKT_MALFORMED);
    if (!p->key.ip)
        c->not_ip++;
    else if (p->proto == KT_PROTO_TCP)
        c->tcp++;
    else if (p->proto == KT_PROTO_UDP)
        c->udp++;
    else if (p->proto == KT_PROTO_ICMP || p->proto == KT_PROTO_ICMPV6)
        c->icmp++;
    else
        c->other++;
}

static int count_input(const char *input, const char *filter, struct count *c)
{
    struct kt_error err = {0};
    struct kt_source *src;
    struct kt_packet packets[KT_BATCH];
    struct kt_batch batch = {.packet = packets};
    const struct kt_source_options opt = {.filter = filter, .stop = &kt_cmd_stop};
    int rc = kt_source_open(&src, kt_builtin_registry(), input, &opt, &err);
    if (rc == KT_OK) {
        c->inputs++;
        while (!kt_flag_get(&kt_cmd_stop) && (rc = kt_source_read(src, &batch, &err)) == KT_OK) {
            c->packets += batch.n;
            for (unsigned i = 0; i < batch.n; i++) {
                kt_decode_headers(&packets[i]);
                add(c, &packets[i]);
            }
        }
        kt_source_close(src);
    }
    if (rc >= 0 || (rc == KT_ETRUNCATED && kt_flag_get(&kt_cmd_stop)))
        return 0; /* who is told to stop ends anywhere: that is no fault */
    fprintf(stderr, "kotare: %s\n", err.text);
    return kt_code_exit(rc);
}

int kt_cmd_count(int argc, char **argv)
{
    bool json = false;
    const char *filter = NULL;
    const struct kt_option options[] = {
        {"filter", KT_OPTION_TEXT, &filter, "BPF", "which packets (pcap-filter(7))"},
        {"json", KT_OPTION_FLAG, &json, NULL, "one JSON object"},
        {0}};
    struct kt_error err = {0};
    int n = kt_options_parse(options, argc, argv, &err);
    if (n <= 0) {
        if (n == 0)
            kt_fail(&err, KT_EINVAL, 0, "no input given; try --help");
        if (err.code)
            fprintf(stderr, "kotare count: %s\n", err.text);
        else
            kt_options_help(options, "count INPUT… [OPTIONS]",
                            "Reads, decodes and counts packets.");
        return n != KT_ENOTFOUND;
    }
    struct count c = {0};
    int code = 0;
    kt_cmd_catch_stop();
    for (int i = 1; i <= n && !kt_flag_get(&kt_cmd_stop); i++) {
        int rc = count_input(argv[i], filter, &c);
        code = code ? code : rc;
    }
    if (code && c.inputs == 0)
        return code;
    const struct {
        const char *name;
        uint64_t value;
    } line[] = {{"packets", c.packets},    {"bytes", c.bytes}, {"ipv4", c.ip4},
                {"ipv6", c.ip6},           {"tcp", c.tcp},     {"udp", c.udp},
                {"icmp", c.icmp},          {"other", c.other}, {"not_ip", c.not_ip},
                {"malformed", c.malformed}};
    if (json)
        fputs("{\"type\":\"count\"", stdout);
    for (size_t i = 0; i < KT_ARRAY_LEN(line); i++)
        printf(json ? ",\"%s\":%llu" : "%-10s %15llu\n", line[i].name,
               (unsigned long long)line[i].value);
    if (json)
        puts("}");
    return code;
}
