/* Cross-entropy behind a last linear layer, and its gradients, for processors that multiply tiles
   of bf16 (AMX). No logits are kept: they are made once for the sums that softmax divides by, and
   again, a block at a time, for the gradients, and a block is used while it is in the cache.

   Logits lie as [pieces, tokens]: so the weight's rows are the left side of a product as they are,
   and sixteen tokens go through softmax at once. A panel is 32 columns of a right side, one row
   of pairs behind the other. */
#include "tiles.h"
#include "head.h"

#if TILES
#define LOG2_E 1.44269504f
#define BEGINNING (-1e30f) /* the highest of no logits */
#define BUFFER __attribute__((aligned(64)))

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t filled(int64_t n)
{
    return (n + SIDE - 1) / SIDE * SIDE;
}

/* The weight's rows of a panel of pieces. */
static const uint16_t *rows_from(const struct head *job, int64_t v)
{
    return v + SIDE <= job->v ? job->weight + v * job->d : job->last;
}

/* Where tokens from n on, and of them numbers from c on, lie as a panel in pairs of tokens. */
static uint32_t *paired_at(const struct head *job, int64_t n, int64_t c)
{
    int64_t block = n / BLOCK * BLOCK, tokens = least(filled(job->n) - block, BLOCK);
    return job->paired + block * job->d / 2 + c * tokens / 2 + (n - block) / 2 * SIDE;
}

void head_lay(const void *given, int part, int64_t from, int64_t to)
{
    const struct head *job = given;
    int64_t d = job->d;
    (void)part;
    for (int64_t n = from * SIDE; n < to * SIDE; n += SIDE)
        for (int64_t c = 0; c < d; c += SIDE) {
            uint16_t rows[SIDE * SIDE] BUFFER = {0};
            for (int64_t r = 0; r < SIDE && n + r < job->n; r++)
                memcpy(rows + r * SIDE, job->hidden + (n + r) * d + c, 2 * SIDE);
            uint32_t *to_turned = job->turned + n * d / 2 + c / 2 * SIDE;
            turn(rows, SIDE / 2, to_turned, SIDE);
            turn(rows + 16 * SIDE, SIDE / 2, to_turned + 16, SIDE);
            for (int64_t r = 0; job->paired && r < SIDE; r += 2)
                pair(paired_at(job, n, c) + r / 2 * SIDE, _mm512_load_si512(rows + r * SIDE),
                     _mm512_load_si512(rows + (r + 1) * SIDE));
        }
}

/* Logits of 32 pieces and 32 tokens. */
INLINE void make_logits(const struct head *job, float *logits, const uint16_t *rows, int64_t n)
{
    product(logits, SIDE, rows, job->d, job->turned + n * job->d / 2, SIDE, job->d / SIDE, 0);
}

/* The label's logit, as a power of two. */
INLINE float logit_of_label(const struct head *job, int64_t n)
{
    const uint16_t *h = job->hidden + n * job->d, *w = job->weight + job->labels[n] * job->d;
    __m512 sum = _mm512_setzero_ps();
    for (int64_t i = 0; i < job->d; i += SIDE)
        sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_loadu_si512(h + i),
                               (__m512bh)_mm512_loadu_si512(w + i));
    return _mm512_reduce_add_ps(sum) * LOG2_E;
}

/* More logits [pieces, 32] of 32 tokens, of which the highest so far is kept, and the sum over it. */
INLINE void join(const float *logits, int64_t pieces, float *most, float *sum)
{
    __m512 by = _mm512_set1_ps(LOG2_E);
    for (int i = 0; i < SIDE; i += 16) {
        __m512 high = _mm512_load_ps(logits + i), before = _mm512_load_ps(most + i);
        for (int64_t r = 1; r < pieces; r++)
            high = _mm512_max_ps(high, _mm512_load_ps(logits + r * SIDE + i));
        high = _mm512_max_ps(before, _mm512_mul_ps(high, by));
        __m512 total = _mm512_mul_ps(_mm512_load_ps(sum + i), power(_mm512_sub_ps(before, high)));
        for (int64_t r = 0; r < pieces; r++) {
            __m512 x = _mm512_load_ps(logits + r * SIDE + i);
            total = _mm512_add_ps(total, power(_mm512_fmsub_ps(x, by, high)));
        }
        _mm512_store_ps(most + i, high);
        _mm512_store_ps(sum + i, total);
    }
}

