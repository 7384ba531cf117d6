/* Attention inside documents for processors that multiply tiles of bf16 (AMX).

   After FlashAttention-2 (arXiv 2307.08691): scores are made a block at a time, and made again for
   the gradient, from what is kept of the softmax. Every product here is of one kind: 32 rows with
   32 columns, 32 numbers deep at a time, which are four pairs of tiles. The right side of one has
   to lie in pairs of its rows. Queries, keys and a head's numbers are filled up to blocks with
   zeros; what fills a document up comes after it, where none of its queries looks. */
#include "within.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    __GNUC__ >= 11
#define TILES 1
#else
#define TILES 0
#endif

#if TILES
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ASK_LEAVE 0x1023 /* arch_prctl: ARCH_REQ_XCOMP_PERM */
#define TILE_DATA 18

/* Runs on any processor, so it stands before the compiler is told what this one has. */
static int look(void)
{
    unsigned a, b, c, d, more;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) || !(d >> 24 & 1))
        return 0; /* AMX-BF16 and AMX-TILE */
    if (!__get_cpuid_count(7, 1, &more, &b, &c, &d) || !(more >> 5 & 1))
        return 0; /* AVX512_BF16 */
    if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl"))
        return 0;
    return syscall(SYS_arch_prctl, ASK_LEAVE, TILE_DATA) == 0;
}

int within_can(void)
{
    static int found = -1;
    if (found < 0)
        found = look();
    return found && generation() > 1;
}

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

