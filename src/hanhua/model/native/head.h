/* The job of a head: cross-entropy behind a last linear layer, and its gradients. */
#ifndef HANHUA_HEAD_H
#define HANHUA_HEAD_H

#include "model.h"

#define BLOCK 256 /* pieces, and tokens, that are worked on together: what the second cache holds */

/* What a part of the job works with. */
struct desk {
    uint16_t *weight; /* [d, BLOCK] of the pieces at hand */
    uint16_t *shares; /* [BLOCK pieces, tokens] gradient of the logits */
    uint32_t *pairs;  /* [tokens / 32][BLOCK / 2, 32] the same in pairs of pieces */
    float *d_weight;  /* [BLOCK / 32][d / 32][32 pieces, 32 numbers] */
    float *d_hidden;  /* [all tokens / 32][d / 32][32 numbers, 32 tokens] */
};

struct head {
    const uint16_t *hidden, *weight; /* [n, d] and [v, d] */
    const uint16_t *last;            /* [32, d] rows that are less than a panel, zeros behind them */
    const int64_t *labels;
    float *losses;
    uint16_t *d_hidden, *d_weight; /* as hidden and weight, NULL where not wanted */
    float *factors, *total, *own;  /* [n filled up] weights; log2 of softmax's sum; label's logit */
    uint32_t *turned, *paired;     /* hidden as right sides: numbers in pairs, and tokens in pairs */
    struct desk *desks;            /* [parts] none for losses alone */
    int64_t n, v, d;
    int parts;
    float scale;
};

/* Items are panels of 32 tokens, and of 32 pieces for the gradients. */
void head_lay(const void *job, int part, int64_t from, int64_t to);
void head_losses(const void *job, int part, int64_t from, int64_t to);
void head_gradients(const void *job, int part, int64_t from, int64_t to);
void head_hidden(const void *job, int part, int64_t from, int64_t to);

#endif
