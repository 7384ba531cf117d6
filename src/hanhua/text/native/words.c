/* Where words of a list stand, the longest first, from the left: text/copies/words.py. */
#include "text.h"

typedef struct {
    uint32_t first, second, row, rows;
} Pair;

typedef struct {
    const Pair *pairs;
    Py_ssize_t room;
    const int32_t *ends; /* of each word's letters; word n begins where n - 1 ends */
    const uint32_t *letters;
    const uint8_t *changes;
} Words;

static const Pair *find_pair(const Words *words, uint32_t first, uint32_t second)
{
    Py_ssize_t slot = (first * 0x9E3779B1u ^ second * 0x85EBCA77u) >> 12 & (words->room - 1);
    for (;; slot = (slot + 1) & (words->room - 1)) {
        const Pair *pair = words->pairs + slot;
        if (!pair->rows)
            return NULL;
        if (pair->first == first && pair->second == second)
            return pair;
    }
}

/* The word that stands at a place; -1: none does. */
static int32_t word_at(const Words *words, const uint32_t *at, Py_ssize_t left, Py_ssize_t *length)
{
    const Pair *pair = left > 1 ? find_pair(words, at[0], at[1]) : NULL;
    for (uint32_t n = 0; pair && n < pair->rows; n++) {
        int32_t row = pair->row + n, start = row ? words->ends[row - 1] : 0;
        *length = words->ends[row] - start;
        if (*length <= left && !memcmp(at, words->letters + start, 4 * *length))
            return row;
    }
    return -1;
}

static int add_place(PyObject *found, Py_ssize_t start, Py_ssize_t end, int32_t row)
{
    PyObject *place = Py_BuildValue("nni", start, end, (int)row);
    int done = place && PyList_Append(found, place) == 0;
    Py_XDECREF(place);
    return done;
}

static PyObject *find_words(const uint32_t *points, Py_ssize_t count, const Words *words)
{
    PyObject *found = PyList_New(0);
    for (Py_ssize_t i = 0; found && i < count;) {
        Py_ssize_t length = 1;
        int32_t row = word_at(words, points + i, count - i, &length);
        if (row >= 0 && words->changes[row] && !add_place(found, i, i + length, row))
            Py_CLEAR(found);
        i += row >= 0 ? length : 1;
    }
    return found;
}

PyObject *words(PyObject *self, PyObject *args)
{
    Py_buffer points, pairs, ends, letters, changes;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*", &points, &pairs, &ends, &letters, &changes))
        return NULL;
    PyObject *found = NULL;
    Py_ssize_t room = pairs.len / sizeof(Pair);
    if (room < 1 || room & (room - 1) || ends.len != 4 * changes.len)
        PyErr_SetString(PyExc_ValueError, "pairs must be a power of two, ends as many as changes");
    else {
        const Words all = {pairs.buf, room, ends.buf, letters.buf, changes.buf};
        found = find_words(points.buf, points.len / 4, &all);
    }
    PyBuffer_Release(&points);
    PyBuffer_Release(&pairs);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&letters);
    PyBuffer_Release(&changes);
    return found;
}
