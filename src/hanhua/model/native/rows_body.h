/* What is done with rows, included once for each generation of processors, each time under another
   name of the table (TABLE) and with the compiler told what the processor has. */
#include "rows.h"

#define EIGHT 8
#define INLINE static inline __attribute__((always_inline))

INLINE float from_bf16(uint16_t bits)
{
    union { uint32_t i; float f; } to = {(uint32_t)bits << 16};
    return to.f;
}

INLINE uint16_t to_bf16(float value)
{
    union { float f; uint32_t i; } from = {value};
    uint32_t rounded = (from.i + 0x7FFFu + ((from.i >> 16) & 1u)) >> 16;
    return (uint16_t)(value != value ? 0x7FC0u : rounded);
}

/* One number of an array, in bf16 where half is set: a constant wherever it is called. */
INLINE float get(const void *array, int64_t at, int half)
{
    return half ? from_bf16(((const uint16_t *)array)[at]) : ((const float *)array)[at];
}

INLINE void put(void *array, int64_t at, float value, int half)
{
    if (half)
        ((uint16_t *)array)[at] = to_bf16(value);
    else
        ((float *)array)[at] = value;
}

/* As it is once it has been stored. */
INLINE float stored(float value, int half)
{
    return half ? from_bf16(to_bf16(value)) : value;
}

INLINE void *shifted(const void *array, int64_t values, int half)
{
    return (char *)array + values * (half ? 2 : 4);
}

/* e^x to 2 units in the last place, after Cephes' expf. It ends at 60 to either side, so that
   nothing made of it is so small that a processor slows down. Not a number stays one. */
INLINE float exponential(float x)
{
    x = x < -60.0f ? -60.0f : x;
    x = x > 60.0f ? 60.0f : x;
    float whole = (x * 1.44269504f + 12582912.0f) - 12582912.0f; /* rounded */
    float r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    float y = 1.9875691500e-4f;
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * r * r + r + 1.0f;
    union { int32_t i; float f; } power = {((int32_t)whole + 127) << 23};
    return y * power.f;
}

/* Root-mean-square norm and its gradients (arXiv 1910.07467), a row at a time. */
INLINE void norm_rows(const struct norm *job, int64_t from, int64_t to, int half)
{
    int64_t d = job->d;
    for (int64_t row = from; row < to; row++) {
        const void *x = shifted(job->x, row * d, half);
        void *out = shifted(job->out, row * d, half);
        float square = 0.0f;
#pragma omp simd reduction(+ : square)
        for (int64_t i = 0; i < d; i++) {
            float value = get(x, i, half);
            square += value * value;
        }
        float inverse = 1.0f / sqrtf(square / (float)d + job->eps);
        if (job->inverse)
            job->inverse[row] = inverse;
#pragma omp simd
        for (int64_t i = 0; i < d; i++)
            put(out, i, get(job->weight, i, half) * stored(get(x, i, half) * inverse, half), half);
    }
}

INLINE void norm_back_rows(const struct norm *job, int part, int64_t from, int64_t to, int half)
{
    int64_t d = job->d;
    float *sums = job->sums + part * d;
    const void *weight = job->weight;
    for (int64_t row = from; row < to; row++) {
        const void *x = shifted(job->x, row * d, half), *grad = shifted(job->grad, row * d, half);
        void *out = shifted(job->out, row * d, half);
        float inverse = job->inverse[row], along = 0.0f;
#pragma omp simd reduction(+ : along)
        for (int64_t i = 0; i < d; i++)
            along += get(grad, i, half) * get(weight, i, half) * get(x, i, half);
        along *= inverse / (float)d;
#pragma omp simd
        for (int64_t i = 0; i < d; i++) {
            float one = get(grad, i, half), straight = get(x, i, half) * inverse;
            sums[i] += one * straight;
            put(out, i, inverse * (one * get(weight, i, half) - straight * along), half);
        }
    }
}

/* silu(gate) * up and its gradients (arXiv 2002.05202), without the parts in between. */
INLINE void gate_rows(const struct gate *job, int64_t from, int64_t to, int half)
{
#pragma omp simd
    for (int64_t i = from; i < to; i++) {
        float g = get(job->gate, i, half), u = get(job->up, i, half);
        put(job->out, i, g / (1.0f + exponential(-g)) * u, half);
    }
}

INLINE void gate_back_rows(const struct gate *job, int64_t from, int64_t to, int half)
{
#pragma omp simd
    for (int64_t i = from; i < to; i++) {
        float g = get(job->gate, i, half), u = get(job->up, i, half);
        float d = get(job->grad, i, half), s = 1.0f / (1.0f + exponential(-g));
        put(job->other, i, d * g * s, half);
        put(job->out, i, d * u * s * (1.0f + g * (1.0f - s)), half);
    }
}

