/* What counting and learning share: arrays that grow, hashes, and the errors of an allocation.
 *
 * Everything fails the same way: a function that could not get memory sets Python's MemoryError
 * and returns -1.
 */
#ifndef HANHUA_TABLE_H
#define HANHUA_TABLE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define GAP 10u /* the line feed stands between runs; no run holds one */
#define EMPTY UINT32_MAX

static inline uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ull;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ull;
    return x ^ (x >> 32);
}

/* Hash of a stretch of code points: a polynomial, so that the hash of a joined string follows
 * from those of its parts. The length is mixed in when it is looked up. */
#define HASH_BASE 0x9e3779b97f4a7c15ull

static inline uint64_t hash_codes(const uint32_t *codes, size_t n)
{
    uint64_t h = 0;
    for (size_t i = 0; i < n; i++)
        h = h * HASH_BASE + codes[i] + 1;
    return h;
}

/* Room for at least `need` elements; doubles, so that appending is cheap. */
static inline int reserve(void **data, size_t *room, size_t need, size_t size)
{
    if (need <= *room)
        return 0;
    size_t wanted = *room ? *room : 16;
    while (wanted < need)
        wanted *= 2;
    void *grown = PyMem_RawRealloc(*data, wanted * size);
    if (!grown) {
        PyErr_NoMemory();
        return -1;
    }
    *data = grown;
    *room = wanted;
    return 0;
}

#define RESERVE(data, room, need) reserve((void **)&(data), &(room), (need), sizeof *(data))

/* An array as a Python bytes object. */
static inline PyObject *as_bytes(const void *data, size_t n, size_t size)
{
    return PyBytes_FromStringAndSize(n ? (const char *)data : "", (Py_ssize_t)(n * size));
}

extern PyTypeObject CounterType;
extern PyTypeObject LearnerType;

#endif
