/* Words of a list put in the place of others: text/copies/words.py. */
#include "text.h"

typedef struct {
    uint32_t first, second, row, rows;
} Pair;

typedef struct {
    const uint32_t *letters;
    const int32_t *ends; /* word n begins where n - 1 ends */
} List;

typedef struct {
    const Pair *pairs;
    Py_ssize_t room;
    const uint8_t *firsts, *seconds; /* a bit for the low 16 of each first, and second, letter */
    List words, others; /* equally many */
} Words;

/* A text as it is compared, and where each of its characters stood. */
typedef struct {
    uint32_t *points;
    int32_t *places;
    Py_ssize_t count;
} Folded;

typedef struct {
    Py_UCS4 *at;
    Py_ssize_t count, room;
} Out;

static Py_ssize_t word_of(const List *list, Py_ssize_t row, const uint32_t **letters)
{
    int32_t start = row ? list->ends[row - 1] : 0;
    *letters = list->letters + start;
    return list->ends[row] - start;
}

static int may_be(const uint8_t *bits, uint32_t c)
{
    return bits[(c & 0xffff) >> 3] >> (c & 7) & 1;
}

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

/* The row of the word that stands at a place; -1: none does. */
static Py_ssize_t word_at(const Words *words, const uint32_t *at, Py_ssize_t left,
                          Py_ssize_t *length)
{
    if (left < 2 || !may_be(words->firsts, at[0]) || !may_be(words->seconds, at[1]))
        return -1;
    const Pair *pair = find_pair(words, at[0], at[1]);
    for (uint32_t n = 0; pair && n < pair->rows; n++) {
        const uint32_t *letters;
        *length = word_of(&words->words, pair->row + n, &letters);
        if (*length <= left && !memcmp(at, letters, 4 * *length))
            return pair->row + n;
    }
    return -1;
}

static int make_room(Out *out, Py_ssize_t more)
{
    if (out->count + more <= out->room)
        return 1;
    Py_ssize_t room = 2 * (out->count + more);
    Py_UCS4 *at = realloc(out->at, 4 * room);
    if (!at)
        return 0;
    out->at = at;
    out->room = room;
    return 1;
}

static int add_text(Out *out, PyObject *text, Py_ssize_t low, Py_ssize_t high)
{
    if (!make_room(out, high - low))
        return 0;
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    for (Py_ssize_t i = low; i < high; i++)
        out->at[out->count++] = PyUnicode_READ(kind, data, i);
    return 1;
}

static int add_word(Out *out, const List *list, Py_ssize_t row)
{
    const uint32_t *letters;
    Py_ssize_t length = word_of(list, row, &letters);
    if (!make_room(out, length))
        return 0;
    memcpy(out->at + out->count, letters, 4 * length);
    out->count += length;
    return 1;
}

static int is_same(const Words *words, Py_ssize_t row)
{
    const uint32_t *word, *other;
    Py_ssize_t length = word_of(&words->words, row, &word);
    return length == word_of(&words->others, row, &other) && !memcmp(word, other, 4 * length);
}

/* 1 and the new text in out; out stays empty where no word changes; 0 without memory. */
static int reword_text(PyObject *text, const Folded *folded, const Words *words, Out *out)
{
    Py_ssize_t last = 0, length = 0;
    for (Py_ssize_t i = 0; i < folded->count;) {
        Py_ssize_t row = word_at(words, folded->points + i, folded->count - i, &length);
        if (row >= 0 && !is_same(words, row)) {
            if (!add_text(out, text, last, folded->places[i]) ||
                !add_word(out, &words->others, row))
                return 0;
            last = folded->places[i + length - 1] + 1;
        }
        i += row >= 0 ? length : 1;
    }
    return !last || add_text(out, text, last, PyUnicode_GET_LENGTH(text));
}

static PyObject *reword_folded(PyObject *text, const uint32_t *fold, const Words *words)
{
    Py_ssize_t chars = PyUnicode_GET_LENGTH(text), place = 0;
    Folded folded = {malloc(4 * chars + 4), malloc(4 * chars + 4), 0};
    Out out = {NULL, 0, 0};
    PyObject *found = NULL;
    if (folded.points && folded.places) {
        EACH_CHARACTER(text, c, {
            folded.points[folded.count] = fold[c];
            folded.places[folded.count] = place++;
            folded.count += fold[c] != 0;
        });
        if (reword_text(text, &folded, words, &out))
            found = out.count ? PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, out.at, out.count)
                              : Py_NewRef(text);
    }
    if (!found && !PyErr_Occurred())
        PyErr_NoMemory();
    free(folded.points);
    free(folded.places);
    free(out.at);
    return found;
}

PyObject *reword(PyObject *self, PyObject *args)
{
    PyObject *text, *found = NULL;
    Py_buffer fold, pairs, firsts, seconds, ends, letters, other_ends, other_letters;
    if (!PyArg_ParseTuple(args, "Uy*y*y*y*y*y*y*y*", &text, &fold, &pairs, &firsts, &seconds,
                          &ends, &letters, &other_ends, &other_letters))
        return NULL;
    Py_ssize_t room = pairs.len / sizeof(Pair);
    if (room < 1 || room & (room - 1) || ends.len != other_ends.len ||
        firsts.len != 1 << 13 || seconds.len != 1 << 13)
        PyErr_SetString(PyExc_ValueError, "pairs must be a power of two, words as many as others");
    else if (PyUnicode_GET_LENGTH(text) > INT32_MAX)
        PyErr_SetString(PyExc_ValueError, "the text is too long");
    else if (check_table(&fold, 4, "fold")) {
        const Words words = {
            pairs.buf, room, firsts.buf, seconds.buf, {letters.buf, ends.buf},
            {other_letters.buf, other_ends.buf},
        };
        found = reword_folded(text, fold.buf, &words);
    }
    PyBuffer_Release(&fold);
    PyBuffer_Release(&pairs);
    PyBuffer_Release(&firsts);
    PyBuffer_Release(&seconds);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&letters);
    PyBuffer_Release(&other_ends);
    PyBuffer_Release(&other_letters);
    return found;
}
