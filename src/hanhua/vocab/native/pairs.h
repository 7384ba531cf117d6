/* Pairs of neighbouring symbols with their counts and places, and the heap that ranks them. */
#ifndef HANHUA_PAIRS_H
#define HANHUA_PAIRS_H

#include "table.h"

typedef struct {
    uint64_t key; /* left symbol << 32 | right symbol */
    int64_t count;
    int32_t *at; /* places, some of them stale */
    size_t n, room;
    int there; /* counted; a merged pair is not, until it forms anew */
} Pair;

typedef struct {
    Pair *pairs;
    size_t n, room;
    uint32_t *slots;
    size_t n_slots;
} Pairs;

typedef struct {
    int64_t rank, key; /* key below zero: a single character, -1 - symbol */
} Ranked;

typedef struct {
    Ranked *items;
    size_t n, room;
} Heap;

static inline uint64_t pair_key(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

static inline uint32_t find_pair(const Pairs *p, uint64_t key)
{
    if (!p->n_slots)
        return EMPTY;
    size_t at = mix(key) & (p->n_slots - 1);
    for (; p->slots[at] != EMPTY; at = (at + 1) & (p->n_slots - 1))
        if (p->pairs[p->slots[at]].key == key)
            return p->slots[at];
    return EMPTY;
}

static inline int grow_pairs(Pairs *p)
{
    size_t n = p->n_slots ? p->n_slots * 2 : 1 << 12;
    uint32_t *slots = PyMem_RawMalloc(n * sizeof *slots);
    if (!slots) {
        PyErr_NoMemory();
        return -1;
    }
    memset(slots, 0xff, n * sizeof *slots);
    PyMem_RawFree(p->slots);
    p->slots = slots;
    p->n_slots = n;
    for (size_t i = 0; i < p->n; i++) {
        size_t at = mix(p->pairs[i].key) & (n - 1);
        while (slots[at] != EMPTY)
            at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)i;
    }
    return 0;
}

/* A pair's place in the table, made where it was not there; EMPTY without memory. */
static inline uint32_t make_pair(Pairs *p, uint64_t key)
{
    uint32_t found = find_pair(p, key);
    if (found != EMPTY)
        return found;
    if ((p->n + 1) * 2 > p->n_slots && grow_pairs(p))
        return EMPTY;
    if (RESERVE(p->pairs, p->room, p->n + 1))
        return EMPTY;
    size_t at = mix(key) & (p->n_slots - 1);
    while (p->slots[at] != EMPTY)
        at = (at + 1) & (p->n_slots - 1);
    p->slots[at] = (uint32_t)p->n;
    memset(p->pairs + p->n, 0, sizeof *p->pairs);
    p->pairs[p->n].key = key;
    return (uint32_t)p->n++;
}

static inline void free_pairs(Pairs *p)
{
    for (size_t i = 0; i < p->n; i++)
        PyMem_RawFree(p->pairs[i].at);
    PyMem_RawFree(p->pairs);
    PyMem_RawFree(p->slots);
}

static inline int before(Ranked a, Ranked b)
{
    return a.rank < b.rank || (a.rank == b.rank && a.key < b.key);
}

static inline int push(Heap *h, int64_t rank, int64_t key)
{
    if (RESERVE(h->items, h->room, h->n + 1))
        return -1;
    Ranked item = {rank, key};
    size_t at = h->n++;
    for (; at && before(item, h->items[(at - 1) / 2]); at = (at - 1) / 2)
        h->items[at] = h->items[(at - 1) / 2];
    h->items[at] = item;
    return 0;
}

static inline Ranked pop(Heap *h)
{
    Ranked top = h->items[0], item = h->items[--h->n];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < h->n; at = child) {
        if (child + 1 < h->n && before(h->items[child + 1], h->items[child]))
            child++;
        if (!before(h->items[child], item))
            break;
        h->items[at] = h->items[child];
    }
    if (h->n)
        h->items[at] = item;
    return top;
}

#endif
