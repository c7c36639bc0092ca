/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The fuzzer's bytes as a file that has a path.
 */
#ifndef KOTARE_FUZZ_FILE_H
#define KOTARE_FUZZ_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Writes "PREFIX/proc/self/fd/N" into path; close the result when done. */
static inline int fuzz_file(const uint8_t *data, size_t size, const char *prefix, char path[64])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, 64, "%s/proc/self/fd/%d", prefix, fd);
    return fd;
}

#endif
