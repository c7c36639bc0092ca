/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Rule sets from a file, from a folder (its *.rule files by name), or from the program itself.
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
        return kt_fail_errno(err, errno, "%s", path);
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
        return kt_fail_errno(err, errno, "%s", path);
    if (n == 0)
        rc = kt_fail(err, KT_ENOTFOUND, 0, "%s: no *.rule file there", path);
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

int kt_rules_load(struct kt_rules **rules, const char *path, struct kt_error *err)
{
    struct stat st;
    *rules = NULL;
    if (stat(path, &st) < 0)
        return kt_fail_errno(err, errno, "%s", path);
    struct kt_rules *r = fresh();
    if (!r)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for rules");
    int rc = S_ISDIR(st.st_mode) ? read_folder(r, path, err) : read_file(r, path, err);
    return finish(rules, r, rc, err);
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

int kt_rules_load_builtin(struct kt_rules **rules, struct kt_error *err)
{
    struct kt_rules *r = fresh();
    int rc = KT_OK;
    *rules = NULL;
    if (!r)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for rules");
    for (const struct rule_text *t = rule_builtin; t->name && rc == KT_OK; t++)
        rc = rule_parse(r, t->name, t->text, t->len, err);
    return finish(rules, r, rc, err);
}
