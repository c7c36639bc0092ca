/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Rule files: any text loads or is refused with a sentence; what loads matches, and its index
 * agrees with running every rule.
 */
#include "ident/rules.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kt_error err = {0};
    struct kt_rules *r;
    if (size > 8192)
        return 0;
    if (kt_rules_load_text(&r, "fuzz.rule", (const char *)data, size, &err) < 0) {
        fuzz_must(err.text[0]);
        return 0;
    }
    int rc = kt_rules_check(r, &err);
    int told = 0; /* anchored, as an example may quote anything */
    if (rc < 0)
        (void)!sscanf(err.text, "fuzz.rule:%*u: the index says %n", &told);
    fuzz_must(!told);
    for (unsigned n = 0; n < 64 && size > 40; n++) {
        struct kt_seen seen = {.proto = n & 1 ? KT_PROTO_TCP : KT_PROTO_UDP, .ip = 4};
        const uint8_t *p = data + n * 7 % (size - 32);
        struct kt_verdict v, slow;
        struct kt_buf out = {0};
        seen.client = p[1];
        seen.server = p[2];
        for (unsigned d = 0; d < 2; d++) {
            seen.dir[d].len = n & 2u << d ? p[d] : 0;
            seen.dir[d].captured = seen.dir[d].len < 32 ? (uint8_t)seen.dir[d].len : 32;
            memcpy(seen.dir[d].head, p, seen.dir[d].captured);
        }
        kt_ident_match(r, &seen, &v);
        rule_match_slowly(r, &seen, &slow);
        fuzz_must(v.label == slow.label && v.accept == slow.accept);
        kt_ident_explain(r, &seen, &v, &out);
        kt_buf_free(&out);
    }
    kt_rules_free(r);
    return 0;
}
