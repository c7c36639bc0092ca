/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <kotare/base.h>
#include <stdlib.h>

enum { LEAST = 1024 }; /* bytes */

void *kt_array_grow(void *array, size_t n, size_t *cap, size_t size)
{
    size_t want = *cap > SIZE_MAX / 2 ? SIZE_MAX : *cap * 2;
    if (want < LEAST / size)
        want = LEAST / size;
    if (want < n)
        want = n;
    if (want == 0 || want > SIZE_MAX / size)
        return NULL;
    void *bigger = realloc(array, want * size);
    if (bigger)
        *cap = want;
    return bigger;
}
