/* Characters by class, and as they are compared. */
#include "text.h"

int check_table(const Py_buffer *table, Py_ssize_t width, const char *name)
{
    if (table->len == width * CODE_POINTS)
        return 1;
    PyErr_Format(PyExc_ValueError, "%s has %zd bytes, not %zd", name, table->len,
                 width * CODE_POINTS);
    return 0;
}

/* A list of the counts of the first classes, then of the marked characters. */
static PyObject *as_list(uint64_t turns[2][256], Py_ssize_t classes, uint64_t marks)
{
    PyObject *found = PyList_New(classes + 1);
    for (Py_ssize_t k = 0; found && k <= classes; k++) {
        PyObject *count = PyLong_FromUnsignedLongLong(
            k < classes ? turns[0][k] + turns[1][k] : marks);
        if (count)
            PyList_SET_ITEM(found, k, count);
        else
            Py_CLEAR(found);
    }
    return found;
}

PyObject *profile(PyObject *self, PyObject *args)
{
    PyObject *text;
    Py_buffer classes, marked;
    Py_ssize_t wanted;
    if (!PyArg_ParseTuple(args, "Uy*y*n", &text, &classes, &marked, &wanted))
        return NULL;
    PyObject *found = NULL;
    if (wanted < 0 || wanted > 256)
        PyErr_SetString(PyExc_ValueError, "there are at most 256 classes");
    else if (check_table(&classes, 1, "classes") && check_table(&marked, 1, "marked")) {
        const uint8_t *class_of = classes.buf, *is_marked = marked.buf;
        /* Two counts of each class by turns: the same class in a row would wait for itself. */
        uint64_t turns[2][256] = {{0}};
        unsigned turn = 0;
        uint64_t marks = 0;
        EACH_CHARACTER(text, c, {
            turns[turn ^= 1][class_of[c]]++;
            marks += is_marked[c];
        });
        found = as_list(turns, wanted, marks);
    }
    PyBuffer_Release(&classes);
    PyBuffer_Release(&marked);
    return found;
}

PyObject *marks(PyObject *self, PyObject *args)
{
    PyObject *text;
    Py_buffer table;
    if (!PyArg_ParseTuple(args, "Uy*", &text, &table))
        return NULL;
    PyObject *found = NULL;
    if (check_table(&table, 1, "table") && (found = PyTuple_New(8))) {
        const uint8_t *bits_of = table.buf;
        uint64_t turns[2][256] = {{0}};
        unsigned turn = 0;
        EACH_CHARACTER(text, c, { turns[turn ^= 1][bits_of[c]]++; });
        for (int bit = 0; found && bit < 8; bit++) {
            uint64_t sum = 0;
            for (int bits = 1 << bit; bits < 256; bits = (bits + 1) | 1 << bit)
                sum += turns[0][bits] + turns[1][bits];
            PyObject *count = PyLong_FromUnsignedLongLong(sum);
            if (count)
                PyTuple_SET_ITEM(found, bit, count);
            else
                Py_CLEAR(found);
        }
    }
    PyBuffer_Release(&table);
    return found;
}

PyObject *canonical(PyObject *self, PyObject *args)
{
    PyObject *text;
    Py_buffer fold;
    if (!PyArg_ParseTuple(args, "Uy*", &text, &fold))
        return NULL;
    PyObject *found = NULL;
    if (check_table(&fold, 4, "fold"))
        found = PyBytes_FromStringAndSize(NULL, 4 * PyUnicode_GET_LENGTH(text));
    if (found) {
        const uint32_t *folded = fold.buf;
        uint32_t *out = (uint32_t *)PyBytes_AS_STRING(found);
        Py_ssize_t kept = 0;
        EACH_CHARACTER(text, c, {
            uint32_t f = folded[c];
            out[kept] = f;
            kept += f != 0;
        });
        if (_PyBytes_Resize(&found, 4 * kept) < 0)
            found = NULL;
    }
    PyBuffer_Release(&fold);
    return found;
}
