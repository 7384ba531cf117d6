/* The counts that quality rules ask for; text/quality/facts.py defines them and counts the same. */
#include "text.h"

enum { PAUSE = 1, SPACE = 2, LETTER = 4, TOKEN = 8, PARTICLE = 16, RARE = 32, FIRST = 64, SECOND = 128 };
enum { ENDS = 1, BULLET = 2, TRAILING = 4 };

#define MULTIPLIER 0x9E3779B1u
#define BIN_MULTIPLIER 0x85EBCA77u
#define BINS 1024
#define LINE_BASE 0x9E3779B97F4A7C15ull
#define PIECES 3
#define LONG_TOKEN 30
#define LONG_RUN 120
#define ELLIPSIS 0x2026

/* How many values stood there before, with an open table of a power of two; -1 without memory. */
static Py_ssize_t repeated_among(const uint32_t *values, Py_ssize_t count)
{
    Py_ssize_t room = 256, repeated = 0;
    while (room < 2 * count)
        room *= 2;
    uint32_t *seen = calloc(room, 4);
    if (!seen)
        return -1;
    int zero = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        uint32_t value = values[i];
        if (!value) {
            repeated += zero;
            zero = 1;
            continue;
        }
        Py_ssize_t slot = (value * BIN_MULTIPLIER ^ value >> 15) & (room - 1);
        while (seen[slot] && seen[slot] != value)
            slot = (slot + 1) & (room - 1);
        repeated += seen[slot] == value;
        seen[slot] = value;
    }
    free(seen);
    return repeated;
}

typedef struct {
    Py_ssize_t all, empty, ended, bullets, ellipses, brief, open, open_chars, longest;
    Py_ssize_t repeated, repeated_chars;
} Lines;

typedef struct {
    uint64_t *keys;
    Py_ssize_t room;
} LineSet;

/* A hash of bytes that is never 0, eight at a time. */
static uint64_t hash_bytes(const void *start, Py_ssize_t size)
{
    const uint8_t *at = start;
    uint64_t hash = size * LINE_BASE, block;
    for (; size >= 8; size -= 8, at += 8) {
        memcpy(&block, at, 8);
        hash = (hash ^ block) * MIX;
        hash ^= hash >> 32;
    }
    block = 0;
    memcpy(&block, at, size);
    hash = (hash ^ block) * MIX;
    return (hash ^ hash >> 29) * LINE_BASE | 1;
}

/* Whether a line stood there before; equal lines are those of equal 64-bit hashes. */
static int stood_before(LineSet *set, uint64_t key)
{
    Py_ssize_t slot = (key >> 20) & (set->room - 1);
    while (set->keys[slot] && set->keys[slot] != key)
        slot = (slot + 1) & (set->room - 1);
    int found = set->keys[slot] == key;
    set->keys[slot] = key;
    return found;
}