/* Rotary position embeddings (arXiv 2104.09864), halves of a head turned against each other. */
INLINE void rotate_rows(const struct rotate *job, int64_t from, int64_t to, int half)
{
    int64_t e = job->e, middle = e / 2;
    for (int64_t token = from; token < to; token++) {
        const void *cos = shifted(job->cos, token * e, half);
        const void *sin = shifted(job->sin, token * e, half);
        for (int64_t head = 0; head < job->heads; head++) {
            const void *x = shifted(job->x, token * job->to_token + head * job->to_head, half);
            void *out = shifted(job->out, (token * job->heads + head) * e, half);
            /* the gradient turns back: where the one half has sin of the other, with its sign */
            int64_t first = job->back ? middle : 0, second = middle - first;
            float sign = job->back ? -1.0f : 1.0f;
#pragma omp simd
            for (int64_t i = 0; i < middle; i++) {
                float a = get(x, i, half), b = get(x, middle + i, half);
                put(out, i, a * get(cos, i, half) - sign * b * get(sin, first + i, half), half);
                put(out, middle + i,
                    b * get(cos, middle + i, half) + sign * a * get(sin, second + i, half), half);
            }
        }
    }
}

/* Cross-entropy of logits, and in their place its gradient: softmax less one at the label. */
INLINE void surprise_rows(const struct surprise *job, int part, int64_t from, int64_t to, int half)
{
    int64_t v = job->v;
    float *room = job->room + part * v;
    for (int64_t row = from; row < to; row++) {
        void *logits = shifted(job->logits, row * v, half);
        float most = -INFINITY, sum = 0.0f;
#pragma omp simd reduction(max : most)
        for (int64_t i = 0; i < v; i++) {
            float value = get(logits, i, half);
            most = value > most ? value : most;
        }
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < v; i++) {
            float value = exponential(get(logits, i, half) - most);
            room[i] = value;
            sum += value;
        }
        int64_t label = job->labels[row];
        float factor = job->weights ? job->weights[row] : 1.0f, part_of = factor / sum;
        job->losses[row] = logf(sum) + most - get(logits, label, half);
        float own = room[label] * part_of - factor;
#pragma omp simd
        for (int64_t i = 0; i < v; i++)
            put(logits, i, room[i] * part_of, half);
        put(logits, label, own, half);
    }
}

/* Sixteen numbers at once, whatever registers the processor has for them. */
typedef float lanes __attribute__((vector_size(64)));
typedef float eight __attribute__((vector_size(32)));
typedef float four __attribute__((vector_size(16)));

INLINE lanes load(const float *from)
{
    lanes found;
    memcpy(&found, from, sizeof found);
    return found;
}

INLINE float total_of(lanes x)
{
    eight half[2];
    four quarter[2];
    memcpy(half, &x, sizeof x);
    half[0] += half[1];
    memcpy(quarter, half, sizeof quarter);
    quarter[0] += quarter[1];
    return (quarter[0][0] + quarter[0][1]) + (quarter[0][2] + quarter[0][3]);
}

/* Attention of single tokens, each over its row's kept keys and values, EIGHT keys at a time: what
   is missing to a last eight is the last key again, with no weight. */
static void attend_full(const void *given, int part, int64_t from, int64_t to)
{
    const struct attend *job = given;
    int64_t e = job->e, at[EIGHT];
    float *query = job->room + part * (2 * e + job->most), *sum = query + e, *p = sum + e;
    for (int64_t row = from; row < to; row++) {
        int64_t token = row / job->heads, head = row % job->heads;
        int64_t kept = job->rows[token] * job->to_row + head / job->shared * job->to_head;
        const float *q = job->q + token * job->of_token + head * job->of_head;
        int64_t last = job->last[token], full = (last / LANES + 1) * LANES;
        for (int64_t i = 0; i < e; i++)
            query[i] = q[i] * job->scale, sum[i] = 0.0f;
        for (int64_t t = 0; t <= last; t += EIGHT) {
            lanes s[EIGHT] = {{0}};
            for (int k = 0; k < EIGHT; k++)
                at[k] = kept + (t + k < last ? t + k : last) * e;
            for (int64_t i = 0; i < e; i += LANES)
                for (int k = 0; k < EIGHT; k++)
                    s[k] += load(query + i) * load(job->keys + at[k] + i);
            for (int k = 0; k < EIGHT; k++)
                p[t + k] = total_of(s[k]);
        }
        for (int64_t t = last + 1; t < full; t++)
            p[t] = -INFINITY;
        float highest = -INFINITY, total = 0.0f;
#pragma omp simd reduction(max : highest)
        for (int64_t t = 0; t < full; t++)
            highest = p[t] > highest ? p[t] : highest;
#pragma omp simd reduction(+ : total)
        for (int64_t t = 0; t < full; t++) { /* e^-60 of what is missing is lost beside e^0 */
            p[t] = exponential(p[t] - highest);
            total += p[t];
        }
        for (int64_t t = last + 1; t < full; t++)
            p[t] = 0.0f;
        for (int64_t t = 0; t <= last; t += EIGHT) {
            for (int k = 0; k < EIGHT; k++)
                at[k] = kept + (t + k < last ? t + k : last) * e;
            for (int64_t i = 0; i < e; i += LANES) {
                lanes a = load(sum + i), b = {0};
                for (int k = 0; k < EIGHT; k += 2) {
                    a += p[t + k] * load(job->values + at[k] + i);
                    b += p[t + k + 1] * load(job->values + at[k + 1] + i);
                }
                a += b;
                memcpy(sum + i, &a, sizeof a);
            }
        }
        float share = 1.0f / total;
        for (int64_t i = 0; i < e; i++)
            job->out[row * e + i] = sum[i] * share;
    }
}

