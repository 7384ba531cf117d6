/* Attention inside documents for processors that multiply tiles of bf16 (AMX).

   After FlashAttention-2 (arXiv 2307.08691): scores are made a block at a time, and made again for
   the gradient, from what is kept of the softmax. Queries, keys and a head's numbers are filled up
   to blocks with zeros; what fills a document up comes after it, where none of its queries looks. */
#include "tiles.h"
#include "within.h"

#if TILES
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
