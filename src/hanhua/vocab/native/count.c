/* Counter: the distinct runs of target text, and how often each stands in each source.
 *
 * A run is what Script.runs finds, told by a table of character classes instead of a regex:
 * LETTERs, led by one LEAD or MARK where runs may be led; or MARKs among themselves, but for a
 * last one that leads what follows.
 */
#include "table.h"

enum { OTHER, LETTER, MARK, LEAD };

typedef struct {
    uint32_t run, source, count;
} Entry;

typedef struct {
    size_t start;           /* in codes */
    uint32_t source, count; /* occurrences in the newest source, not in the entries yet */
} Run;

typedef struct {
    uint32_t run, tag; /* the tag is part of the hash: most other runs are told apart by it */
} Slot;

typedef struct {
    PyObject_HEAD
    PyObject *classes; /* bytes, one class a code point */
    int led, marks;    /* runs may begin with a mark or space; runs of marks are counted */
    size_t line_chars; /* a line of so many characters counts once */
    uint32_t *text;    /* the document at hand */
    size_t text_room;
    uint32_t *codes; /* all runs, each followed by GAP */
    size_t n_codes, codes_room;
    Run *runs;
    size_t n_runs, runs_room;
    Entry *entries;
    size_t n_entries, entries_room;
    Slot *slots; /* hash table; the run is EMPTY where there is none */
    size_t n_slots;
    uint64_t *lines; /* hash set of long lines; 0 is empty */
    size_t n_lines, line_slots;
} Counter;

static int grow_runs(Counter *self)
{
    size_t n = self->n_slots ? self->n_slots * 2 : 1 << 12;
    Slot *slots = PyMem_RawMalloc(n * sizeof *slots);
    if (!slots) {
        PyErr_NoMemory();
        return -1;
    }
    memset(slots, 0xff, n * sizeof *slots);
    for (size_t run = 0; run < self->n_runs; run++) {
        size_t start = self->runs[run].start;
        size_t stop = run + 1 < self->n_runs ? self->runs[run + 1].start : self->n_codes;
        uint64_t hash = mix(hash_codes(self->codes + start, stop - 1 - start));
        size_t at = hash & (n - 1);
        while (slots[at].run != EMPTY)
            at = (at + 1) & (n - 1);
        slots[at] = (Slot){(uint32_t)run, (uint32_t)(hash >> 32)};
    }
    PyMem_RawFree(self->slots);
    self->slots = slots;
    self->n_slots = n;
    return 0;
}

/* The number of a run, a new one where it was not seen before. */
static int find_run(Counter *self, const uint32_t *codes, size_t n, uint32_t *found)
{
    if ((self->n_runs + 1) * 2 > self->n_slots && grow_runs(self))
        return -1;
    uint64_t hash = mix(hash_codes(codes, n));
    uint32_t tag = (uint32_t)(hash >> 32);
    size_t at = hash & (self->n_slots - 1);
    for (; self->slots[at].run != EMPTY; at = (at + 1) & (self->n_slots - 1)) {
        if (self->slots[at].tag != tag)
            continue;
        const uint32_t *there = self->codes + self->runs[self->slots[at].run].start;
        if (!memcmp(there, codes, n * sizeof *codes) && there[n] == GAP) {
            *found = self->slots[at].run;
            return 0;
        }
    }
    if (RESERVE(self->codes, self->codes_room, self->n_codes + n + 1)
        || RESERVE(self->runs, self->runs_room, self->n_runs + 1))
        return -1;
    *found = (uint32_t)self->n_runs;
    self->slots[at] = (Slot){*found, tag};
    self->runs[self->n_runs++] = (Run){self->n_codes, 0, 0};
    memcpy(self->codes + self->n_codes, codes, n * sizeof *codes);
    self->n_codes += n;
    self->codes[self->n_codes++] = GAP;
    return 0;
}

/* Enter what a run was counted in its newest source. */
static int enter(Counter *self, uint32_t run)
{
    Run *there = self->runs + run;
    if (!there->count)
        return 0;
    if (RESERVE(self->entries, self->entries_room, self->n_entries + 1))
        return -1;
    self->entries[self->n_entries++] = (Entry){run, there->source, there->count};
    there->count = 0;
    return 0;
}

static int count_run(Counter *self, const uint32_t *codes, size_t n, uint32_t source)
{
    uint32_t run;
    if (find_run(self, codes, n, &run))
        return -1;
    if (self->runs[run].source != source && enter(self, run))
        return -1;
    self->runs[run].source = source;
    self->runs[run].count++;
    return 0;
}

