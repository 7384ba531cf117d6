/* Products of tiles of bf16 (AMX), and what is around them: for files that look whether TILES is 1.

   Every product here is of one kind: 32 rows with 32 columns, 32 numbers deep at a time, which are
   four pairs of tiles. The right side of one has to lie in pairs of its rows. */
#ifndef HANHUA_TILES_H
#define HANHUA_TILES_H

#include "model.h"

#if TILES
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16")
#include <immintrin.h>

#define SIDE 32 /* of a block */
#define INLINE static inline __attribute__((always_inline))

struct tiles {
    uint8_t palette, start, zero[14];
    uint16_t bytes[16];
    uint8_t rows[16];
};

/* Tiles as they were are given back: other code may think that they still are. */
INLINE void begin(struct tiles *before)
{
    struct tiles ours = {.palette = 1};
    for (int i = 0; i < 8; i++)
        ours.bytes[i] = 64, ours.rows[i] = 16;
    _tile_storeconfig(before);
    _tile_loadconfig(&ours);
}

/* c [32, 32] = a [32, 32 steps] times b, which lies as [16 steps, columns] pairs; or += where add
   is set. Lengths of rows in numbers of each. GCC does not know that loading a tile reads memory. */
INLINE void product(float *c, int64_t to_c, const uint16_t *a, int64_t to_a, const uint32_t *b,
                    int64_t to_b, int64_t steps, const int add)
{
    __asm__ volatile("" ::: "memory");
    if (add) {
        _tile_loadd(0, c, 4 * to_c);
        _tile_loadd(1, c + 16, 4 * to_c);
        _tile_loadd(2, c + 16 * to_c, 4 * to_c);
        _tile_loadd(3, c + 16 * to_c + 16, 4 * to_c);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t i = 0; i < steps; i++, a += SIDE, b += 16 * to_b) {
        _tile_loadd(4, a, 2 * to_a);
        _tile_loadd(6, b, 4 * to_b);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b + 16, 4 * to_b);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a + 16 * to_a, 2 * to_a);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, 4 * to_c);
    _tile_stored(1, c + 16, 4 * to_c);
    _tile_stored(2, c + 16 * to_c, 4 * to_c);
    _tile_stored(3, c + 16 * to_c + 16, 4 * to_c);
    __asm__ volatile("" ::: "memory");
}

/* 2^x, to 3e-6 of it; 2^0 is 1, as sums are multiplied by it again and again. Not a number stays
   one. */
INLINE __m512 power(__m512 x)
{
    __m512 r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512 y = _mm512_set1_ps(1.34266838e-2f);
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(5.22424728e-2f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(2.41280198e-1f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(6.93044841e-1f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(y, x);
}

INLINE __m512i as_half(__m512 low, __m512 high)
{
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* Two rows of 32 as pairs. */
INLINE void pair(uint32_t *to, __m512i one, __m512i other)
{
    __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39,
                                   7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    _mm512_store_si512(to, _mm512_permutex2var_epi16(one, low, other));
    _mm512_store_si512(to + 16, _mm512_permutex2var_epi16(one, high, other));
}

/* 16 rows of 16 as 16 columns. */
INLINE void turn(const void *from, int64_t to_from, void *to, int64_t to_to)
{
    __m512i a[16], b[16];
    for (int i = 0; i < 16; i++)
        a[i] = _mm512_loadu_si512((const uint32_t *)from + i * to_from);
    for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
        a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
        a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
        a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        b[i] = _mm512_shuffle_i32x4(a[i], a[4 + i], 0x88);
        b[4 + i] = _mm512_shuffle_i32x4(a[i], a[4 + i], 0xDD);
        b[8 + i] = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0x88);
        b[12 + i] = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0xDD);
    }
    for (int i = 0; i < 4; i++) {
        a[i] = _mm512_shuffle_i32x4(b[i], b[8 + i], 0x88);
        a[8 + i] = _mm512_shuffle_i32x4(b[i], b[8 + i], 0xDD);
        a[4 + i] = _mm512_shuffle_i32x4(b[4 + i], b[12 + i], 0x88);
        a[12 + i] = _mm512_shuffle_i32x4(b[4 + i], b[12 + i], 0xDD);
    }
    for (int i = 0; i < 16; i++)
        _mm512_storeu_si512((uint32_t *)to + i * to_to, a[i]);
}

#endif
#endif
