/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What all targets share. A target is one file with one function that takes any bytes; what must
 * hold whatever they are is said with fuzz_must(). meson.build makes two programs of it: one under
 * libFuzzer, and one (once.c) that runs the seeds as a test.
 */
#ifndef KOTARE_FUZZ_H
#define KOTARE_FUZZ_H

#include <kotare/base.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define fuzz_must(what)                                                                            \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: this must hold: %s\n", __FILE__, __LINE__, #what);             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The bytes as a text of its own, so that reading beyond its end is noticed. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    fuzz_must(text);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* The bytes as a file that has a path: "PREFIX/proc/self/fd/N". Close the result when done. */
static inline int fuzz_file(const uint8_t *data, size_t size, const char *prefix, char path[64])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    fuzz_must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, 64, "%s/proc/self/fd/%d", prefix, fd);
    return fd;
}

#endif
