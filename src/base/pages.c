/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <kotare/base.h>
#include <sys/mman.h>

void *kt_pages_new(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    madvise(p, size, MADV_HUGEPAGE); /* a wish: without it all works the same */
    return p;
}

void kt_pages_free(void *pages, size_t size)
{
    if (pages)
        munmap(pages, size);
}
