/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "cmd.h"
#include <stdio.h>

static const struct kt_command commands[] = {
    {"watch", "carry captures or an interface through to the page", kt_cmd_watch},
    {"count", "read, decode and count packets", kt_cmd_count},
};

static void help(FILE *out)
{
    fputs("usage: kotare COMMAND [OPTIONS] …\n\n", out);
    for (size_t i = 0; i < KT_ARRAY_LEN(commands); i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fputs("\nkotare COMMAND --help tells more.\n"
          "Exit codes: 0 ok, 1 usage, 2 bad input, 3 system, 4 store.\n",
          out);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        return puts("kotare " KT_VERSION) < 0;
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        help(stdout);
        return 0;
    }
    for (size_t i = 0; argc > 1 && i < KT_ARRAY_LEN(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (argc > 1)
        fprintf(stderr, "kotare: there is no command \"%s\"\n", argv[1]);
    help(stderr);
    return 1;
}
