/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Why a flow has its label: in a sentence, and by the lines that may give it.
 */
#include "ident/rules.h"

static void side(const struct kt_first *d, const char *who, struct kt_buf *out)
{
    if (!d->len) {
        kt_buf_printf(out, "%s sent no payload", who);
        return;
    }
    unsigned n = d->captured < 12 ? d->captured : 12;
    kt_buf_printf(out,
                  d->midway ? "%s was first seen, midway, with %u bytes" : "%s began with %u bytes",
                  who, d->len);
    for (unsigned i = 0; i < n; i++)
        kt_buf_printf(out, i ? " %02x" : " (%02x", d->head[i]);
    if (n)
        kt_buf_str(out, n < d->len ? " …)" : ")");
}

static const struct column *find(const struct kt_rules *r, const struct kt_seen *seen,
                                 const struct kt_verdict *v)
{
    const struct index *x = &r->index[seen->proto == KT_PROTO_UDP];
    bool announced = v->accept & KT_ACCEPT_ANNOUNCED;
    unsigned n = announced ? r->announced.n : x->n;
    for (unsigned i = 0; i < n; i++) {
        const struct column *c = announced ? &r->announced.v[i] : &x->column[i];
        if (c->rule->label == v->label && c->accept == v->accept && rule_column_holds(c, seen))
            return c;
    }
    return NULL;
}

static void ports(const struct rule *r, const struct kt_seen *seen, struct kt_buf *out)
{
    struct rule_view view = {seen, 0};
    if (r->usual)
        kt_buf_printf(out,
                      kt_expr_true(r->usual, rule_load, &view) ? "; port %u is usual for it"
                                                               : "; port %u is unusual for it",
                      seen->server);
}

void kt_ident_explain(const struct kt_rules *rules, const struct kt_seen *seen,
                      const struct kt_verdict *verdict, struct kt_buf *out)
{
    const struct kt_label *l = kt_rules_label(rules, verdict->label);
    const struct column *c = verdict->accept ? find(rules, seen, verdict) : NULL;
    if (c)
        kt_buf_printf(out, "%s by rule %s (%s:%u, \"%s\"), %u%% sure: ", l->name, l->id,
                      c->rule->file, c->line->line, c->line->value, verdict->confidence);
    else if (verdict->label <= KT_LABEL_UNKNOWN_UDP)
        kt_buf_printf(out, "No rule knows this: ");
    else
        kt_buf_printf(out, "%s: ", l->name);
    if (verdict->label >= KT_LABEL_ICMP && verdict->label < KT_LABEL_FIXED_COUNT) {
        kt_buf_printf(out, "told by the IP protocol alone");
        return;
    }
    if (verdict->accept & KT_ACCEPT_ANNOUNCED)
        kt_buf_str(out, "another flow announced it; ");
    side(&seen->dir[0], "the initiator", out);
    kt_buf_str(out, ", ");
    side(&seen->dir[1], "the other side", out);
    if (c)
        ports(c->rule, seen, out);
}

/* Column `i` of all: those of TCP, those of UDP, the announced ones. */
static const struct column *column_at(const struct kt_rules *r, unsigned i)
{
    for (unsigned k = 0; k < KT_ARRAY_LEN(r->index); k++) {
        if (i < r->index[k].n)
            return &r->index[k].column[i];
        i -= r->index[k].n;
    }
    return i < r->announced.n ? &r->announced.v[i] : NULL;
}

/* Has an earlier column told the same? A pair makes several columns of a line, and two transports
 * make two. */
static bool told(const struct kt_rules *r, const struct column *c, unsigned before)
{
    for (unsigned i = 0; i < before; i++) {
        const struct column *o = column_at(r, i);
        if (o->line == c->line && o->rule == c->rule && o->confidence == c->confidence)
            return true;
    }
    return false;
}

bool kt_rules_line(const struct kt_rules *rules, unsigned label, unsigned i,
                   struct kt_rule_line *line)
{
    const struct column *c;
    for (unsigned at = 0; (c = column_at(rules, at)); at++) {
        if (c->rule->label != label || told(rules, c, at) || i-- > 0)
            continue;
        *line = (struct kt_rule_line){.file = c->rule->file,
                                      .text = c->line->value,
                                      .line = c->line->line,
                                      .accept = c->accept,
                                      .confidence = c->confidence,
                                      .priority = c->rule->priority};
        return true;
    }
    return false;
}
