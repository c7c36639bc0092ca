/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Names in first payloads.
 */
#include "fuzz.h"
#include <kotare/ident.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[KT_NAME_MAX];
    uint8_t len;
    for (int tcp = 0; tcp < 2; tcp++) {
        enum kt_name_kind kind =
            kt_ident_name(tcp ? KT_PROTO_TCP : KT_PROTO_UDP, data, size, name, &len);
        fuzz_must(len <= KT_NAME_MAX && (kind == KT_NAME_NONE) == (len == 0));
    }
    return 0;
}
