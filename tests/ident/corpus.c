/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The rules against a deep classifier's opinion on a corpus of captures ($KOTARE_CORPUS, else
 * skipped): agreement by application is printed; floors hold what was reached.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "walk.h"
#include <ctype.h>
#include <stdio.h>

#define FLOOR_AGREE 3150
#define CEILING_WRONG 6
#define CEILING_MISSED 650

enum { MAX_DEEP = 8192, MAX_APPS = 512 };

struct deep {
    char file[160], label[64];
    struct kt_key key;
};

static struct deep deep[MAX_DEEP];
static unsigned n_deep;

static struct score {
    unsigned agree, wrong;
    char example[200];
} scores[MAX_APPS];
static unsigned agree, wrong, missed;

/* Other names of the same thing, or what a first payload can not tell from it. */
static const char *const same[][2] = {
    {"http", "httpproxy"},
    {"http", "httpconnect"},
    {"http", "soap"},
    {"tls", "imaps"},
    {"tls", "pops"},
    {"tls", "smtps"},
    {"tls", "applepush"},
    {"smtp", "smtps"},
    {"pop3", "pops"},
    {"redis", "resp"},
    {"ike", "ipsec"},
    {"iec104", "iec60870"},
    {"slp", "servicelocationprotocol"},
    {"dns", "dnscrypt"},
    {"stun", "srtp"},
    {"stun", "dtls"},
    {"rtp", "srtp"},
    {"smb", "netbios"},
    {"smb", "smbv23"},
    {"portmap", "nfs"},
    {"s7", "iso95061mms"},
    {"wsdiscovery", "wsd"},
    {"ptp", "ptpv2"},
    {"whois", "whoisdas"},
    {"ethernetip", "cip"},
    {"rdp", "tls"},
};

static void plain(const char *text, size_t len, char out[64])
{
    size_t n = 0;
    for (size_t i = 0; i < len && text[i] && n < 63; i++) {
        if (isalnum((unsigned char)text[i]))
            out[n++] = (char)tolower((unsigned char)text[i]);
    }
    out[n] = '\0';
}

static bool alike(const char *ours, const char *theirs)
{
    for (size_t i = 0; i < KT_ARRAY_LEN(same); i++) {
        if (!strcmp(same[i][0], ours) && !strcmp(same[i][1], theirs))
            return true;
    }
    return !strcmp(ours, theirs);
}

static bool end_of(const char *addr, const char *port, struct kt_key *k, int side)
{
    int ip;
    if (kt_addr_parse(addr, k->addr[side], &ip) < 0)
        return false;
    k->ip = (uint8_t)ip;
    k->port[side] = (uint16_t)atoi(port);
    return true;
}

/* file, proto, ip, port, ip, port, id, label, confidence, … */
static void read_deep(const char *path)
{
    char line[1024];
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) && n_deep < MAX_DEEP) {
        char *col[9], *p = line;
        for (int i = 0; i < 9; i++)
            col[i] = strsep(&p, "\t");
        struct deep *d = &deep[n_deep];
        if (!col[8] || strcmp(col[8], "DPI"))
            continue;
        *d = (struct deep){.key.proto = !strcmp(col[1], "TCP") ? KT_PROTO_TCP : KT_PROTO_UDP};
        snprintf(d->file, sizeof d->file, "%s", col[0]);
        plain(col[7], strcspn(col[7], "."), d->label);
        n_deep += end_of(col[2], col[3], &d->key, 0) && end_of(col[4], col[5], &d->key, 1);
    }
    fclose(f);
}

struct walk {
    const struct kt_rules *rules;
    const char *file;
};

static const struct deep *find(const char *file, const struct kt_key *key)
{
    for (int turn = 0; turn < 2; turn++) {
        struct kt_key k = *key;
        k.vlan[0] = k.vlan[1] = k.tunnel = 0;
        if (turn)
            kt_key_reverse(&k);
        for (unsigned i = 0; i < n_deep; i++) {
            if (!memcmp(&k, &deep[i].key, sizeof k) && !strcmp(file, deep[i].file))
                return &deep[i];
        }
    }
    return NULL;
}

static void judge(void *ctx, const struct kt_flow_record *r)
{
    struct walk *w = ctx;
    const struct kt_label *l = kt_rules_label(w->rules, r->verdict.label);
    const struct deep *d = find(w->file, &r->key);
    char ours[64];
    if (!d || l->app >= MAX_APPS || r->verdict.label == KT_LABEL_NO_PAYLOAD)
        return;
    plain(l->name, strlen(l->name), ours);
    if (r->verdict.label < KT_LABEL_FIXED_COUNT) {
        missed++;
    } else if (alike(ours, d->label)) {
        agree++;
        scores[l->app].agree++;
    } else {
        wrong++;
        if (!scores[l->app].wrong++)
            snprintf(scores[l->app].example, sizeof scores[l->app].example, "%.120s: %.60s",
                     w->file, d->label);
    }
}

static void corpus(void **state)
{
    const char *root = getenv("KOTARE_CORPUS");
    struct kt_rules *rules;
    struct kt_error err = {0};
    char path[512];
    (void)state;
    if (!root)
        skip();
    if (kt_rules_load_builtin(&rules, &err) < 0)
        fail_msg("%s", err.text);
    snprintf(path, sizeof path, "%s/labels/deep-labels.tsv", root);
    read_deep(path);
    for (unsigned i = 0; i < n_deep; i++) {
        if (i && !strcmp(deep[i].file, deep[i - 1].file))
            continue;
        snprintf(path, sizeof path, "%s/%s", root, deep[i].file);
        walk(path, rules, judge, &(struct walk){rules, deep[i].file});
    }
    for (unsigned a = 0; a < kt_rules_apps(rules) && a < MAX_APPS; a++) {
        if (scores[a].agree + scores[a].wrong)
            printf("%-16s %5u agree %4u differ  %s\n", kt_rules_app_name(rules, a), scores[a].agree,
                   scores[a].wrong, scores[a].example);
    }
    printf("%u agree, %u differ, %u not known to us\n", agree, wrong, missed);
    /* Measured with the first rules: 3210, 3, 572. */
    assert_true(agree >= FLOOR_AGREE);
    assert_true(wrong <= CEILING_WRONG);
    assert_true(missed <= CEILING_MISSED);
    kt_rules_free(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(corpus)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