void head_losses(const void *given, int part, int64_t from, int64_t to)
{
    const struct head *job = given;
    struct tiles before;
    float logits[SIDE * SIDE] BUFFER, *most = job->total, *sum = job->own;
    (void)part;
    for (int64_t n = from * SIDE; n < to * SIDE; n++)
        most[n] = BEGINNING, sum[n] = 0.0f;
    begin(&before);
    for (int64_t v = 0; v < job->v; v += SIDE)
        for (int64_t n = from * SIDE; n < to * SIDE; n += SIDE) {
            make_logits(job, logits, rows_from(job, v), n);
            join(logits, least(job->v - v, SIDE), most + n, sum + n);
        }
    _tile_loadconfig(&before);
    for (int64_t n = from * SIDE; n < to * SIDE; n++) {
        job->total[n] = most[n] + log2f(sum[n]);
        job->own[n] = n < job->n ? logit_of_label(job, n) : 0.0f;
        float loss = (job->total[n] - job->own[n]) / LOG2_E;
        if (n < job->n) /* both are rounded, each in its own order */
            job->losses[n] = loss < 0.0f ? 0.0f : loss;
    }
}

/* Logits [32, 32] of tokens from n on become their gradient, but for the labels: rows of shares,
   of their own length, and the same in pairs. Rows behind the last piece have none: their logits
   of 0 may be far above all others. */
INLINE void share(const struct head *job, const float *logits, int64_t pieces, int64_t n,
                  uint16_t *shares, int64_t to_shares, uint32_t *pairs)
{
    __m512 by = _mm512_set1_ps(LOG2_E), x[2];
    __m512i above = _mm512_setzero_si512();
    for (int r = 0; r < SIDE; r++) {
        for (int h = 0; h < 2; h++) {
            x[h] = _mm512_load_ps(logits + r * SIDE + 16 * h);
            x[h] = power(_mm512_fmsub_ps(x[h], by, _mm512_load_ps(job->total + n + 16 * h)));
            x[h] = _mm512_mul_ps(x[h], _mm512_load_ps(job->factors + n + 16 * h));
        }
        __m512i own = r < pieces ? as_half(x[0], x[1]) : _mm512_setzero_si512();
        _mm512_store_si512(shares + r * to_shares, own);
        if (r & 1)
            pair(pairs + r / 2 * SIDE, above, own);
        above = own;
    }
}

/* At each token's label the share less one. */
static void take_labels(const struct head *job, const struct desk *desk, int64_t v, int64_t pieces,
                        int64_t n, int64_t tokens)
{
    for (int64_t i = 0; i < tokens && n + i < job->n; i++) {
        int64_t at = job->labels[n + i] - v;
        if (at < 0 || at >= pieces)
            continue;
        float value = (exp2f(job->own[n + i] - job->total[n + i]) - 1.0f) * job->factors[n + i];
        __m128i half = (__m128i)_mm_cvtneps_pbh(_mm_set_ss(value));
        uint16_t *pairs = (uint16_t *)(desk->pairs + i / SIDE * SIDE * BLOCK / 2);
        desk->shares[at * tokens + i] = (uint16_t)_mm_extract_epi16(half, 0);
        pairs[(at / 2 * SIDE + i % SIDE) * 2 + at % 2] = (uint16_t)_mm_extract_epi16(half, 0);
    }
}

/* The weight's rows [pieces, d] as [d, BLOCK]. */
static void lay_weight(const struct head *job, const struct desk *desk, int64_t v, int64_t pieces)
{
    uint32_t both[16 * 16] BUFFER;
    for (int64_t r = 0; r < pieces; r += 16)
        for (int64_t c = 0; c < job->d; c += SIDE) {
            const uint16_t *rows = rows_from(job, v + r / SIDE * SIDE) + r % SIDE * job->d;
            turn(rows + c, job->d / 2, both, 16);
            for (int i = 0; i < 16; i++) {
                uint16_t *low = desk->weight + (c + 2 * i) * BLOCK + r;
                __m512i x = _mm512_load_si512(both + 16 * i);
                _mm256_store_si256((__m256i *)low, _mm512_cvtepi32_epi16(x));
                x = _mm512_srli_epi32(x, 16);
                _mm256_store_si256((__m256i *)(low + BLOCK), _mm512_cvtepi32_epi16(x));
            }
        }
}