#define LINES_OF(T)                                                                            \
    static int is_ellipsis_##T(const T *at, Py_ssize_t low, Py_ssize_t high)                   \
    {                                                                                          \
        while (high > low && (uint32_t)at[high - 1] - '0' < 10)                                       \
            high--;                                                                            \
        return (high > low && (uint32_t)at[high - 1] == ELLIPSIS) ||                           \
               (high > low + 2 && at[high - 1] == '.' && at[high - 2] == '.' &&                \
                at[high - 3] == '.');                                                          \
    }                                                                                          \
                                                                                               \
    static void add_line_##T(const T *at, Py_ssize_t low, Py_ssize_t high,                     \
                             Py_ssize_t short_chars, const uint8_t *marks, LineSet *set,       \
                             Lines *lines)                                                     \
    {                                                                                          \
        Py_ssize_t chars = high - low;                                                         \
        lines->all++;                                                                          \
        if (chars > lines->longest)                                                            \
            lines->longest = chars;                                                            \
        if (!chars) {                                                                          \
            lines->empty++;                                                                    \
            return;                                                                            \
        }                                                                                      \
        uint8_t last = marks[at[high - 1]];                                                    \
        lines->bullets += (marks[at[low]] & BULLET) != 0;                                      \
        lines->ellipses += last & TRAILING && is_ellipsis_##T(at, low, high);                  \
        if (last & ENDS) {                                                                     \
            lines->ended++;                                                                    \
        } else {                                                                               \
            lines->open++;                                                                     \
            lines->open_chars += chars;                                                        \
            lines->brief += chars < short_chars;                                               \
        }                                                                                      \
        if (stood_before(set, hash_bytes(at + low, chars * sizeof(T)))) {                      \
            lines->repeated++;                                                                 \
            lines->repeated_chars += chars;                                                    \
        }                                                                                      \
    }                                                                                          \
                                                                                               \
    static int count_lines_##T(const T *at, Py_ssize_t n, Py_ssize_t short_chars,              \
                               const uint8_t *marks, Lines *lines)                             \
    {                                                                                          \
        Py_ssize_t breaks = 0, low = 0;                                                        \
        for (Py_ssize_t i = 0; i < n; i++)                                                     \
            breaks += at[i] == '\n';                                                           \
        LineSet set = {NULL, 64};                                                              \
        while (set.room < 2 * breaks + 2)                                                      \
            set.room *= 2;                                                                     \
        set.keys = calloc(set.room, 8);                                                        \
        if (!set.keys)                                                                         \
            return 0;                                                                          \
        for (Py_ssize_t line = 0; line <= breaks; line++) {                                    \
            Py_ssize_t high = low;                                                             \
            while (high < n && at[high] != '\n')                                               \
                high++;                                                                        \
            add_line_##T(at, low, high, short_chars, marks, &set, lines);                      \
            low = high + 1;                                                                    \
        }                                                                                      \
        free(set.keys);                                                                        \
        return 1;                                                                              \
    }                                                                                          \
                                                                                               \
    static void take_##T(const T *at, Py_ssize_t low, Py_ssize_t high, uint32_t *out)          \
    {                                                                                          \
        for (Py_ssize_t i = low; i < high; i++)                                                \
            *out++ = at[i];                                                                    \
    }

LINES_OF(Py_UCS1)
LINES_OF(Py_UCS2)
LINES_OF(Py_UCS4)

static int count_lines(PyObject *text, Py_ssize_t short_chars, const uint8_t *marks, Lines *lines)
{
    Py_ssize_t n = PyUnicode_GET_LENGTH(text);
    if (PyUnicode_KIND(text) == PyUnicode_1BYTE_KIND)
        return count_lines_Py_UCS1(PyUnicode_1BYTE_DATA(text), n, short_chars, marks, lines);
    if (PyUnicode_KIND(text) == PyUnicode_2BYTE_KIND)
        return count_lines_Py_UCS2(PyUnicode_2BYTE_DATA(text), n, short_chars, marks, lines);
    return count_lines_Py_UCS4(PyUnicode_4BYTE_DATA(text), n, short_chars, marks, lines);
}

static void take(PyObject *text, Py_ssize_t low, Py_ssize_t high, uint32_t *out)
{
    if (PyUnicode_KIND(text) == PyUnicode_1BYTE_KIND)
        take_Py_UCS1(PyUnicode_1BYTE_DATA(text), low, high, out);
    else if (PyUnicode_KIND(text) == PyUnicode_2BYTE_KIND)
        take_Py_UCS2(PyUnicode_2BYTE_DATA(text), low, high, out);
    else
        take_Py_UCS4(PyUnicode_4BYTE_DATA(text), low, high, out);
}

/* The text, or its beginning, middle and end with line breaks between. */
static Py_ssize_t take_sample(PyObject *text, Py_ssize_t most, uint32_t *out)
{
    Py_ssize_t n = PyUnicode_GET_LENGTH(text), size = most / PIECES, taken = 0;
    if (n <= most) {
        take(text, 0, n, out);
        return n;
    }
    for (int piece = 0; piece < PIECES; piece++) {
        Py_ssize_t start = piece * (n - size) / (PIECES - 1);
        take(text, start, start + size, out + taken);
        taken += size;
        if (piece < PIECES - 1)
            out[taken++] = '\n';
    }
    return taken;
}

