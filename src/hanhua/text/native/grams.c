/* n-grams of a text that may be those of a question: a rolling polynomial against a bit table. */
#include "text.h"

#define BASE 0x9E3779B97F4A7C15ull

typedef struct {
    uint64_t *hash;
    int64_t *place;
    Py_ssize_t count, room;
} Hits;

static int add_hit(Hits *hits, uint64_t hash, int64_t place)
{
    if (hits->count == hits->room) {
        Py_ssize_t room = hits->room ? 2 * hits->room : 256;
        uint64_t *hash_ = realloc(hits->hash, 8 * room);
        if (hash_)
            hits->hash = hash_;
        int64_t *place_ = realloc(hits->place, 8 * room);
        if (place_)
            hits->place = place_;
        if (!hash_ || !place_)
            return 0;
        hits->room = room;
    }
    hits->hash[hits->count] = hash;
    hits->place[hits->count++] = place;
    return 1;
}

static int find_hits(const uint32_t *points, Py_ssize_t chars, int n, const uint8_t *seen,
                     unsigned shift, Hits *hits)
{
    uint64_t hash = 0, last = 1;
    for (int i = 0; i < n; i++)
        last *= BASE; /* what the character that leaves was multiplied by, once more */
    for (Py_ssize_t i = 0; i < chars; i++) {
        hash = hash * BASE + points[i] * MIX;
        if (i >= n)
            hash -= points[i - n] * MIX * last;
        if (i < n - 1)
            continue;
        uint64_t mixed = (hash ^ (hash >> 31)) * MIX;
        if (seen[mixed >> shift] && !add_hit(hits, mixed, i - n + 1))
            return 0;
    }
    return 1;
}

PyObject *grams(PyObject *self, PyObject *args)
{
    Py_buffer points, seen;
    int n;
    unsigned shift;
    if (!PyArg_ParseTuple(args, "y*iy*I", &points, &n, &seen, &shift))
        return NULL;
    PyObject *found = NULL;
    Hits hits = {NULL, NULL, 0, 0};
    if (n < 1 || shift < 24 || shift > 63 || seen.len != (Py_ssize_t)1 << (64 - shift))
        PyErr_SetString(PyExc_ValueError, "seen must have one byte for each slot");
    else if (!find_hits(points.buf, points.len / 4, n, seen.buf, shift, &hits))
        PyErr_NoMemory();
    else
        found = Py_BuildValue("y#y#", hits.count ? (const char *)hits.hash : "", 8 * hits.count,
                              hits.count ? (const char *)hits.place : "", 8 * hits.count);
    free(hits.hash);
    free(hits.place);
    PyBuffer_Release(&points);
    PyBuffer_Release(&seen);
    return found;
}
