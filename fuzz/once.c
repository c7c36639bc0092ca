/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Runs a target once over files and folders of seeds: the test of what fuzzing has found, in any
 * build. "FILE…" also replays a crash without libFuzzer.
 */
#include "fuzz.h"
#include <dirent.h>
#include <errno.h>

static unsigned run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct kt_buf b = {0};
    size_t n;
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(2);
    }
    do {
        void *room = kt_buf_room(&b, 65536);
        fuzz_must(room);
        b.len += n = fread(room, 1, 65536, f);
    } while (n);
    fclose(f);
    uint8_t *exact = malloc(b.len ? b.len : 1); /* a byte too far is seen by ASan */
    fuzz_must(exact);
    memcpy(exact, b.data, b.len);
    printf("%s: %zu bytes\n", path, b.len);
    fflush(stdout);
    LLVMFuzzerTestOneInput(exact, b.len);
    free(exact);
    kt_buf_free(&b);
    return 1;
}

static unsigned run_folder(const char *path)
{
    struct dirent **entry;
    unsigned ran = 0;
    int n = scandir(path, &entry, NULL, alphasort);
    if (n < 0)
        return run_file(path);
    for (int i = 0; i < n; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entry[i]->d_name);
        if (entry[i]->d_name[0] != '.')
            ran += run_file(name);
        free(entry[i]);
    }
    free(entry);
    return ran;
}

int main(int argc, char **argv)
{
    unsigned ran = 0;
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        ran += run_folder(argv[i]);
    printf("%u seeds\n", ran);
    return ran == 0;
}
