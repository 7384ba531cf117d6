/* What the files of the compiled part share. */
#ifndef HANHUA_TEXT_H
#define HANHUA_TEXT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CODE_POINTS 0x110000
#define MIX 0xFF51AFD7ED558CCDull

/* One loop for the three widths in which Python keeps a string. */
#define EACH_CHARACTER(text, c, body)                                        \
    do {                                                                     \
        Py_ssize_t length_ = PyUnicode_GET_LENGTH(text);                     \
        if (PyUnicode_KIND(text) == PyUnicode_1BYTE_KIND) {                  \
            const Py_UCS1 *at_ = PyUnicode_1BYTE_DATA(text);                 \
            for (Py_ssize_t i_ = 0; i_ < length_; i_++) { uint32_t c = at_[i_]; body } \
        } else if (PyUnicode_KIND(text) == PyUnicode_2BYTE_KIND) {           \
            const Py_UCS2 *at_ = PyUnicode_2BYTE_DATA(text);                 \
            for (Py_ssize_t i_ = 0; i_ < length_; i_++) { uint32_t c = at_[i_]; body } \
        } else {                                                             \
            const Py_UCS4 *at_ = PyUnicode_4BYTE_DATA(text);                 \
            for (Py_ssize_t i_ = 0; i_ < length_; i_++) { uint32_t c = at_[i_]; body } \
        }                                                                    \
    } while (0)

/* 0 and an exception unless a table has an entry of the width for every code point. */
int check_table(const Py_buffer *table, Py_ssize_t width, const char *name);

PyObject *profile(PyObject *self, PyObject *args);
PyObject *canonical(PyObject *self, PyObject *args);
PyObject *sign(PyObject *self, PyObject *args);
PyObject *line_keys(PyObject *self, PyObject *args);
PyObject *band_row(PyObject *self, PyObject *args);
PyObject *grams(PyObject *self, PyObject *args);
PyObject *winnow(PyObject *self, PyObject *args);
PyObject *scan(PyObject *self, PyObject *args);
PyObject *measure(PyObject *self, PyObject *args);
PyObject *reword(PyObject *self, PyObject *args);
PyObject *begins(PyObject *self, PyObject *args);
PyObject *marks(PyObject *self, PyObject *args);

#endif
