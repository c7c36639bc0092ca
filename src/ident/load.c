/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Rule sets from files, from folders (their *.rule files by name), and from the program itself.
 */
#include "ident/rules.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { MAX_FILE = 4 << 20 };

static int read_file(struct kt_rules *r, const char *path, struct kt_error *err)
{
    struct kt_buf text = {0};
    FILE *f = fopen(path, "rbe");
    if (!f)
        return kt_fail_errno(err, errno, "%s: cannot open", path);
    size_t n = 1;
    while (n && text.len <= MAX_FILE && !text.failed) {
        char part[8192];
        n = fread(part, 1, sizeof part, f);
        kt_buf_add(&text, part, n);
    }
    int rc = ferror(f)             ? kt_fail(err, KT_EIO, 0, "%s: can not be read", path)
             : text.failed         ? kt_fail(err, KT_ENOMEM, 0, "%s: no memory", path)
             : text.len > MAX_FILE ? kt_fail(err, KT_EFORMAT, 0, "%s: larger than 4 MiB", path)
                                   : rule_parse(r, path, text.data ? text.data : "", text.len, err);
    fclose(f);
    kt_buf_free(&text);
    return rc;
}

static int is_rule(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return n > 5 && e->d_name[0] != '.' && !strcmp(e->d_name + n - 5, ".rule");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_folder(struct kt_rules *r, const char *path, struct kt_error *err)
{
    struct dirent **list;
    int n = scandir(path, &list, is_rule, by_name), rc = KT_OK;
    if (n < 0)
        return kt_fail_errno(err, errno, "%s: cannot open", path);
    if (n == 0)
        rc = kt_fail(err, KT_EFORMAT, 0, "%s: there is no *.rule file in this folder", path);
    for (int i = 0; i < n; i++) {
        struct kt_buf file = {0};
        kt_buf_printf(&file, "%s/%s", path, list[i]->d_name);
        if (rc == KT_OK)
            rc = file.failed ? kt_fail(err, KT_ENOMEM, 0, "no memory for rules")
                             : read_file(r, file.data, err);
        kt_buf_free(&file);
        free(list[i]);
    }
    free(list);
    return rc;
}

static struct kt_rules *fresh(void)
{
    struct kt_rules *r = calloc(1, sizeof *r);
    if (r)
        r->last = &r->rules;
    return r;
}

static int finish(struct kt_rules **rules, struct kt_rules *r, int rc, struct kt_error *err)
{
    if (rc == KT_OK)
        rc = rule_finish(r, err);
    if (rc < 0)
        kt_rules_free(r);
    else
        *rules = r;
    return rc;
}

static int read_path(struct kt_rules *r, const char *path, struct kt_error *err)
{
    struct stat st;
    unsigned before = r->n_rules;
    if (stat(path, &st) < 0)
        return kt_fail_errno(err, errno, "%s: cannot open", path);
    int rc = S_ISDIR(st.st_mode) ? read_folder(r, path, err) : read_file(r, path, err);
    if (rc == KT_OK && r->n_rules == before)
        rc = kt_fail(err, KT_EFORMAT, 0, "%s: there is no rule in it", path);
    return rc;
}

static int read_builtin(struct kt_rules *r, struct kt_error *err)
{
    struct rule **first = r->last;
    int rc = KT_OK;
    for (const struct rule_text *t = rule_builtin; t->name && rc == KT_OK; t++)
        rc = rule_parse(r, t->name, t->text, t->len, err);
    for (struct rule *b = *first; b; b = b->next)
        b->builtin = true;
    return rc;
}

static int load(struct kt_rules **rules, const char *const *paths, unsigned n, bool builtin,
                struct kt_error *err)
{
    struct kt_rules *r = fresh();
    int rc = KT_OK;
    *rules = NULL;
    if (!r)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for rules");
    for (unsigned i = 0; i < n && rc == KT_OK; i++)
        rc = read_path(r, paths[i], err);
    if (builtin && rc == KT_OK)
        rc = read_builtin(r, err);
    return finish(rules, r, rc, err);
}

int kt_rules_load(struct kt_rules **rules, const char *const *paths, unsigned n,
                  struct kt_error *err)
{
    return load(rules, paths, n, false, err);
}

int kt_rules_load_builtin(struct kt_rules **rules, struct kt_error *err)
{
    return load(rules, NULL, 0, true, err);
}

int kt_rules_load_beside(struct kt_rules **rules, const char *const *paths, unsigned n,
                         struct kt_error *err)
{
    return load(rules, paths, n, true, err);
}

int kt_rules_load_text(struct kt_rules **rules, const char *name, const char *text, size_t len,
                       struct kt_error *err)
{
    struct kt_rules *r = fresh();
    *rules = NULL;
    if (!r)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for rules");
    return finish(rules, r, rule_parse(r, name, text, len, err), err);
}