typedef struct {
    Py_ssize_t chars, breaks, blanks, particles, rare, tokens, terms;
    Py_ssize_t stretches, longest, unbroken, long_tokens;
    Py_ssize_t units, words, lettered, function_words, top_pair, top_quad, repeated;
} Sample;

/* Flags, and the places where a term of advertising may begin: [chars] at most. */
static void count_flags(const uint8_t *flags, Sample *sample, uint32_t *places)
{
    for (Py_ssize_t i = 0; i < sample->chars; i++) {
        uint8_t f = flags[i];
        sample->breaks += f & PAUSE;
        sample->blanks += (f & SPACE) >> 1;
        sample->tokens += (f & TOKEN) >> 3;
        sample->particles += (f & PARTICLE) >> 4;
        sample->rare += (f & RARE) >> 5;
        places[sample->terms] = i;
        sample->terms += f & FIRST && i + 1 < sample->chars && flags[i + 1] & SECOND;
    }
}

static void add_stretch(const uint8_t *flags, Py_ssize_t start, Py_ssize_t length, Sample *sample)
{
    if (length > sample->longest)
        sample->longest = length;
    sample->stretches += length > 0;
    if (length > LONG_RUN)
        sample->unbroken += length;
    if (length > LONG_TOKEN && flags[start + length / 4] & TOKEN &&
        flags[start + 2 * length / 4] & TOKEN && flags[start + 3 * length / 4] & TOKEN)
        sample->long_tokens += length;
}

static void count_stretches(const uint8_t *flags, Sample *sample)
{
    Py_ssize_t start = 0;
    for (Py_ssize_t i = 0; i <= sample->chars; i++)
        if (i == sample->chars || flags[i] & PAUSE) {
            add_stretch(flags, start, i - start, sample);
            start = i + 1;
        }
}

/* Words by the spaces between them, hashed without case; they become the units. */
static void find_words(const uint32_t *points, const uint8_t *flags, const uint8_t *known,
                       uint32_t *units, Sample *sample)
{
    uint32_t sum = 0, before = 0x20;
    Py_ssize_t start = -1;
    for (Py_ssize_t i = 0; i <= sample->chars; i++) {
        if (i == sample->chars || flags[i] & SPACE) {
            if (start >= 0) {
                uint32_t hash = sum * MULTIPLIER;
                Py_ssize_t second = start + 1 < sample->chars ? start + 1 : start;
                units[sample->units++] = hash;
                sample->lettered += ((flags[start] | flags[second]) & LETTER) != 0;
                sample->function_words += known[hash >> 16];
            }
            start = -1;
            sum = 0;
            before = 0x20;
            continue;
        }
        if (start < 0)
            start = i;
        uint32_t letter = points[i] | 0x20;
        sum += ((before * MULTIPLIER) ^ letter) * letter;
        before = letter;
    }
    sample->words = sample->units;
}

static void find_letters(const uint32_t *points, const uint8_t *flags, uint32_t *units,
                         Sample *sample)
{
    for (Py_ssize_t i = 0; i < sample->chars; i++) {
        units[sample->units] = points[i];
        sample->units += (flags[i] & (LETTER | TOKEN)) == LETTER;
    }
}

/* out[i] = left[i] * power + right[i]: n-grams from their beginnings and ends; how many there are. */
static Py_ssize_t join(const uint32_t *left, const uint32_t *right, Py_ssize_t count, int units,
                       uint32_t *out)
{
    uint32_t power = 1;
    for (int n = 0; n < units; n++)
        power *= MULTIPLIER;
    for (Py_ssize_t i = 0; i < count; i++)
        out[i] = left[i] * power + right[i];
    return count;
}

/* How often the commonest n-gram occurs, at most; others of the same bin count in. */
static Py_ssize_t most_of(const uint32_t *grams, Py_ssize_t count)
{
    uint32_t bins[BINS] = {0}, most = 0;
    for (Py_ssize_t i = 0; i < count; i++)
        bins[grams[i] * BIN_MULTIPLIER >> 22]++;
    for (int bin = 0; bin < BINS; bin++)
        most = bins[bin] > most ? bins[bin] : most;
    return most;
}