/* Gradients that some pieces and some tokens, a block of each, give each other. */
static void give(const struct head *job, const struct desk *desk, int64_t v, int64_t pieces,
                 int64_t n, int64_t tokens)
{
    float logits[SIDE * SIDE] BUFFER;
    int64_t d = job->d;
    for (int64_t r = 0; r < pieces; r += SIDE)
        for (int64_t i = 0; i < tokens; i += SIDE) {
            make_logits(job, logits, rows_from(job, v + r), n + i);
            share(job, logits, job->v - v - r, n + i, desk->shares + r * tokens + i, tokens,
                  desk->pairs + i * BLOCK / 2 + r / 2 * SIDE);
        }
    take_labels(job, desk, v, pieces, n, tokens);
    for (int64_t r = 0; job->d_weight && r < pieces; r += SIDE)
        for (int64_t c = 0; c < d; c += SIDE)
            product(desk->d_weight + r * d + c * SIDE, SIDE, desk->shares + r * tokens, tokens,
                    paired_at(job, n, c), SIDE, tokens / SIDE, 1);
    for (int64_t c = 0; c < d; c += SIDE)
        for (int64_t i = 0; i < tokens; i += SIDE)
            product(desk->d_hidden + (n + i) * d + c * SIDE, SIDE, desk->weight + c * BLOCK, BLOCK,
                    desk->pairs + i * BLOCK / 2, SIDE, pieces / SIDE, 1);
}

/* The weight's gradient of some pieces, scaled, to its place. */
static void put_weight(const struct head *job, const struct desk *desk, int64_t v, int64_t pieces)
{
    __m512 by = _mm512_set1_ps(job->scale);
    for (int64_t r = 0; r < pieces && v + r < job->v; r++)
        for (int64_t c = 0; c < job->d; c += SIDE) {
            const float *x = desk->d_weight + r / SIDE * SIDE * job->d + c * SIDE + r % SIDE * SIDE;
            __m512 low = _mm512_mul_ps(_mm512_load_ps(x), by);
            __m512 high = _mm512_mul_ps(_mm512_load_ps(x + 16), by);
            _mm512_storeu_si512(job->d_weight + (v + r) * job->d + c, as_half(low, high));
        }
}

/* The weight's gradient of some panels of pieces; what these give the tokens is the part's own. */
void head_gradients(const void *given, int part, int64_t from, int64_t to)
{
    const struct head *job = given;
    const struct desk *desk = job->desks + part;
    struct tiles before;
    int64_t all = filled(job->n);
    memset(desk->d_hidden, 0, (size_t)(4 * all * job->d));
    begin(&before);
    for (int64_t v = from * SIDE; v < to * SIDE; v += BLOCK) {
        int64_t pieces = least(to * SIDE - v, BLOCK);
        memset(desk->d_weight, 0, (size_t)(4 * pieces * job->d));
        lay_weight(job, desk, v, pieces);
        for (int64_t n = 0; n < all; n += BLOCK)
            give(job, desk, v, pieces, n, least(all - n, BLOCK));
        if (job->d_weight)
            put_weight(job, desk, v, pieces);
    }
    _tile_loadconfig(&before);
}

/* What all parts give some panels of tokens, scaled, to its place. */
void head_hidden(const void *given, int part, int64_t from, int64_t to)
{
    const struct head *job = given;
    float sum[SIDE * SIDE] BUFFER, rows[SIDE * SIDE] BUFFER;
    __m512 by = _mm512_set1_ps(job->scale);
    (void)part;
    for (int64_t n = from * SIDE; n < to * SIDE; n += SIDE)
        for (int64_t c = 0; c < job->d; c += SIDE) {
            for (int64_t i = 0; i < SIDE * SIDE; i += 16) {
                __m512 x = _mm512_setzero_ps();
                for (int p = 0; p < job->parts; p++) {
                    const float *more = job->desks[p].d_hidden + n * job->d + c * SIDE;
                    x = _mm512_add_ps(x, _mm512_load_ps(more + i));
                }
                _mm512_store_ps(sum + i, _mm512_mul_ps(x, by));
            }
            for (int down = 0; down < SIDE; down += 16)
                for (int right = 0; right < SIDE; right += 16)
                    turn(sum + right * SIDE + down, SIDE, rows + down * SIDE + right, SIDE);
            for (int64_t r = 0; r < SIDE && n + r < job->n; r++) {
                const float *x = rows + r * SIDE;
                _mm512_storeu_si512(job->d_hidden + (n + r) * job->d + c,
                                    as_half(_mm512_load_ps(x), _mm512_load_ps(x + 16)));
            }
        }
}

#else

void head_lay(const void *job, int part, int64_t from, int64_t to)
{
    (void)job, (void)part, (void)from, (void)to;
}

void head_losses(const void *job, int part, int64_t from, int64_t to)
{
    (void)job, (void)part, (void)from, (void)to;
}

void head_gradients(const void *job, int part, int64_t from, int64_t to)
{
    (void)job, (void)part, (void)from, (void)to;
}

void head_hidden(const void *job, int part, int64_t from, int64_t to)
{
    (void)job, (void)part, (void)from, (void)to;
}

#endif
