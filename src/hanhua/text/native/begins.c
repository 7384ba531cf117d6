/* Lines that begin as boilerplate does, among all lines: text/quality/beginnings.py. */
#include "text.h"

enum { EDGE = 1, STARTS = 2 };
#define HASH_BITS 17
#define LONGEST 8

static uint32_t small(uint32_t c)
{
    if (c - 'A' < 26)
        return c | 0x20;
    return c == 0x130 ? 'i' : c == 0x212a ? 'k' : c;
}

static int is_letter(uint32_t c, char letter)
{
    return (c | 0x20) == (uint32_t)letter;
}

#define BEGINS_OF(T)                                                                           \
    static int begins_##T(const T *at, Py_ssize_t low, Py_ssize_t high, const uint8_t *kinds,  \
                          const uint8_t *slots)                                                \
    {                                                                                          \
        while (low < high && kinds[at[low]] & EDGE)                                            \
            low++;                                                                             \
        if (low == high)                                                                       \
            return 0;                                                                          \
        if (!(kinds[at[low]] & STARTS))                                                        \
            return 0;                                                                          \
        uint32_t hash = 0;                                                                     \
        for (int n = 0; n < LONGEST && low + n < high; n++) {                                  \
            hash = (hash + small(at[low + n]) + 1) * 0x9E3779B1u;                              \
            uint32_t slot = (hash ^ hash >> 15) * 0x85EBCA77u >> (32 - HASH_BITS);             \
            if (slots[slot >> 3] >> (slot & 7) & 1)                                            \
                return 1;                                                                      \
        }                                                                                      \
        return 0;                                                                              \
    }                                                                                          \
                                                                                               \
    /* "right", with or without s, and " reserved": the v tells soonest. */                    \
    static int reserved_##T(const T *at, Py_ssize_t i, Py_ssize_t n)                           \
    {                                                                                          \
        return i > 3 && i + 2 < n && is_letter(at[i - 1], 'r') && is_letter(at[i - 2], 'e') && \
               is_letter(at[i + 1], 'e') && is_letter(at[i + 2], 'd');                         \
    }                                                                                          \
                                                                                               \
    static int find_##T(const T *at, Py_ssize_t n, const uint8_t *kinds, const uint8_t *slots, \
                        PyObject *found)                                                       \
    {                                                                                          \
        Py_ssize_t low = 0, number = 0;                                                        \
        int reserved = 0;                                                                      \
        for (Py_ssize_t i = 0; i <= n; i++) {                                                  \
            if (i < n && at[i] != '\n') {                                                      \
                if (is_letter(at[i], 'v'))                                                     \
                    reserved |= reserved_##T(at, i, n);                                        \
                continue;                                                                      \
            }                                                                                  \
            if (begins_##T(at, low, i, kinds, slots)) {                                        \
                PyObject *value = PyLong_FromSsize_t(number);                                  \
                if (!value || PyList_Append(found, value) < 0) {                               \
                    Py_XDECREF(value);                                                         \
                    return -1;                                                                 \
                }                                                                              \
                Py_DECREF(value);                                                              \
            }                                                                                  \
            number++;                                                                          \
            low = i + 1;                                                                       \
        }                                                                                      \
        return reserved;                                                                       \
    }

BEGINS_OF(Py_UCS1)
BEGINS_OF(Py_UCS2)
BEGINS_OF(Py_UCS4)

PyObject *begins(PyObject *self, PyObject *args)
{
    PyObject *text;
    Py_buffer kinds, slots;
    if (!PyArg_ParseTuple(args, "Uy*y*", &text, &kinds, &slots))
        return NULL;
    PyObject *found = NULL;
    int reserved = -1;
    if (slots.len != 1 << (HASH_BITS - 3))
        PyErr_SetString(PyExc_ValueError, "slots must have a bit for each 17-bit hash");
    else if (check_table(&kinds, 1, "kinds") && (found = PyList_New(0))) {
        Py_ssize_t n = PyUnicode_GET_LENGTH(text);
        if (PyUnicode_KIND(text) == PyUnicode_1BYTE_KIND)
            reserved = find_Py_UCS1(PyUnicode_1BYTE_DATA(text), n, kinds.buf, slots.buf, found);
        else if (PyUnicode_KIND(text) == PyUnicode_2BYTE_KIND)
            reserved = find_Py_UCS2(PyUnicode_2BYTE_DATA(text), n, kinds.buf, slots.buf, found);
        else
            reserved = find_Py_UCS4(PyUnicode_4BYTE_DATA(text), n, kinds.buf, slots.buf, found);
    }
    PyBuffer_Release(&kinds);
    PyBuffer_Release(&slots);
    if (reserved < 0) {
        Py_XDECREF(found);
        return NULL;
    }
    return Py_BuildValue("NO", found, reserved ? Py_True : Py_False);
}
