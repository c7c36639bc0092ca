/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Own rules beside those that are built in: which of them wins, what they replace, switch off and
 * leave alone, and what is said of paths that are no rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ident/rules.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD(id, priority)                                                                         \
    "protocol: " id "\nname: Own " id "\ntransport: tcp\ncategory: test\npriority: " #priority "\n"

static char folder[] = "/tmp/kotare-beside-XXXXXX", path[2][64];

/* Writes the n-th file. */
static const char *file(unsigned n, const char *text)
{
    snprintf(path[n], sizeof path[n], "%s/%u.rule", folder, n);
    FILE *f = fopen(path[n], "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return path[n];
}

static struct kt_rules *beside(const char *text)
{
    const char *p = file(0, text);
    struct kt_rules *r;
    struct kt_error err = {0};
    if (kt_rules_load_beside(&r, &p, 1, &err) < 0 || kt_rules_check(r, &err) < 0)
        fail_msg("%s", err.text);
    return r;
}

static void refused(const char *text, const char *reason)
{
    const char *p = file(0, text);
    struct kt_rules *r = NULL;
    struct kt_error err = {0};
    int rc = kt_rules_load_beside(&r, &p, 1, &err);
    if (rc == KT_OK)
        rc = kt_rules_check(r, &err);
    assert_int_equal(rc, KT_EFORMAT);
    assert_memory_equal(err.text, p, strlen(p));
    assert_string_equal(err.text + strlen(p), reason);
    kt_rules_free(r);
}

static struct kt_first first(const char *text)
{
    struct kt_first f = {.len = (uint32_t)strlen(text), .captured = (uint8_t)strlen(text)};
    memcpy(f.head, text, f.len);
    return f;
}

static const char *told(const struct kt_rules *r, const char *both)
{
    struct kt_seen seen = {.proto = KT_PROTO_TCP,
                           .ip = 4,
                           .client = 40000,
                           .server = 22,
                           .dir = {first(both), first(both)}};
    struct kt_verdict v;
    kt_ident_match(r, &seen, &v);
    return kt_rules_label(r, v.label)->id;
}

static void priority(void **state)
{
    (void)state;
    struct kt_rules *r = beside("# nothing to do with SSH\n\n" HEAD(
        "chirp", 10) "shape x: text \"CHRP\"\naccept: both x\n"
                     "example: 40000 > 1; up \"CHRP\"; down \"CHRP\"\n");
    assert_string_equal(told(r, "CHRP"), "chirp");
    assert_string_equal(told(r, "SSH-2.0-x"), "ssh");
    kt_rules_free(r);
    r = beside(HEAD("mine", 10) "shape x: text \"SSH-2.0-mine\"\naccept: both x\n");
    assert_string_equal(told(r, "SSH-2.0-mine"), "mine"); /* ssh has 10, too */
    assert_string_equal(told(r, "SSH-2.0-x"), "ssh");
    kt_rules_free(r);
    r = beside(HEAD("mine", 11) "shape x: text \"SSH-2.0-mine\"\naccept: both x\n");
    assert_string_equal(told(r, "SSH-2.0-mine"), "ssh");
    kt_rules_free(r);
}

/* By its identifier, with all blocks of it, and also where it is announced. */
static void replaced(void **state)
{
    (void)state;
    struct kt_rules *r = beside(HEAD("ssh", 900) "shape x: text \"SSH-3\"\naccept: both x\n");
    assert_string_equal(told(r, "SSH-3.0"), "ssh");
    assert_string_equal(told(r, "SSH-2.0"), "unknown-tcp");
    unsigned n = 0;
    for (unsigned i = 0; i < kt_rules_labels(r); i++) {
        if (strcmp(kt_rules_label(r, i)->id, "ssh"))
            continue;
        assert_string_equal(kt_rules_label(r, i)->name, "Own ssh");
        n++;
    }
    assert_int_equal(n, 1);
    kt_rules_free(r);
    r = beside(HEAD("ftp-data", 900) "shape x: text \"x\"\naccept: both x\n");
    assert_int_equal(r->announces[READ_FTP], 0);
    assert_int_not_equal(r->announces[READ_TFTP], 0);
    kt_rules_free(r);
}

static void switched_off(void **state)
{
    (void)state;
    struct kt_rules *r = beside("protocol: ssh\nnote: not wanted here\nenabled: no\n\n"
                                "protocol: ftp-data\nenabled: no\n");
    assert_string_equal(told(r, "SSH-2.0"), "unknown-tcp");
    assert_int_equal(r->announces[READ_FTP], 0);
    for (unsigned i = 0; i < kt_rules_labels(r); i++)
        assert_string_not_equal(kt_rules_label(r, i)->id, "ssh");
    kt_rules_free(r);
    refused("\nprotocol: shh\nenabled: no\n",
            ":2: there is no built-in protocol 'shh' to switch off");
}

/* Own rules may use the built-in shared blocks, and name theirs alike: the built-in rules stay as
 * they were. */
static void shared(void **state)
{
    (void)state;
    struct kt_rules *r = beside("shared: dns-header\nshape dns-query: text \"none\"\n"
                                "accept: both dns-query\n\n" HEAD(
                                    "a", 5) "accept: pair dns-header\n"
                                            "example: 1 > 2; up \"none\"; down \"none\"\n\n" HEAD(
                                                "b", 1000) "accept: both cut\n");
    for (struct rule *b = r->rules; b; b = b->next)
        b->builtin = false; /* so that all examples are run */
    struct kt_error err = {0};
    if (kt_rules_check(r, &err) < 0)
        fail_msg("%s", err.text);
    kt_rules_free(r);
}

static void mistakes(void **state)
{
    (void)state;
    refused(HEAD("a", 10) "shape x: text \"x\"\naccept: both x\nexample: 1 > 2; up \"x\"\n",
            ":8: the example is taken for 'unknown-tcp', not 'a'");
    refused(HEAD("a", 10) "accept: both missing\n", ":6: there is no shape 'missing'");
    refused("", ": there is no rule in it");
    refused("# only a remark\n\n", ": there is no rule in it");
}

static void paths(void **state)
{
    (void)state;
    struct kt_rules *r;
    struct kt_error err = {0};
    const char *p[] = {file(0, HEAD("a", 5) "shape x: text \"xyz\"\naccept: both x\n"),
                       file(1, HEAD("b", 5) "shape x: text \"x\"\naccept: both x\n")};
    assert_int_equal(kt_rules_load_beside(&r, p, 2, &err), KT_OK);
    assert_string_equal(told(r, "xyz"), "a"); /* in the order given */
    assert_string_equal(told(r, "x"), "b");
    assert_string_equal(told(r, "SSH-2.0"), "ssh");
    kt_rules_free(r);
    p[0] = folder;
    assert_int_equal(kt_rules_load(&r, p, 1, &err), KT_OK);
    assert_string_equal(told(r, "x"), "b");
    assert_string_equal(told(r, "SSH-2.0"), "unknown-tcp");
    kt_rules_free(r);
    unlink(path[0]);
    unlink(path[1]);
    assert_int_equal(kt_rules_load(&r, p, 1, &err), KT_EFORMAT);
    assert_non_null(strstr(err.text, ": there is no *.rule file in this folder"));
    p[0] = path[0];
    assert_int_equal(kt_rules_load(&r, p, 1, &err), KT_ENOTFOUND);
    assert_non_null(strstr(err.text, ".rule: cannot open: No such file or directory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priority), cmocka_unit_test(replaced), cmocka_unit_test(switched_off),
        cmocka_unit_test(shared),   cmocka_unit_test(mistakes), cmocka_unit_test(paths),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path[0]);
    unlink(path[1]);
    rmdir(folder);
    return failed;
}