/* Count the runs of one line. */
static int count_line(Counter *self, const uint32_t *text, size_t n, uint32_t source)
{
    const char *class = PyBytes_AS_STRING(self->classes);
    size_t i = 0;
    while (i < n) {
        int now = class[text[i]];
        size_t j = i + 1;
        int leads = self->led && (now == MARK || now == LEAD) && j < n && class[text[j]] == LETTER;
        if (now == LETTER || leads) {
            while (j < n && class[text[j]] == LETTER)
                j++;
        } else if (now == MARK && self->marks) {
            while (j < n && class[text[j]] == MARK)
                j++;
            if (self->led && j < n && class[text[j]] == LETTER)
                j--;
        } else {
            i++;
            continue;
        }
        if (count_run(self, text + i, j - i, source))
            return -1;
        i = j;
    }
    return 0;
}

static int grow_lines(Counter *self)
{
    size_t n = self->line_slots ? self->line_slots * 2 : 1 << 12;
    uint64_t *lines = PyMem_RawCalloc(n, sizeof *lines);
    if (!lines) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < self->line_slots; i++) {
        if (!self->lines[i])
            continue;
        size_t at = self->lines[i] & (n - 1);
        while (lines[at])
            at = (at + 1) & (n - 1);
        lines[at] = self->lines[i];
    }
    PyMem_RawFree(self->lines);
    self->lines = lines;
    self->line_slots = n;
    return 0;
}

/* 1 for a line that is new or short, 0 for a long one that stood somewhere before. */
static int is_new(Counter *self, const uint32_t *text, size_t n)
{
    if (n < self->line_chars)
        return 1;
    if ((self->n_lines + 1) * 2 > self->line_slots && grow_lines(self))
        return -1;
    uint64_t hash = mix(hash_codes(text, n) ^ mix(n));
    hash += !hash;
    size_t at = hash & (self->line_slots - 1);
    for (; self->lines[at]; at = (at + 1) & (self->line_slots - 1))
        if (self->lines[at] == hash)
            return 0;
    self->lines[at] = hash;
    self->n_lines++;
    return 1;
}

/* Copy a Python string's code points. */
static int read_text(Counter *self, PyObject *text)
{
    size_t n = (size_t)PyUnicode_GET_LENGTH(text);
    if (RESERVE(self->text, self->text_room, n + 1))
        return -1;
    if (!PyUnicode_AsUCS4(text, self->text, (Py_ssize_t)n + 1, 1))
        return -1;
    return 0;
}

static PyObject *counter_add(Counter *self, PyObject *args)
{
    PyObject *text;
    unsigned int source;
    if (!PyArg_ParseTuple(args, "UI", &text, &source) || read_text(self, text))
        return NULL;
    size_t n = (size_t)PyUnicode_GET_LENGTH(text), start = 0;
    for (size_t i = 0; i <= n; i++) {
        if (i < n && self->text[i] != GAP)
            continue;
        int fresh = is_new(self, self->text + start, i - start);
        if (fresh < 0 || (fresh && count_line(self, self->text + start, i - start, source)))
            return NULL;
        start = i + 1;
    }
    Py_RETURN_NONE;
}

static PyObject *counter_finish(Counter *self, PyObject *Py_UNUSED(args))
{
    for (size_t run = 0; run < self->n_runs; run++)
        if (enter(self, (uint32_t)run))
            return NULL;
    PyObject *codes = as_bytes(self->codes, self->n_codes, sizeof *self->codes);
    PyObject *entries = as_bytes(self->entries, self->n_entries, sizeof *self->entries);
    if (!codes || !entries) {
        Py_XDECREF(codes);
        Py_XDECREF(entries);
        return NULL;
    }
    return Py_BuildValue("NN", codes, entries);
}

static int counter_init(Counter *self, PyObject *args, PyObject *Py_UNUSED(named))
{
    Py_ssize_t line_chars;
    if (!PyArg_ParseTuple(args, "Sppn", &self->classes, &self->led, &self->marks, &line_chars))
        return -1;
    Py_INCREF(self->classes);
    self->line_chars = (size_t)line_chars;
    if (PyBytes_GET_SIZE(self->classes) != 0x110000) {
        PyErr_SetString(PyExc_ValueError, "one class a code point is needed");
        return -1;
    }
    return 0;
}

static void counter_dealloc(Counter *self)
{
    Py_XDECREF(self->classes);
    PyMem_RawFree(self->text);
    PyMem_RawFree(self->codes);
    PyMem_RawFree(self->runs);
    PyMem_RawFree(self->entries);
    PyMem_RawFree(self->slots);
    PyMem_RawFree(self->lines);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef counter_methods[] = {
    {"add", (PyCFunction)counter_add, METH_VARARGS, "add(text, source): count a document's runs."},
    {"finish", (PyCFunction)counter_finish, METH_NOARGS,
     "finish() -> (code points, entries): runs, each followed by a line feed, as uint32; and "
     "(run, source, count) as three uint32 each."},
    {NULL},
};

PyTypeObject CounterType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "hanhua.vocab._native.Counter",
    .tp_doc = "Counter(classes, led, marks, line_chars)",
    .tp_basicsize = sizeof(Counter),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)counter_init,
    .tp_dealloc = (destructor)counter_dealloc,
    .tp_methods = counter_methods,
};
