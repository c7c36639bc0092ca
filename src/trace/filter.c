/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"
#include <pcap/pcap.h>
#include <stdlib.h>

enum { LINKS = 8 }; /* a file with more kinds of links than this has not been seen */

struct kt_filter {
    char *expression;
    unsigned n;
    struct {
        uint16_t link;
        struct bpf_program program;
    } of[LINKS];
};

/* The program for a link type, compiled when it is met first. */
static int program(struct kt_source *s, uint16_t link, struct bpf_program **found,
                   struct kt_error *err)
{
    struct kt_filter *f = s->filter;
    for (unsigned i = 0; i < f->n; i++)
        if (f->of[i].link == link) {
            *found = &f->of[i].program;
            return KT_OK;
        }
    if (f->n == LINKS)
        return kt_fail(err, KT_EUNSUPPORTED, 0, "%s: too many link types to filter", s->name);
    pcap_t *dead = pcap_open_dead(link == KT_LINK_RAW ? DLT_RAW : link, 262144);
    if (!dead)
        return kt_fail(err, KT_ENOMEM, 0, "%s: no memory for the filter", s->name);
    struct bpf_program *p = &f->of[f->n].program;
    int rc = KT_OK;
    if (pcap_compile(dead, p, f->expression, 1, PCAP_NETMASK_UNKNOWN) < 0)
        rc = kt_fail(err, KT_EINVAL, 0, "the filter '%s' is wrong: %s", f->expression,
                     pcap_geterr(dead));
    else
        f->of[f->n++].link = link;
    pcap_close(dead);
    *found = p;
    return rc;
}

int kt_filter_new(struct kt_source *s, const char *expression, struct kt_error *err)
{
    struct bpf_program *p;
    s->filter = calloc(1, sizeof *s->filter);
    if (s->filter)
        s->filter->expression = strdup(expression);
    if (!s->filter || !s->filter->expression)
        return kt_fail(err, KT_ENOMEM, 0, "%s: no memory for the filter", s->name);
    return program(s, KT_LINK_ETHERNET, &p, err); /* nonsense is told at once */
}

int kt_filter_batch(struct kt_source *s, struct kt_batch *batch, struct kt_error *err)
{
    unsigned kept = 0, n = batch->n;
    for (unsigned i = 0; i < n; i++) {
        const struct kt_packet *p = &batch->packet[i];
        struct bpf_program *match;
        int rc = program(s, p->link, &match, err);
        if (rc < 0)
            return rc;
        if (bpf_filter(match->bf_insns, p->data, p->wirelen, p->caplen))
            batch->packet[kept++] = *p;
    }
    batch->n = kept;
    kt_count_add(&s->filtered, n - kept);
    return KT_OK;
}

void kt_filter_free(struct kt_filter *f)
{
    for (unsigned i = 0; f && i < f->n; i++)
        pcap_freecode(&f->of[i].program);
    if (f)
        free(f->expression);
    free(f);
}
