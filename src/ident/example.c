/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Examples in rules: "example: 40000 > 53; up 12 34 01 00 len 30; down silent; = dns". Ports, the
 * first payload of the initiator (up) and of the other side (down) as a byte pattern ("midway"
 * before it: not the beginning), the length when it is more than what is written, and the expected
 * identifier when it is not the rule's own
 * ("unknown" for none). "announced" before all that: another flow announced this one.
 */
#include "ident/rules.h"
#include <stdio.h>
#include <stdlib.h>

struct example {
    struct kt_seen seen;
    const char *expect;
};

static const char *blanks(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

static bool word(const char **p, const char *w)
{
    size_t n = strlen(w);
    const char *at = blanks(*p);
    if (strncmp(at, w, n))
        return false;
    *p = at + n;
    return true;
}

static bool number(const char **p, unsigned long max, unsigned long *v)
{
    const char *at = blanks(*p);
    char *end;
    *v = strtoul(at, &end, 10);
    *p = end;
    return end != at && *v <= max;
}

static const char *payload(const char *p, struct kt_first *d)
{
    uint8_t mask[1024], value[1024];
    unsigned long len = 0;
    if (word(&p, "silent"))
        return p;
    d->midway = word(&p, "midway");
    int n = kt_expr_bytes(p, value, mask, sizeof value, &p, NULL);
    if (n < 0)
        return NULL;
    d->len = (uint32_t)n;
    if (word(&p, "len")) {
        if (!number(&p, 65535, &len) || len < (unsigned long)n)
            return NULL;
        d->len = (uint32_t)len;
    }
    /* What is not written is 0x55: neither text nor anything likely. */
    d->captured = d->len < KT_IDENT_HEAD ? (uint8_t)d->len : KT_IDENT_HEAD;
    memset(d->head, 0x55, d->captured);
    for (int i = 0; i < n && i < KT_IDENT_HEAD; i++)
        d->head[i] = mask[i] ? value[i] : 0x55;
    return d->len ? p : NULL;
}

static bool parse(const struct rule *r, const char *p, struct example *e)
{
    unsigned long client, server;
    *e = (struct example){.expect = r->id};
    e->seen.proto = r->tcp ? KT_PROTO_TCP : KT_PROTO_UDP;
    e->seen.ip = 4;
    e->seen.ip4[0] = 0x0a000001;
    e->seen.ip4[1] = 0x0a000002;
    if (word(&p, "announced"))
        e->seen.announced = (uint16_t)r->label;
    if (word(&p, "tcp"))
        e->seen.proto = KT_PROTO_TCP;
    else if (word(&p, "udp"))
        e->seen.proto = KT_PROTO_UDP;
    if (!number(&p, 65535, &client) || !word(&p, ">") || !number(&p, 65535, &server))
        return false;
    e->seen.client = (uint16_t)client;
    e->seen.server = (uint16_t)server;
    while (p && word(&p, ";")) {
        if (word(&p, "up"))
            p = payload(p, &e->seen.dir[0]);
        else if (word(&p, "down"))
            p = payload(p, &e->seen.dir[1]);
        else if (word(&p, "=")) {
            e->expect = blanks(p);
            return *e->expect != '\0';
        } else {
            return false;
        }
    }
    return p && !*blanks(p);
}

static bool as_expected(const struct kt_rules *s, const char *expect, unsigned label)
{
    if (!strcmp(expect, "unknown"))
        return label <= KT_LABEL_UNKNOWN_UDP;
    return !strcmp(expect, kt_rules_label(s, label)->id);
}

int kt_rules_check(const struct kt_rules *s, struct kt_error *err)
{
    /* Own blocks stand first: what is built in was checked when it was built. */
    bool beside = s->rules && !s->rules->builtin;
    for (const struct rule *r = s->rules; r && !(beside && r->builtin); r = r->next) {
        for (unsigned i = 0; i < r->n_lines && r->enabled; i++) {
            const struct rule_line *l = &r->lines[i];
            struct example e;
            struct kt_verdict v, slow;
            if (strcmp(l->key, "example"))
                continue;
            if (!parse(r, l->value, &e))
                return rule_fail(err, r, l->line,
                                 "an example looks like '40000 > 53; up 12 34 len "
                                 "30; down silent', not like '%.80s'",
                                 l->value);
            kt_ident_match(s, &e.seen, &v);
            rule_match_slowly(s, &e.seen, &slow);
            if (v.label != slow.label || v.accept != slow.accept)
                return rule_fail(err, r, l->line, "the index says '%s', the rules say '%s'",
                                 kt_rules_label(s, v.label)->id, kt_rules_label(s, slow.label)->id);
            if (!as_expected(s, e.expect, v.label))
                return rule_fail(err, r, l->line, "the example is taken for '%s', not '%s'",
                                 kt_rules_label(s, v.label)->id, e.expect);
        }
    }
    return KT_OK;
}
