/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The plain fields of the blocks, the labels and application numbers, and the steps from parsed
 * blocks to a rule set that matches.
 */
#include "ident/rules.h"
#include <stdlib.h>

static const struct kt_label fixed[KT_LABEL_FIXED_COUNT] = {
    [KT_LABEL_UNKNOWN_TCP] = {"unknown-tcp", "Unknown TCP", "unknown", 0},
    [KT_LABEL_UNKNOWN_UDP] = {"unknown-udp", "Unknown UDP", "unknown", 0},
    [KT_LABEL_NO_PAYLOAD] = {"no-payload", "No payload", "no payload", 0},
    [KT_LABEL_ICMP] = {"icmp", "ICMP", "icmp", 0},
    [KT_LABEL_OTHER_IP] = {"other-ip", "Other IP", "other", 0},
    [KT_LABEL_NOT_IP] = {"not-ip", "Not IP", "other", 0},
};

static int number(struct kt_error *err, const struct rule *r, const struct rule_line *l, int max,
                  int *out)
{
    char *end;
    long v = strtol(l->value, &end, 10);
    if (end == l->value || *end || v < 0 || v > max)
        return rule_fail(err, r, l->line, "%s is a number from 0 to %d, not '%.40s'", l->key, max,
                         l->value);
    *out = (int)v;
    return KT_OK;
}

static int transport(struct kt_error *err, struct rule *r, const struct rule_line *l)
{
    r->tcp = strstr(l->value, "tcp") != NULL;
    r->udp = strstr(l->value, "udp") != NULL;
    if (strcmp(l->value, "tcp") && strcmp(l->value, "udp") && strcmp(l->value, "tcp udp"))
        return rule_fail(err, r, l->line, "transport is 'tcp', 'udp' or 'tcp udp', not '%.40s'",
                         l->value);
    return KT_OK;
}

static int field(struct kt_error *err, struct rule *r, const struct rule_line *l)
{
    if (!strcmp(l->key, "name"))
        r->name = l->value;
    else if (!strcmp(l->key, "category"))
        r->category = l->value;
    else if (!strcmp(l->key, "transport"))
        return transport(err, r, l);
    else if (!strcmp(l->key, "priority"))
        return number(err, r, l, 1000, &r->priority);
    else if (!strcmp(l->key, "confidence"))
        return number(err, r, l, 100, &r->confidence);
    else if (!strcmp(l->key, "enabled")) {
        r->enabled = !strcmp(l->value, "yes");
        if (!r->enabled && strcmp(l->value, "no"))
            return rule_fail(err, r, l->line, "enabled is 'yes' or 'no', not '%.40s'", l->value);
    }
    return KT_OK;
}

static bool repeats(const char *key)
{
    return !strcmp(key, "shape") || !strcmp(key, "accept") || !strcmp(key, "refuse") ||
           !strcmp(key, "note") || !strcmp(key, "example") || !strcmp(key, "spec") ||
           !strcmp(key, "source") || !strcmp(key, "announces") || !strcmp(key, "announced");
}

static int fields(struct kt_error *err, struct rule *r)
{
    for (unsigned i = 0; i < r->n_lines; i++) {
        const struct rule_line *l = &r->lines[i];
        int rc = field(err, r, l);
        for (unsigned j = 0; j < i && rc == KT_OK && !repeats(l->key); j++) {
            if (!strcmp(r->lines[j].key, l->key))
                rc = rule_fail(err, r, l->line, "a second '%s:' (the first is in line %u)", l->key,
                               r->lines[j].line);
        }
        if (rc < 0)
            return rc;
    }
    if (r->shared || !r->enabled)
        return KT_OK;
    const char *missing = !r->name             ? "name"
                          : !r->category       ? "category"
                          : !r->tcp && !r->udp ? "transport"
                          : r->priority < 0    ? "priority"
                                               : NULL;
    return missing ? rule_fail(err, r, r->line, "'%s' has no '%s:' line", r->id, missing) : KT_OK;
}