#ifdef MEET
/* W rows of a weight times N rows: all W * N sums stay in registers. The weight is read once, and
   asked for AHEAD of its turn, as it comes from far. */
#define W 3
#define AHEAD 2048 /* numbers */

INLINE void meet_block(const struct meet *job, const float *w, const float *x, float *out,
                       const int rows, const int n)
{
    lanes sums[W][8];
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < n; i++)
            sums[r][i] = (lanes){0};
    int64_t k = job->k;
    for (int64_t at = 0; at < k; at += LANES) {
        lanes own[W];
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
            own[r] = load(w + r * k + at);
            __builtin_prefetch(w + r * k + at + AHEAD);
        }
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) {
            lanes other = load(x + i * k + at);
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++)
                sums[r][i] += own[r] * other;
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            out[i * job->m + r] = total_of(sums[r][i]);
}

INLINE void meet_rows(const struct meet *job, int64_t o, const int rows)
{
    const float *w = job->w + o * job->k, *x = job->x;
    int64_t n = job->n, k = job->k, m = job->m;
    float *out = job->out + o;
    for (; n >= 8; n -= 8, x += 8 * k, out += 8 * m)
        meet_block(job, w, x, out, rows, 8);
    switch (n) {
    case 7: meet_block(job, w, x, out, rows, 7); break;
    case 6: meet_block(job, w, x, out, rows, 6); break;
    case 5: meet_block(job, w, x, out, rows, 5); break;
    case 4: meet_block(job, w, x, out, rows, 4); break;
    case 3: meet_block(job, w, x, out, rows, 3); break;
    case 2: meet_block(job, w, x, out, rows, 2); break;
    case 1: meet_block(job, w, x, out, rows, 1); break;
    }
}

static void meet_full(const void *given, int part, int64_t from, int64_t to)
{
    const struct meet *job = given;
    (void)part;
    for (; from + W <= to; from += W)
        meet_rows(job, from, W);
    for (; from < to; from++)
        meet_rows(job, from, 1);
}
#endif

static void norm_full(const void *job, int part, int64_t from, int64_t to)
{
    (void)part;
    norm_rows(job, from, to, 0);
}

static void norm_half(const void *job, int part, int64_t from, int64_t to)
{
    (void)part;
    norm_rows(job, from, to, 1);
}

static void norm_back_full(const void *job, int part, int64_t from, int64_t to)
{
    norm_back_rows(job, part, from, to, 0);
}

static void norm_back_half(const void *job, int part, int64_t from, int64_t to)
{
    norm_back_rows(job, part, from, to, 1);
}

static void gate_full(const void *job, int part, int64_t from, int64_t to)
{
    (void)part;
    gate_rows(job, from, to, 0);
}

static void gate_half(const void *job, int part, int64_t from, int64_t to)
{
    (void)part;
    gate_rows(job, from, to, 1);
}

static void gate_back_full(const void *job, int part, int64_t from, int64_t to)
{
    (void)part;
    gate_back_rows(job, from, to, 0);
}

static void gate_back_half(const void *job, int part, int64_t from, int64_t to)
{
    (void)part;
    gate_back_rows(job, from, to, 1);
}

static void rotate_full(const void *job, int part, int64_t from, int64_t to)
{
    (void)part;
    rotate_rows(job, from, to, 0);
}

static void rotate_half(const void *job, int part, int64_t from, int64_t to)
{
    (void)part;
    rotate_rows(job, from, to, 1);
}

static void surprise_full(const void *job, int part, int64_t from, int64_t to)
{
    surprise_rows(job, part, from, to, 0);
}

static void surprise_half(const void *job, int part, int64_t from, int64_t to)
{
    surprise_rows(job, part, from, to, 1);
}

const struct rows TABLE = {
    .norm = {norm_full, norm_half},
    .norm_back = {norm_back_full, norm_back_half},
    .gate = {gate_full, gate_half},
    .gate_back = {gate_back_full, gate_back_half},
    .rotate = {rotate_full, rotate_half},
    .surprise = {surprise_full, surprise_half},
    .attend = attend_full,
#ifdef MEET
    .meet = meet_full,
#endif
};
