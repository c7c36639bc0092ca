/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "cmd.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct kt_option *find(const struct kt_option *o, const char *name, size_t len)
{
    for (; o->name; o++)
        if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

static int add(const struct kt_option *o, const char *text, struct kt_error *err)
{
    struct kt_option_list *list = o->value;
    if (list->n == KT_ARRAY_LEN(list->text))
        return kt_fail(err, KT_EINVAL, 0, "--%s can be given %zu times at most", o->name,
                       KT_ARRAY_LEN(list->text));
    list->text[list->n++] = text;
    return KT_OK;
}

static int set_number(const struct kt_option *o, const char *text, struct kt_error *err)
{
    struct kt_option_number *n = o->value;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9' || v < n->min || v > n->max)
        return kt_fail(err, KT_EINVAL, 0, "--%s: \"%s\" is not a number from %llu to %llu", o->name,
                       text, (unsigned long long)n->min, (unsigned long long)n->max);
    n->value = v;
    return KT_OK;
}

static int set(const struct kt_option *o, const char *text, struct kt_error *err)
{
    if (o->type == KT_OPTION_LIST)
        return add(o, text, err);
    if (o->type == KT_OPTION_NUMBER)
        return set_number(o, text, err);
    *(const char **)o->value = text;
    return KT_OK;
}

int kt_options_parse(const struct kt_option *options, int argc, char **argv, struct kt_error *err)
{
    uint64_t seen = 0; /* a bit for each row of the table */
    int plain = 0;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (a[0] != '-' || a[1] == '\0') { /* "-" is standard input */
            argv[++plain] = argv[i];
            continue;
        }
        if (strcmp(a, "-h") == 0)
            return KT_ENOTFOUND;
        if (a[1] != '-')
            return kt_fail(err, KT_EINVAL, 0, "%s is no option here; try --help", a);
        a += 2;
        size_t len = strcspn(a, "=");
        if (strcmp(a, "help") == 0)
            return KT_ENOTFOUND;
        const struct kt_option *o = find(options, a, len);
        if (!o)
            return kt_fail(err, KT_EINVAL, 0, "--%.*s is no option here; try --help", (int)len, a);
        if (o->type == KT_OPTION_FLAG) {
            if (a[len])
                return kt_fail(err, KT_EINVAL, 0, "--%s takes no value", o->name);
            *(bool *)o->value = true;
            continue;
        }
        const char *text = a[len] ? a + len + 1 : i + 1 < argc ? argv[++i] : NULL;
        if (!text || !*text)
            return kt_fail(err, KT_EINVAL, 0, "--%s needs a value: %s", o->name, o->argument);
        uint64_t bit = UINT64_C(1) << (o - options);
        if (seen & bit && o->type != KT_OPTION_LIST)
            return kt_fail(err, KT_EINVAL, 0, "--%s stands twice: only one value can be", o->name);
        seen |= bit;
        int rc = set(o, text, err);
        if (rc < 0)
            return rc;
    }
    return plain;
}

void kt_options_help(const struct kt_option *o, const char *usage, const char *about)
{
    printf("usage: kotare %s\n\n%s\n\n", usage, about);
    for (; o->name; o++) {
        char left[48];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->argument ? " " : "",
                 o->argument ? o->argument : "");
        printf("  %-25s %s\n", left, o->doc);
    }
}
