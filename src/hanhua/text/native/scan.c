/* Which steps of rewriting may have something to do; text/rewrite/signs.py says what the bits are. */
#include "text.h"

enum { UNUSUAL = 1, HAN = 2, MARK = 4, ROW = 8, LEAD = 16, TAIL = 32, DIGIT = 64, BLANK = 128 };
enum { CHARACTERS = 1, LINE_ENDS = 2, SPACED = 4, REPEATED = 8, SUSPECT = 16, CANDIDATE = 32 };

static int is_digit(uint32_t c)
{
    return c - '0' < 10;
}

static int ends_sentence(uint32_t c)
{
    switch (c) {
    case '!': case '?': case 0x3001: case 0x3002: case 0xff01: case 0xff0c: case 0xff1a:
    case 0xff1b: case 0xff1f:
        return 1;
    }
    return 0;
}

static int is_hex(uint32_t c)
{
    return is_digit(c) || (c | 32) - 'a' < 6;
}

static int is_alnum(uint32_t c)
{
    return is_digit(c) || (c | 32) - 'a' < 26;
}

/* The same loop for the three widths in which Python keeps a string. */
#define SCAN_OF(T)                                                                             \
    static Py_ssize_t digits_##T(const T *at, Py_ssize_t i, Py_ssize_t n)                      \
    {                                                                                          \
        Py_ssize_t start = i;                                                                  \
        while (i < n && is_digit(at[i]))                                                       \
            i++;                                                                               \
        return i - start;                                                                      \
    }                                                                                          \
                                                                                               \
    /* A digit behind which a number may stand that is personal. */                            \
    static int candidate_##T(const T *at, Py_ssize_t i, Py_ssize_t n)                          \
    {                                                                                          \
        if (!is_digit(at[i]))                                                                  \
            return i + 1 < n && is_alnum(at[i + 1]);                                           \
        Py_ssize_t more = digits_##T(at, i + 1, n);                                            \
        if (more >= 6)                                                                         \
            return 1;                                                                          \
        if (i + 5 < n && at[i + 4] == ':' && (at[i + 5] == ':' || is_hex(at[i + 5])) &&        \
            is_hex(at[i + 1]) && is_hex(at[i + 2]) && is_hex(at[i + 3]))                       \
            return 1;                                                                          \
        Py_ssize_t j = i + 1 + more;                                                           \
        if (j >= n)                                                                            \
            return 0;                                                                          \
        if (at[j] == ' ' || at[j] == '-')                                                      \
            return digits_##T(at, j + 1, n) == 4 && j + 5 < n &&                               \
                   (at[j + 5] == ' ' || at[j + 5] == '-') && digits_##T(at, j + 6, n) >= 4;    \
        for (int dots = 0; dots < 3; dots++) {                                                 \
            if (j >= n || at[j] != '.')                                                        \
                return 0;                                                                      \
            Py_ssize_t found = digits_##T(at, j + 1, n);                                       \
            if (!found || (dots < 2 && found > 3))                                             \
                return 0;                                                                      \
            j += 1 + found;                                                                    \
        }                                                                                      \
        return 1;                                                                              \
    }                                                                                          \
                                                                                               \
    /* Whether at[low:high] is one Han character, and marks beside it. */                      \
    static int single_##T(const T *at, Py_ssize_t low, Py_ssize_t high, const uint8_t *table)  \
    {                                                                                          \
        int han = 0;                                                                           \
        for (Py_ssize_t i = low; i < high; i++) {                                              \
            if (!(table[at[i]] & (HAN | MARK)))                                                \
                return 0;                                                                      \
            han += (table[at[i]] & HAN) != 0;                                                  \
        }                                                                                      \
        return han == 1;                                                                       \
    }                                                                                          \
                                                                                               \
    /* Whether so many stand in a row before at[i] that one goes: four that end a sentence, else  \
       seven. */                                                                               \
    static int is_long_##T(const T *at, Py_ssize_t i)                                          \
    {                                                                                          \
        Py_ssize_t least = ends_sentence(at[i]) ? 3 : 6, run = 2;                              \
        while (run < least && run < i && at[i - run - 1] == at[i])                             \
            run++;                                                                             \
        return run == least;                                                                   \
    }                                                                                          \
                                                                                               \
    static unsigned blank_##T(const T *at, Py_ssize_t i, const uint8_t *table,                 \
                              Py_ssize_t *space, int *singles)                                 \
    {                                                                                          \
        if (at[i] == '\n')                                                                     \
            return i && (at[i - 1] == ' ' || at[i - 1] == '\t' ||                              \
                         (i > 1 && at[i - 1] == '\n' && at[i - 2] == '\n')) ? LINE_ENDS : 0;   \
        int one = i && table[at[i - 1]] & (HAN | MARK) && *space >= 0 &&                       \
                  single_##T(at, *space + 1, i, table);                                        \
        *singles = one ? *singles + 1 : 0;                                                     \
        *space = i;                                                                            \
        return *singles > 1 ? SPACED : 0;                                                      \
    }                                                                                          \
                                                                                               \
    static unsigned scan_##T(const T *at, Py_ssize_t n, const uint8_t *table)                  \
    {                                                                                          \
        unsigned found = 0;                                                                    \
        Py_ssize_t space = -1;                                                                 \
        int singles = 0;                                                                       \
        for (Py_ssize_t i = 0; i < n; i++) {                                                   \
            uint8_t s = table[at[i]];                                                          \
            if (!(s & (UNUSUAL | ROW | LEAD | DIGIT | BLANK)))                                 \
                continue;                                                                      \
            if (s & BLANK)                                                                     \
                found |= blank_##T(at, i, table, &space, &singles);                            \
            if (s & UNUSUAL)                                                                   \
                found |= CHARACTERS;                                                           \
            if (s & ROW && i > 2 && at[i - 1] == at[i] && at[i - 2] == at[i] &&                \
                is_long_##T(at, i))                                                            \
                found |= REPEATED;                                                             \
            if (s & LEAD && (at[i] > 0xff || (i + 1 < n && table[at[i + 1]] & TAIL)))          \
                found |= SUSPECT;                                                              \
            if (s & DIGIT && !(found & CANDIDATE) && candidate_##T(at, i, n))                  \
                found |= CANDIDATE;                                                            \
        }                                                                                      \
        return found;                                                                          \
    }

SCAN_OF(Py_UCS1)
SCAN_OF(Py_UCS2)
SCAN_OF(Py_UCS4)

PyObject *scan(PyObject *self, PyObject *args)
{
    PyObject *text;
    Py_buffer table;
    if (!PyArg_ParseTuple(args, "Uy*", &text, &table))
        return NULL;
    PyObject *found = NULL;
    if (check_table(&table, 1, "table")) {
        Py_ssize_t n = PyUnicode_GET_LENGTH(text);
        unsigned bits;
        if (PyUnicode_KIND(text) == PyUnicode_1BYTE_KIND)
            bits = scan_Py_UCS1(PyUnicode_1BYTE_DATA(text), n, table.buf);
        else if (PyUnicode_KIND(text) == PyUnicode_2BYTE_KIND)
            bits = scan_Py_UCS2(PyUnicode_2BYTE_DATA(text), n, table.buf);
        else
            bits = scan_Py_UCS4(PyUnicode_4BYTE_DATA(text), n, table.buf);
        found = PyLong_FromUnsignedLong(bits);
    }
    PyBuffer_Release(&table);
    return found;
}
