/* Symbols: the strings that the text is cut into, found by their code points. */
#ifndef HANHUA_SYMBOLS_H
#define HANHUA_SYMBOLS_H

#include "table.h"

typedef struct {
    size_t start; /* in codes */
    uint32_t length;
    uint64_t hash;
} String;

typedef struct {
    uint32_t *codes;
    size_t n_codes, codes_room;
    String *strings;
    size_t n, room;
    uint8_t *active; /* whether pairs with it are counted */
    size_t active_room;
    uint32_t *slots;
    size_t n_slots;
} Symbols;

static inline uint64_t power(uint32_t n)
{
    uint64_t found = 1;
    while (n--)
        found *= HASH_BASE;
    return found;
}

static inline size_t symbol_slot(const Symbols *s, uint64_t hash, uint32_t length)
{
    return mix(hash ^ mix(length)) & (s->n_slots - 1);
}

/* The symbol that two stretches spell together, or EMPTY; the second may have no length. */
static inline uint32_t find_symbol(const Symbols *s, const uint32_t *a, uint32_t n, uint64_t hash_a,
                                   const uint32_t *b, uint32_t m, uint64_t hash_b)
{
    uint64_t hash = m ? hash_a * power(m) + hash_b : hash_a;
    for (size_t at = symbol_slot(s, hash, n + m); s->slots[at] != EMPTY;
         at = (at + 1) & (s->n_slots - 1)) {
        const String *there = s->strings + s->slots[at];
        const uint32_t *codes = s->codes + there->start;
        if (there->hash == hash && there->length == n + m && !memcmp(codes, a, n * sizeof *a)
            && !memcmp(codes + n, b, m * sizeof *b))
            return s->slots[at];
    }
    return EMPTY;
}

static inline uint32_t joined(const Symbols *s, uint32_t left, uint32_t right)
{
    const String *a = s->strings + left, *b = s->strings + right;
    return find_symbol(s, s->codes + a->start, a->length, a->hash, s->codes + b->start, b->length,
                       b->hash);
}

static inline int grow_symbols(Symbols *s)
{
    size_t n = s->n_slots ? s->n_slots * 2 : 1 << 12;
    uint32_t *slots = PyMem_RawMalloc(n * sizeof *slots);
    if (!slots) {
        PyErr_NoMemory();
        return -1;
    }
    memset(slots, 0xff, n * sizeof *slots);
    PyMem_RawFree(s->slots);
    s->slots = slots;
    s->n_slots = n;
    for (size_t i = 0; i < s->n; i++) {
        size_t at = symbol_slot(s, s->strings[i].hash, s->strings[i].length);
        while (slots[at] != EMPTY)
            at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)i;
    }
    return 0;
}

/* A string's symbol, a new one where there is none; EMPTY without memory. */
static inline uint32_t intern(Symbols *s, const uint32_t *codes, uint32_t n)
{
    if ((s->n + 1) * 2 > s->n_slots && grow_symbols(s))
        return EMPTY;
    uint64_t hash = hash_codes(codes, n);
    uint32_t found = find_symbol(s, codes, n, hash, codes, 0, 0);
    if (found != EMPTY)
        return found;
    if (RESERVE(s->codes, s->codes_room, s->n_codes + n)
        || RESERVE(s->strings, s->room, s->n + 1) || RESERVE(s->active, s->active_room, s->n + 1))
        return EMPTY;
    size_t at = symbol_slot(s, hash, n);
    while (s->slots[at] != EMPTY)
        at = (at + 1) & (s->n_slots - 1);
    s->slots[at] = (uint32_t)s->n;
    memcpy(s->codes + s->n_codes, codes, n * sizeof *codes);
    s->strings[s->n] = (String){s->n_codes, n, hash};
    s->active[s->n] = 0;
    s->n_codes += n;
    return (uint32_t)s->n++;
}

static inline PyObject *symbol_text(const Symbols *s, uint32_t symbol)
{
    const String *string = s->strings + symbol;
    return PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, s->codes + string->start,
                                     string->length);
}

static inline void free_symbols(Symbols *s)
{
    PyMem_RawFree(s->codes);
    PyMem_RawFree(s->strings);
    PyMem_RawFree(s->active);
    PyMem_RawFree(s->slots);
}

#endif
