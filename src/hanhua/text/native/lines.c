/* A key for each line of a text, of the characters that count when texts are compared. */
#include "text.h"

#define LINE_BASE 0x9E3779B97F4A7C15ull

PyObject *line_keys(PyObject *self, PyObject *args)
{
    PyObject *text;
    Py_buffer fold;
    Py_ssize_t least;
    if (!PyArg_ParseTuple(args, "Uy*n", &text, &fold, &least))
        return NULL;
    PyObject *found = NULL;
    if (check_table(&fold, 4, "fold"))
        found = PyBytes_FromStringAndSize(NULL, 8 * (PyUnicode_GET_LENGTH(text) + 1));
    if (found) {
        const uint32_t *folded = fold.buf;
        char *out = PyBytes_AS_STRING(found);
        uint64_t key = 0;
        Py_ssize_t chars = 0;
#define END_LINE                                                                  \
        do {                                                                      \
            uint64_t mixed = chars < least ? 0 : (key ^ (key >> 31)) * MIX;       \
            memcpy(out, &mixed, 8);                                               \
            out += 8;                                                             \
            key = 0;                                                              \
            chars = 0;                                                            \
        } while (0)
        EACH_CHARACTER(text, c, {
            uint32_t f = folded[c];
            if (c == '\n')
                END_LINE;
            else if (f) {
                key = key * LINE_BASE + f * MIX;
                chars++;
            }
        });
        END_LINE;
        if (_PyBytes_Resize(&found, out - PyBytes_AS_STRING(found)) < 0)
            found = NULL;
    }
    PyBuffer_Release(&fold);
    return found;
}
