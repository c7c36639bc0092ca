/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Every application of the lab's sample is found, and next to nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "walk.h"

enum { MAX_APPS = 512 };
static uint64_t bytes[MAX_APPS];

static void count(void *ctx, const struct kt_flow_record *r)
{
    const struct kt_rules *rules = ctx;
    bytes[kt_rules_label(rules, r->verdict.label)->app] += r->bytes[0] + r->bytes[1];
}

static void sample(void **state)
{
    static const char *const expected[] = {
        "DNS",      "HTTP",       "TLS",        "HTTP/2", "QUIC",   "SSH",        "NTP",
        "Redis",    "PostgreSQL", "MySQL",      "MQTT",   "Syslog", "SNMP",       "Memcached",
        "RADIUS",   "POP3",       "IMAP",       "TFTP",   "LDAP",   "iPerf",      "FTP Control",
        "FTP Data", "Rsync",      "Git",        "IRC",    "ICMP",   "No payload", "RTP",
        "SIP",      "SMTP",       "BitTorrent",
    };
    struct kt_rules *rules;
    struct kt_error err = {0};
    uint64_t found = 0, all = 0;
    (void)state;
    if (kt_rules_load_builtin(&rules, &err) < 0)
        fail_msg("%s", err.text);
    if (walk(KT_SOURCE_ROOT "/samples/lab.pcap.zst", rules, count, rules) < 0)
        skip();
    for (unsigned a = 0; a < kt_rules_apps(rules); a++) {
        all += bytes[a];
        for (size_t i = 0; i < KT_ARRAY_LEN(expected); i++)
            found += strcmp(kt_rules_app_name(rules, a), expected[i]) ? 0 : bytes[a];
    }
    for (size_t i = 0; i < KT_ARRAY_LEN(expected); i++) {
        unsigned a = 0;
        while (a < kt_rules_apps(rules) && strcmp(kt_rules_app_name(rules, a), expected[i]))
            a++;
        if (a == kt_rules_apps(rules) || !bytes[a])
            fail_msg("%s was not found", expected[i]);
    }
    assert_true(found >= all / 1000 * 990);
    kt_rules_free(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sample)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