/* Blocks of one identifier share a label and must agree on what it is. */
static int label_of(struct kt_rules *s, struct rule *r, struct kt_error *err)
{
    for (unsigned i = 0; i < s->n_labels; i++) {
        struct kt_label *l = &s->labels[i];
        if (strcmp(l->id, r->id))
            continue;
        if (i < KT_LABEL_FIXED_COUNT || strcmp(l->name, r->name) ||
            strcmp(l->category, r->category))
            return rule_fail(err, r, r->line, "'%s' is taken by '%s' in category '%s'", r->id,
                             l->name, l->category);
        r->label = i;
        return KT_OK;
    }
    if (s->n_labels == UINT16_MAX)
        return rule_fail(err, r, r->line, "too many protocols (65535 at most)");
    r->label = s->n_labels++;
    s->labels[r->label] = (struct kt_label){r->id, r->name, r->category, 0};
    return KT_OK;
}

static void apps(struct kt_rules *s)
{
    for (unsigned i = 0; i < s->n_labels; i++) {
        unsigned a = 0;
        while (a < s->n_apps && strcmp(s->app_name[a], s->labels[i].name))
            a++;
        if (a == s->n_apps) {
            s->app_name[a] = s->labels[i].name;
            s->app_category[a] = s->labels[i].category;
            s->n_apps++;
        }
        s->labels[i].app = (uint16_t)a;
    }
}

static int labels(struct kt_rules *s, struct kt_error *err)
{
    size_t n = KT_LABEL_FIXED_COUNT + s->n_rules;
    s->labels = kt_arena_alloc(&s->arena, n * sizeof *s->labels);
    s->app_name = kt_arena_alloc(&s->arena, n * sizeof *s->app_name);
    s->app_category = kt_arena_alloc(&s->arena, n * sizeof *s->app_category);
    if (!s->labels || !s->app_name || !s->app_category)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for rules");
    memcpy(s->labels, fixed, sizeof fixed);
    s->n_labels = KT_LABEL_FIXED_COUNT;
    for (struct rule *r = s->rules; r; r = r->next) {
        int rc = r->shared || !r->enabled ? KT_OK : label_of(s, r, err);
        if (rc < 0)
            return rc;
    }
    apps(s);
    return KT_OK;
}

/* A block of one's own takes the place of all built-in ones of its identifier. */
static int replace(const struct rule *own, struct kt_error *err)
{
    bool found = false, says_more = false;
    for (struct rule *r = own->next; r; r = r->next) {
        if (!r->builtin || r->shared || strcmp(r->id, own->id))
            continue;
        r->enabled = false;
        found = true;
    }
    for (unsigned i = 0; i < own->n_lines; i++)
        says_more |= strcmp(own->lines[i].key, "enabled") && strcmp(own->lines[i].key, "note");
    if (!found && !own->enabled && !says_more)
        return rule_fail(err, own, own->line, "there is no built-in protocol '%s' to switch off",
                         own->id);
    return KT_OK;
}

int rule_finish(struct kt_rules *s, struct kt_error *err)
{
    int rc = KT_OK;
    for (struct rule *r = s->rules; r && rc == KT_OK; r = r->next)
        rc = fields(err, r);
    for (const struct rule *r = s->rules; r && !r->builtin && rc == KT_OK; r = r->next)
        rc = r->shared ? KT_OK : replace(r, err);
    if (rc == KT_OK)
        rc = rule_compile(s, err);
    if (rc == KT_OK)
        rc = labels(s, err);
    if (rc == KT_OK)
        rc = rule_announces(s, err);
    return rc < 0 ? rc : rule_index(s, err);
}

void kt_rules_free(struct kt_rules *rules)
{
    if (!rules)
        return;
    for (unsigned i = 0; i < 2; i++)
        rule_index_free(&rules->index[i]);
    for (size_t i = 0; i < rules->exprs.n; i++)
        kt_expr_free(rules->exprs.v[i]);
    free(rules->exprs.v);
    kt_arena_free(&rules->arena);
    free(rules);
}

unsigned kt_rules_labels(const struct kt_rules *rules)
{
    return rules->n_labels;
}

const struct kt_label *kt_rules_label(const struct kt_rules *rules, unsigned label)
{
    return &rules->labels[label < rules->n_labels ? label : KT_LABEL_UNKNOWN_TCP];
}

unsigned kt_rules_apps(const struct kt_rules *rules)
{
    return rules->n_apps;
}

const char *kt_rules_app_name(const struct kt_rules *rules, unsigned app)
{
    return app < rules->n_apps ? rules->app_name[app] : "";
}

const char *kt_rules_app_category(const struct kt_rules *rules, unsigned app)
{
    return app < rules->n_apps ? rules->app_category[app] : "";
}