/* pairs, quads and grams have the room of units each. */
static int count_grams(const uint32_t *units, uint32_t *pairs, uint32_t *quads, uint32_t *grams,
                       int unspaced, Sample *sample)
{
    Py_ssize_t n = sample->units, left = unspaced ? 7 : 4;
    if (n <= left)
        return 1;
    join(units, units + 1, n - 1, 1, pairs);
    join(pairs, pairs + 2, n - 3, 2, quads);
    if (unspaced)
        join(quads, quads + 4, n - 7, 4, grams);
    else
        join(quads, units + 4, n - 4, 1, grams);
    sample->top_pair = most_of(pairs, n - 1);
    sample->top_quad = most_of(quads, n - 3);
    sample->repeated = repeated_among(grams, n - left);
    return sample->repeated >= 0;
}

static int count_sample(PyObject *text, Py_ssize_t most, const uint8_t *flag_of,
                        const uint8_t *known, int unspaced, Py_ssize_t few, Sample *sample,
                        PyObject **places)
{
    Py_ssize_t room = PyUnicode_GET_LENGTH(text);
    room = room < most ? room : most;
    room += PIECES;
    uint32_t *points = malloc(room * (4 * 5 + 1));
    if (!points)
        return 0;
    uint32_t *units = points + room, *pairs = units + room, *quads = pairs + room;
    uint32_t *grams = quads + room;
    uint8_t *flags = (uint8_t *)(grams + room);
    sample->chars = take_sample(text, most, points);
    for (Py_ssize_t i = 0; i < sample->chars; i++)
        flags[i] = flag_of[points[i]];
    count_flags(flags, sample, grams);
    *places = PyBytes_FromStringAndSize((const char *)grams, 4 * sample->terms);
    count_stretches(flags, sample);
    if (unspaced)
        find_letters(points, flags, units, sample);
    else
        find_words(points, flags, known, units, sample);
    int done = sample->units < few || count_grams(units, pairs, quads, grams, unspaced, sample);
    free(points);
    return done;
}

static PyObject *as_tuple(const Lines *l, const Sample *s, PyObject *places)
{
    const Py_ssize_t values[] = {
        l->all, l->empty, l->ended, l->bullets, l->ellipses, l->brief, l->open, l->open_chars,
        l->longest, l->repeated, l->repeated_chars, s->chars, s->breaks, s->blanks,
        s->tokens, s->particles, s->rare, s->terms, s->stretches, s->longest, s->unbroken,
        s->long_tokens, s->units, s->words, s->lettered, s->function_words, s->top_pair,
        s->top_quad, s->repeated,
    };
    Py_ssize_t count = sizeof values / sizeof *values;
    PyObject *found = places ? PyTuple_New(count + 1) : NULL;
    if (found)
        PyTuple_SET_ITEM(found, count, places);
    else
        Py_XDECREF(places);
    for (Py_ssize_t i = 0; found && i < count; i++) {
        PyObject *value = PyLong_FromSsize_t(values[i]);
        if (value)
            PyTuple_SET_ITEM(found, i, value);
        else
            Py_CLEAR(found);
    }
    return found;
}

PyObject *measure(PyObject *self, PyObject *args)
{
    PyObject *text, *found = NULL;
    Py_buffer flags, marks, known;
    Py_ssize_t most, short_chars, few;
    int unspaced;
    if (!PyArg_ParseTuple(args, "Uy*y*y*nnnp", &text, &flags, &marks, &known, &most, &short_chars,
                          &few, &unspaced))
        return NULL;
    Lines lines = {0};
    Sample sample = {0};
    PyObject *places = NULL;
    if (known.len != 1 << 16)
        PyErr_SetString(PyExc_ValueError, "known must have a byte for each 16 bits of a hash");
    else if (check_table(&flags, 1, "flags") && check_table(&marks, 1, "marks")) {
        if (count_lines(text, short_chars, marks.buf, &lines) &&
            count_sample(text, most, flags.buf, known.buf, unspaced, few, &sample,
                         &places)) {
            found = as_tuple(&lines, &sample, places);
        } else {
            Py_XDECREF(places);
            PyErr_NoMemory();
        }
    }
    PyBuffer_Release(&flags);
    PyBuffer_Release(&marks);
    PyBuffer_Release(&known);
    return found;
}
