/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The fenced blocks of a page of docs/, for tests that run its examples.
 */
#ifndef KOTARE_TESTS_FENCED_H
#define KOTARE_TESTS_FENCED_H

#include <kotare/base.h>
#include <stdio.h>
#include <stdlib.h>

/* The text of docs/NAME, to be freed. NULL: there is none. */
static inline char *page_text(const char *name)
{
    char path[512];
    struct kt_buf text = {0};
    snprintf(path, sizeof path, "%s/docs/%s", KT_SOURCE_ROOT, name);
    FILE *f = fopen(path, "re");
    char part[4096];
    for (size_t n = f ? 1 : 0; n;) {
        n = fread(part, 1, sizeof part, f);
        kt_buf_add(&text, part, n);
    }
    if (f)
        fclose(f);
    return text.data;
}

/* Cuts the block that begins with "```KIND" out of the text at *at, which moves on behind it. NULL:
 * there is no further one. The block ends with its last newline. */
static inline char *page_block(char **at, const char *kind)
{
    char mark[64];
    snprintf(mark, sizeof mark, "\n```%s\n", kind);
    char *begin = strstr(*at, mark), *end = begin ? strstr(begin + 1, "\n```\n") : NULL;
    if (!end)
        return NULL;
    end[1] = '\0';
    *at = end + 2;
    return begin + strlen(mark);
}

/* The next line of a block, without its newline. */
static inline char *block_line(char **at)
{
    char *line = *at, *nl = strchr(line, '\n');
    if (!nl)
        return NULL;
    *nl = '\0';
    *at = nl + 1;
    return line;
}

#endif
