/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Chunks of flows (first byte even) and points (odd). What can be read as flows is written again
 * and must read as the same.
 */
#include "fuzz.h"
#include "store/internal.h"

static void points(const uint8_t *data, size_t size)
{
    struct kt_chunk_in in;
    uint64_t sum = 0;
    if (kt_chunk_read(&in, data, size, POINT_INTS, 0) < 0)
        return;
    for (; in.row < in.rows && !in.bad; in.row++)
        for (unsigned c = 0; c < POINT_INTS; c++)
            sum += kt_chunk_get(&in, c);
    fuzz_must(in.rows || !sum);
    kt_chunk_in_fini(&in);
}

static void flows(const uint8_t *data, size_t size)
{
    static struct kt_chunk chunk;
    static struct kt_buf blob;
    struct kt_chunk_in in, again;
    struct kt_flow_base base = {0}, out = {0};
    struct kt_flow_record r, s;
    if (kt_flow_chunk_read(&in, data, size) < 0)
        return;
    fuzz_must(chunk.memory || kt_flow_chunk_init(&chunk, KT_CHUNK_ROWS) == KT_OK);
    kt_chunk_reset(&chunk);
    kt_buf_clear(&blob);
    while (kt_flow_chunk_next(&in, &base, &r))
        kt_flow_chunk_add(&chunk, &out, &r, r.verdict.label);
    kt_chunk_in_fini(&in);
    fuzz_must(kt_chunk_write(&chunk, &blob) == KT_OK);
    fuzz_must(kt_flow_chunk_read(&again, blob.data, blob.len) == KT_OK);
    fuzz_must(kt_flow_chunk_read(&in, data, size) == KT_OK);
    base = out = (struct kt_flow_base){0};
    for (uint32_t i = 0; i < chunk.rows; i++) {
        fuzz_must(kt_flow_chunk_next(&in, &base, &r) && kt_flow_chunk_next(&again, &out, &s));
        fuzz_must(memcmp(&r, &s, sizeof r) == 0);
    }
    kt_chunk_in_fini(&in);
    kt_chunk_in_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (*data % 2)
        points(data + 1, size - 1);
    else
        flows(data + 1, size - 1);
    return 0;
}