/* 2^x, to 3e-6 of it; of less than -126, that of -126. Not a number stays one. */
INLINE __m512 power(__m512 x)
{
    x = _mm512_max_ps(_mm512_set1_ps(-126.0f), x);
    __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_sub_ps(x, whole), y = _mm512_set1_ps(1.33335581e-3f);
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(9.61812911e-3f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(5.55041087e-2f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(2.40226507e-1f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(6.93147181e-1f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(y, whole);
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

/* One document and head: what all of it is made of. */
struct block {
    const struct within *job;
    int64_t head, start, length; /* of the document */
    int64_t filled, e, wide;     /* tokens and numbers as filled up; tokens in a long row */
    char *room;                  /* what is left of it */
};

static void *take(struct block *all, int64_t bytes)
{
    char *found = all->room;
    all->room += (bytes + 63) / 64 * 64;
    return found;
}

/* [filled, e] */
static uint16_t *rows_of(struct block *all, struct strided x)
{
    uint16_t *to = take(all, 2 * all->filled * all->e);
    memset(to, 0, (size_t)(2 * all->filled * all->e));
    for (int64_t t = 0; t < all->length; t++)
        memcpy(to + t * all->e, x.at + (all->start + t) * x.to_token + all->head * x.to_head,
               (size_t)(2 * all->job->e));
    return to;
}

/* [filled / 2, e] pairs of tokens */
static uint32_t *paired(struct block *all, const uint16_t *rows)
{
    uint32_t *to = take(all, 2 * all->filled * all->e);
    for (int64_t t = 0; t < all->filled; t += 2)
        for (int64_t i = 0; i < all->e; i += SIDE)
            pair(to + t / 2 * all->e + i, _mm512_load_si512(rows + t * all->e + i),
                 _mm512_load_si512(rows + (t + 1) * all->e + i));
    return to;
}

/* [e / 2, wide] pairs of a head's numbers */
static uint32_t *turned(struct block *all, const uint16_t *rows)
{
    int64_t deep = all->e / 2;
    uint32_t *to = take(all, 4 * deep * all->wide);
    for (int64_t t = 0; t < all->filled; t += 16)
        for (int64_t i = 0; i < deep; i += 16)
            turn((const uint32_t *)rows + t * deep + i, deep, to + i * all->wide + t, all->wide);
    return to;
}

/* [e, wide] of pairs that were turned */
static uint16_t *apart(struct block *all, const uint32_t *pairs)
{
    uint16_t *to = take(all, 2 * all->e * all->wide);
    for (int64_t i = 0; i < all->e / 2; i++)
        for (int64_t t = 0; t < all->filled; t += 16) {
            __m512i both = _mm512_loadu_si512(pairs + i * all->wide + t);
            uint16_t *low = to + 2 * i * all->wide + t;
            _mm256_storeu_si256((__m256i *)low, _mm512_cvtepi32_epi16(both));
            _mm256_storeu_si256((__m256i *)(low + all->wide),
                                _mm512_cvtepi32_epi16(_mm512_srli_epi32(both, 16)));
        }
    return to;
}

/* A block of [32, 32], each row times a factor, to the numbers from c on of 32 tokens from i on. */
INLINE void put(const struct block *all, uint16_t *to, int64_t i, int64_t c, const float *from,
                int64_t to_from, const float *factors)
{
    const struct within *job = all->job;
    int64_t left = job->e - c;
    __mmask32 kept = left >= SIDE ? ~0u : (1u << (left < 0 ? 0 : left)) - 1;
    to += ((all->start + i) * job->heads + all->head) * job->e + c;
    for (int r = 0; r < SIDE && i + r < all->length; r++, to += job->heads * job->e) {
        __m512 factor = _mm512_set1_ps(factors[r]);
        __m512 low = _mm512_mul_ps(_mm512_loadu_ps(from + r * to_from), factor);
        __m512 high = _mm512_mul_ps(_mm512_loadu_ps(from + r * to_from + 16), factor);
        _mm512_mask_storeu_epi16(to, kept, as_half(low, high));
    }
}

/* Softmax of one row of scores over the keys up to its own, the r-th of the last 32: what it is
   times its sum, in bf16. Returns the highest exponent; the sum is left in total. */
INLINE float soften(const float *scores, uint16_t *to, int64_t keys, int r, float factor,
                    float *total)
{
    uint32_t seen = (2u << r) - 1;
    int64_t last = keys - SIDE;
    __m512 by = _mm512_set1_ps(factor), sum = _mm512_setzero_ps();
    __m512 most = _mm512_set1_ps(-INFINITY);
    for (int64_t j = 0; j < last; j += 16)
        most = _mm512_max_ps(most, _mm512_load_ps(scores + j));
    most = _mm512_mask_max_ps(most, (__mmask16)seen, most, _mm512_load_ps(scores + last));
    most = _mm512_mask_max_ps(most, (__mmask16)(seen >> 16), most, _mm512_load_ps(scores + last + 16));
    float highest = _mm512_reduce_max_ps(most) * factor;
    __m512 less = _mm512_set1_ps(highest);
    for (int64_t j = 0; j < keys; j += SIDE) {
        __m512 low = power(_mm512_fmsub_ps(_mm512_load_ps(scores + j), by, less));
        __m512 high = power(_mm512_fmsub_ps(_mm512_load_ps(scores + j + 16), by, less));
        if (j == last) {
            low = _mm512_maskz_mov_ps((__mmask16)seen, low);
            high = _mm512_maskz_mov_ps((__mmask16)(seen >> 16), high);
        }
        sum = _mm512_add_ps(sum, _mm512_add_ps(low, high));
        _mm512_store_si512(to + j, as_half(low, high));
    }
    *total = _mm512_reduce_add_ps(sum);
    return highest;
}

static void forth(struct block *all)
{
    const struct within *job = all->job;
    int64_t e = all->e, wide = all->wide;
    const uint16_t *q = rows_of(all, job->q);
    const uint32_t *k = turned(all, rows_of(all, job->k)), *v = paired(all, rows_of(all, job->v));
    float *scores = take(all, 4 * SIDE * wide), *total = job->total + all->head * job->tokens;
    uint16_t *p = take(all, 2 * SIDE * wide);
    float factor = job->scale * 1.44269504f;
    for (int64_t i = 0; i < all->filled; i += SIDE) {
        float shares[SIDE], out[SIDE * SIDE] __attribute__((aligned(64)));
        int64_t keys = i + SIDE;
        for (int64_t j = 0; j < keys; j += SIDE)
            product(scores + j, wide, q + i * e, e, k + j, wide, e / SIDE, 0);
        for (int r = 0; r < SIDE; r++) {
            float sum, most = soften(scores + r * wide, p + r * wide, keys, r, factor, &sum);
            shares[r] = 1.0f / sum;
            if (i + r < all->length)
                total[all->start + i + r] = most + log2f(sum);
        }
        for (int64_t c = 0; c < e; c += SIDE) {
            product(out, SIDE, p, wide, v + c, e, keys / SIDE, 0);
            put(all, job->to[0], i, c, out, SIDE, shares);
        }
    }
}

/* Products of each token's gradient with what it got, [filled]. */
static float *along(struct block *all, const uint16_t *grad)
{
    const struct within *job = all->job;
    float *found = take(all, 4 * all->filled);
    memset(found, 0, (size_t)(4 * all->filled));
    for (int64_t t = 0; t < all->length; t++) {
        const uint16_t *out = job->out.at + (all->start + t) * job->out.to_token +
                              all->head * job->out.to_head;
        __m512 sum = _mm512_setzero_ps();
        for (int64_t i = 0; i < job->e; i += SIDE) {
            int64_t left = job->e - i;
            __mmask32 kept = left >= SIDE ? ~0u : (1u << left) - 1;
            sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_load_si512(grad + t * all->e + i),
                                   (__m512bh)_mm512_maskz_loadu_epi16(kept, out + i));
        }
        found[t] = _mm512_reduce_add_ps(sum);
    }
    return found;
}

/* A block of [32 keys, 32 queries]: scores s and the gradient g of what they weigh become weights
   and gradients of the scores in bf16, those also as pairs of keys. */
INLINE void soften_back(const float *s, const float *g, const float *total, const float *along,
                        float factor, int first, uint16_t *p, uint16_t *d, int64_t wide,
                        uint32_t *pairs)
{
    __m512 by = _mm512_set1_ps(factor);
    __m512i before = _mm512_setzero_si512();
    for (int r = 0; r < SIDE; r++) {
        __m512 weight[2], grad[2];
        for (int h = 0; h < 2; h++) {
            __m512 x = _mm512_load_ps(s + r * SIDE + 16 * h);
            x = power(_mm512_fmsub_ps(x, by, _mm512_load_ps(total + 16 * h)));
            __mmask16 seen = (__mmask16)((first ? ~0u << r : ~0u) >> 16 * h);
            weight[h] = _mm512_maskz_mov_ps(seen, x);
            x = _mm512_sub_ps(_mm512_load_ps(g + r * SIDE + 16 * h), _mm512_load_ps(along + 16 * h));
            grad[h] = _mm512_maskz_mul_ps(seen, weight[h], x);
        }
        __m512i own = as_half(grad[0], grad[1]);
        _mm512_store_si512(p + r * wide, as_half(weight[0], weight[1]));
        _mm512_store_si512(d + r * wide, own);
        if (r & 1)
            pair(pairs + r / 2 * SIDE, before, own);
        before = own;
    }
}

/* d_q [e, wide], of the queries not yet scaled, to its place. */
static void put_queries(const struct block *all, const float *d_q, const float *scales)
{
    float rows[SIDE * SIDE] __attribute__((aligned(64)));
    for (int64_t i = 0; i < all->filled; i += SIDE)
        for (int64_t c = 0; c < all->e; c += SIDE) {
            for (int part = 0; part < 4; part++) {
                int64_t down = part / 2 * 16, right = part % 2 * 16;
                turn(d_q + (c + right) * all->wide + i + down, all->wide,
                     rows + down * SIDE + right, SIDE);
            }
            put(all, all->job->to[0], i, c, rows, SIDE, scales);
        }
}

static void back(struct block *all)
{
    const struct within *job = all->job;
    int64_t e = all->e, wide = all->wide, steps = e / SIDE, filled = all->filled;
    const uint16_t *q = rows_of(all, job->q), *k = rows_of(all, job->k), *v = rows_of(all, job->v);
    const uint16_t *grad = rows_of(all, job->grad), *k_apart = apart(all, turned(all, k));
    const uint32_t *q_turned = turned(all, q), *grad_turned = turned(all, grad);
    const uint32_t *q_paired = paired(all, q), *grad_paired = paired(all, grad);
    const float *inner = along(all, grad);
    float *total = take(all, 4 * filled), *d_q = take(all, 4 * e * wide);
    uint16_t *p = take(all, 2 * SIDE * wide), *d = take(all, 2 * SIDE * wide);
    float s[SIDE * SIDE] __attribute__((aligned(64))), g[SIDE * SIDE] __attribute__((aligned(64)));
    uint32_t pairs[SIDE * SIDE / 2] __attribute__((aligned(64)));
    float ones[SIDE], scales[SIDE], factor = job->scale * 1.44269504f;
    for (int r = 0; r < SIDE; r++)
        ones[r] = 1.0f, scales[r] = job->scale;
    memset(d_q, 0, (size_t)(4 * e * wide));
    memset(total, 0, (size_t)(4 * filled));
    memcpy(total, job->total + all->head * job->tokens + all->start, (size_t)(4 * all->length));
    for (int64_t j = 0; j < filled; j += SIDE) {
        for (int64_t i = j; i < filled; i += SIDE) {
            product(s, SIDE, k + j * e, e, q_turned + i, wide, steps, 0);
            product(g, SIDE, v + j * e, e, grad_turned + i, wide, steps, 0);
            soften_back(s, g, total + i, inner + i, factor, i == j, p + i - j, d + i - j, wide,
                        pairs);
            for (int64_t c = 0; c < e; c += SIDE)
                product(d_q + c * wide + i, wide, k_apart + c * wide + j, wide, pairs, SIDE, 1, 1);
        }
        for (int64_t c = 0; c < e; c += SIDE) {
            int64_t from = j / 2 * e + c, deep = (filled - j) / SIDE;
            product(s, SIDE, d, wide, q_paired + from, e, deep, 0);
            put(all, job->to[1], j, c, s, SIDE, scales);
            product(s, SIDE, p, wide, grad_paired + from, e, deep, 0);
            put(all, job->to[2], j, c, s, SIDE, ones);
        }
    }
    put_queries(all, d_q, scales);
}

int64_t within_room(int64_t length, int64_t e)
{
    int64_t wide = (length + SIDE - 1) / SIDE * SIDE + SIDE, deep = (e + SIDE - 1) / SIDE * SIDE;
    int64_t bytes = 9 * 2 * deep * wide + 2 * 4 * deep * wide + 4 * SIDE * wide * 2 + 3 * 4 * wide;
    return (bytes + 4096) / 64 * 64; /* each array begins at a line */
}

static void each(void (*does)(struct block *), const struct within *job, int64_t from, int64_t to)
{
    struct tiles before;
    int mine = 0;
    while (__atomic_test_and_set(&job->taken[mine], __ATOMIC_ACQUIRE))
        mine++; /* no more parts are under way than there are threads */
    begin(&before);
    for (int64_t item = from; item < to; item++) {
        struct block all = {.job = job, .head = item % job->heads};
        all.start = job->starts[item / job->heads], all.length = job->lengths[item / job->heads];
        all.filled = (all.length + SIDE - 1) / SIDE * SIDE;
        all.e = (job->e + SIDE - 1) / SIDE * SIDE;
        all.wide = all.filled + SIDE; /* rows that are no power of two apart share no cache lines */
        all.room = job->room + mine * job->size;
        does(&all);
    }
    _tile_loadconfig(&before);
    __atomic_clear(&job->taken[mine], __ATOMIC_RELEASE);
}

void within_forth(const void *job, int part, int64_t from, int64_t to)
{
    (void)part;
    each(forth, job, from, to);
}

void within_back(const void *job, int part, int64_t from, int64_t to)
{
    (void)part;
    each(back, job, from, to);
}

#else

int within_can(void)
{
    return 0;
}

int64_t within_room(int64_t length, int64_t e)
{
    (void)length, (void)e;
    return 0;
}

void within_forth(const void *job, int part, int64_t from, int64_t to)
{
    (void)job, (void)part, (void)from, (void)to;
}

void within_back(const void *job, int part, int64_t from, int64_t to)
{
    (void)job, (void)part, (void)from, (void)to;
}

#endif
