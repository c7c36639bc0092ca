/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <kotare/base.h>
#include <stdio.h>

int main(void)
{
    puts("kotare " KT_VERSION);
    return 0;
}
