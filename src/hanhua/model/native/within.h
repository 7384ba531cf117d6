/* Attention inside documents, and what the processors that can do it have to do. */
#ifndef HANHUA_WITHIN_H
#define HANHUA_WITHIN_H

#include "model.h"

/* bf16 [tokens, heads, e], of two strides */
struct strided {
    const uint16_t *at;
    int64_t to_token, to_head;
};

struct within {
    struct strided q, k, v, out, grad; /* out and grad for the gradient alone */
    uint16_t *to[3];                   /* out, or the gradients of q, k and v: [tokens, heads, e] */
    float *total;                      /* [heads, tokens] log2 of the sum that softmax divides by */
    const int64_t *starts, *lengths;   /* of the documents, the longest first */
    int64_t documents, heads, tokens, e;
    float scale;
    char *room; /* a part's worth for each thread */
    int64_t size;
    char *taken; /* [threads] whether some part has it */
};

/* Bytes that a document needs at most, a multiple of 64. */
int64_t within_room(int64_t length, int64_t e);

/* An item is a document and a head. */
void within_forth(const void *job, int part, int64_t from, int64_t to);
void within_back(const void *job, int part, int64_t from, int64_t to);

#endif
