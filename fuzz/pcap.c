/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_source("pcapfile:", data, size);
    return 0;
}
