/* MinHash of a text's shingles; text/copies/minhash.py says what a shingle is and does the same slowly. */
#include "text.h"

#define UNIT_BASE 0x9E3779B97F4A7C15ull
#define WORD_BASE 0xD6E8FEB86659FD93ull
#define WEIGHT 5
#define BLOCK 8

enum { WORD = 0, SINGLE = 1 };

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

typedef struct {
    uint64_t *hash;
    uint8_t *weight;
    Py_ssize_t count;
} Units;

static void add_unit(Units *units, uint64_t hash, uint8_t weight)
{
    units->hash[units->count] = hash;
    units->weight[units->count++] = weight;
}

/* Han and the like stand alone; letters and digits between gaps are one word. */
static void find_units(PyObject *text, const uint32_t *fold, const uint8_t *kinds, Units *units)
{
    uint64_t word = 0, power = 1;
    EACH_CHARACTER(text, c, {
        uint32_t f = fold[c];
        int single = f && kinds[f] == SINGLE;
        if (f && !single) {
            word += f * MIX * power;
            power *= WORD_BASE;
        } else {
            if (power != 1)
                add_unit(units, word, 2);
            word = 0;
            power = 1;
            if (single)
                add_unit(units, f * MIX, 1);
        }
    });
    if (power != 1)
        add_unit(units, word, 2);
}

/* Shingles of at least WEIGHT; they are written over the hashes of units, which lie behind. */
static Py_ssize_t find_shingles(const Units *units, uint32_t *out)
{
    Py_ssize_t count = 0;
    for (Py_ssize_t i = 0; i < units->count; i++) {
        uint64_t hash = 0, power = 1;
        int weight = 0;
        for (Py_ssize_t j = i; j < units->count && weight < WEIGHT; j++) {
            hash += units->hash[j] * power;
            power *= UNIT_BASE;
            weight += units->weight[j];
        }
        if (weight < WEIGHT)
            break;
        hash ^= hash >> 32;
        hash *= MIX;
        hash ^= hash >> 29;
        hash *= UNIT_BASE;
        out[count++] = (uint32_t)(hash >> 32);
    }
    return count;
}

WIDE static void least(const uint32_t *shingles, Py_ssize_t count, const uint32_t *a,
                       const uint32_t *b, Py_ssize_t functions, uint32_t *out)
{
    for (Py_ssize_t k = 0; k < functions; k += BLOCK) {
        uint32_t low[BLOCK];
        for (int l = 0; l < BLOCK; l++)
            low[l] = UINT32_MAX;
        for (Py_ssize_t i = 0; i < count; i++) {
            uint32_t x = shingles[i];
            for (int l = 0; l < BLOCK; l++) {
                uint32_t h = a[k + l] * x + b[k + l];
                low[l] = h < low[l] ? h : low[l];
            }
        }
        memcpy(out + k, low, sizeof low);
    }
}

/* The rows of a band, one after the other, into one key: minhash.band_keys. */
static uint64_t band_key(const uint32_t *rows, Py_ssize_t count)
{
    uint64_t key = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        key = (key ^ rows[i]) * MIX;
        key ^= key >> 32;
    }
    return key;
}

PyObject *band_row(PyObject *self, PyObject *args)
{
    Py_buffer least;
    Py_ssize_t bands;
    if (!PyArg_ParseTuple(args, "y*n", &least, &bands))
        return NULL;
    PyObject *found = NULL;
    Py_ssize_t functions = least.len / 4;
    const uint32_t *low = least.buf;
    if (bands < 1 || functions % bands)
        PyErr_SetString(PyExc_ValueError, "the functions do not part into so many bands");
    else
        found = PyBytes_FromStringAndSize(NULL, 8 * bands + 2 * functions);
    if (found) {
        char *out = PyBytes_AS_STRING(found);
        for (Py_ssize_t b = 0; b < bands; b++, out += 8) {
            uint64_t key = band_key(low + b * (functions / bands), functions / bands);
            memcpy(out, &key, 8);
        }
        for (Py_ssize_t f = 0; f < functions; f++, out += 2) {
            uint16_t half = (uint16_t)low[f];
            memcpy(out, &half, 2);
        }
    }
    PyBuffer_Release(&least);
    return found;
}

static PyObject *sign_units(PyObject *text, const Py_buffer *fold, const Py_buffer *kinds,
                            const Py_buffer *a, const Py_buffer *b)
{
    Py_ssize_t chars = PyUnicode_GET_LENGTH(text);
    PyObject *found = PyBytes_FromStringAndSize(NULL, a->len);
    Units units = {malloc(8 * chars + 8), malloc(chars + 1), 0};
    uint32_t *shingles = malloc(4 * chars + 4);
    Py_ssize_t count = 0;
    if (found && units.hash && units.weight && shingles) {
        uint32_t *out = (uint32_t *)PyBytes_AS_STRING(found);
        Py_BEGIN_ALLOW_THREADS
        find_units(text, fold->buf, kinds->buf, &units);
        count = find_shingles(&units, shingles);
        least(shingles, count, a->buf, b->buf, a->len / 4, out);
        Py_END_ALLOW_THREADS
    } else {
        Py_CLEAR(found);
        PyErr_NoMemory();
    }
    free(units.hash);
    free(units.weight);
    free(shingles);
    return found ? Py_BuildValue("Nn", found, count) : NULL;
}

PyObject *sign(PyObject *self, PyObject *args)
{
    PyObject *text, *found = NULL;
    Py_buffer fold, kinds, a, b;
    if (!PyArg_ParseTuple(args, "Uy*y*y*y*", &text, &fold, &kinds, &a, &b))
        return NULL;
    if (a.len != b.len || a.len % (4 * BLOCK))
        PyErr_SetString(PyExc_ValueError, "a and b must be equally long, by eights");
    else if (check_table(&fold, 4, "fold") && check_table(&kinds, 1, "kinds"))
        found = sign_units(text, &fold, &kinds, &a, &b);
    PyBuffer_Release(&fold);
    PyBuffer_Release(&kinds);
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    return found;
}
