/* The jobs whose rows are worked on, and what does so on three generations of processors. */
#ifndef HANHUA_ROWS_H
#define HANHUA_ROWS_H

#include "model.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define GENERATIONS 1
#else
#define GENERATIONS 0
#endif

#define LANES 16 /* numbers taken at once where code says so itself */

struct norm {
    const void *x, *weight, *grad;
    float *inverse; /* [n] of the root mean square: written, then read */
    void *out;
    float *sums; /* [parts, d] gradient of the weight */
    int64_t d;
    float eps;
};

struct gate {
    const void *gate, *up, *grad;
    void *out, *other;
};

struct rotate {
    const void *x, *cos, *sin; /* cos and sin [tokens, e] */
    void *out;                 /* [tokens, heads, e], as x, of which heads may lie elsewhere */
    int64_t heads, e, to_token, to_head;
    int back;
};

struct surprise {
    void *logits; /* [n, v] */
    const int64_t *labels;
    const float *weights; /* [n] factors of the gradient, NULL: 1 */
    float *losses;        /* [n] */
    float *room;          /* [parts, v] */
    int64_t v;
};

struct attend {
    const float *q;             /* [tokens, heads, e], of two strides */
    const float *keys, *values; /* [rows, heads / shared, places, e], of two strides */
    const int64_t *rows, *last; /* [tokens] whose keys, and up to which place */
    float *out;                 /* [tokens, heads, e] */
    float *room;                /* [parts, 2 e + most] */
    int64_t heads, shared, e, of_token, of_head, to_row, to_head, most;
    float scale;
};

struct meet {
    const float *x, *w; /* [n, k] and [m, k] */
    float *out;         /* [n, m] */
    int64_t n, k, m;
};

/* What is done with rows, for fp32 and for bf16; attention for fp32 alone. */
struct rows {
    work norm[2], norm_back[2], gate[2], gate_back[2], rotate[2], surprise[2], attend, meet;
};

extern const struct rows rows_any, rows_older, rows_newer;

/* For the processor at hand. */
const struct rows *rows(void);

#endif
