/* Learner: continued byte pair encoding; does what learn.ArrayLearner does, which says why.
 *
 * The text is one array of cells, a cell a character. The first cell of a symbol holds its number,
 * the last one minus its length where it has several characters, so that both neighbours are found
 * without links. The weight of a place is that of its row; the top bit of a row marks a place that
 * is being merged.
 */
#include "pairs.h"
#include "symbols.h"

#define NO_CELL (-1)
#define INSIDE INT32_MIN
#define MARKED 0x80000000u
#define FREE (-((int64_t)1 << 62))
#define SIEVE_BITS 22

typedef struct {
    uint32_t other; /* the neighbour's symbol */
    uint32_t after; /* 1: it stands behind, 0: in front */
    int32_t at;     /* where the pair begins */
} Item;

typedef struct {
    int64_t sum;
    uint32_t n, pair;
} Sum;

typedef struct {
    PyObject_HEAD
    int32_t *cells;
    uint32_t *rows;
    size_t n_cells;
    int64_t *weights; /* of each row */
    size_t n_rows;
    int64_t floor;
    uint32_t max_chars;
    size_t n_chars; /* symbols that are single characters of the text: the first ones */
    int64_t *char_count;
    int32_t *char_at; /* places of the characters that may be opened */
    size_t *char_start;
    Symbols symbols;
    Pairs pairs;
    Heap heap;
    Item *items; /* pairs about to be counted */
    size_t n_items, items_room;
    Sum *sums[2]; /* by neighbour and side */
    size_t sums_room[2];
    int32_t *places;
    size_t places_room;
} Learner;

static inline uint32_t length_of(const Learner *self, uint32_t symbol)
{
    return self->symbols.strings[symbol].length;
}

static inline int64_t weight_at(const Learner *self, size_t at)
{
    return self->weights[self->rows[at] & ~MARKED];
}

static inline int usable(const Learner *self, size_t at)
{
    int32_t cell = self->cells[at];
    return cell >= 0 && self->symbols.active[cell];
}

/* Where the symbol in front of a place begins, or the gap there. */
static inline size_t in_front(const Learner *self, size_t at)
{
    int32_t cell = self->cells[at - 1];
    return cell >= NO_CELL ? at - 1 : at + (size_t)(int64_t)cell;
}

static int note(Learner *self, uint32_t other, uint32_t after, size_t at)
{
    if (RESERVE(self->items, self->items_room, self->n_items + 1))
        return -1;
    self->items[self->n_items++] = (Item){other, after, (int32_t)at};
    return 0;
}

/* Count a pair of at least `floor`, and make room for its places; EMPTY in *found: left out. */
static int add_pair(Learner *self, uint32_t left, uint32_t right, int64_t sum, uint32_t n,
                    uint32_t *found)
{
    uint32_t known = joined(&self->symbols, left, right);
    *found = EMPTY;
    if (length_of(self, left) + length_of(self, right) > self->max_chars && known == EMPTY)
        return 0;
    uint32_t index = make_pair(&self->pairs, pair_key(left, right));
    if (index == EMPTY)
        return -1;
    Pair *pair = self->pairs.pairs + index;
    if (!pair->there) {
        pair->there = 1;
        pair->count = 0;
        pair->n = 0;
    }
    pair->count += sum;
    if (pair->room < pair->n + n) { /* exactly: most pairs never grow again */
        int32_t *grown = PyMem_RawRealloc(pair->at, (pair->n + n) * sizeof *grown);
        if (!grown) {
            PyErr_NoMemory();
            return -1;
        }
        pair->at = grown;
        pair->room = pair->n + n;
    }
    *found = index;
    return push(&self->heap, known == EMPTY ? -pair->count : FREE,
                (int64_t)pair_key(left, right));
}

/* Count the noted pairs, all of which hold the symbol `middle`; rare ones are left out. */
static int add_items(Learner *self, uint32_t middle)
{
    for (int side = 0; side < 2; side++) {
        size_t room = self->sums_room[side];
        if (RESERVE(self->sums[side], self->sums_room[side], self->symbols.n))
            return -1;
        memset(self->sums[side] + room, 0, (self->sums_room[side] - room) * sizeof(Sum));
    }
    for (size_t i = 0; i < self->n_items; i++) {
        Item *item = self->items + i;
        if (item->other == middle)
            item->after = 0; /* (middle, middle) is one pair from either side */
        Sum *sum = self->sums[item->after] + item->other;
        sum->sum += weight_at(self, (size_t)item->at);
        sum->n++;
        sum->pair = EMPTY - 1;
    }
    int failed = 0;
    for (size_t i = 0; i < self->n_items && !failed; i++) {
        Item item = self->items[i];
        Sum *sum = self->sums[item.after] + item.other;
        if (sum->pair == EMPTY - 1) {
            sum->pair = EMPTY;
            if (sum->sum >= self->floor)
                failed = item.after ? add_pair(self, middle, item.other, sum->sum, sum->n, &sum->pair)
                                    : add_pair(self, item.other, middle, sum->sum, sum->n, &sum->pair);
        }
        if (sum->pair != EMPTY) {
            Pair *pair = self->pairs.pairs + sum->pair;
            pair->at[pair->n++] = item.at;
        }
    }
    for (size_t i = 0; i < self->n_items; i++)
        self->sums[self->items[i].after][self->items[i].other] = (Sum){0, 0, 0};
    self->n_items = 0;
    return failed;
}

static inline void forget(Learner *self, uint32_t left, uint32_t right, int64_t weight)
{
    uint32_t found = find_pair(&self->pairs, pair_key(left, right));
    if (found != EMPTY && self->pairs.pairs[found].there)
        self->pairs.pairs[found].count -= weight;
}

static int by_place(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* In a chain aaaa take the first, third, ... place; n places in order. */
static size_t without_overlaps(int32_t *at, size_t n, uint32_t length)
{
    size_t kept = 0, within = 0;
    int32_t last = 0;
    for (size_t i = 0; i < n; i++) {
        within = i && last + (int32_t)length == at[i] ? within + 1 : 0;
        last = at[i];
        if (within % 2 == 0)
            at[kept++] = at[i];
    }
    return kept;
}

/* The places where a pair still stands, into self->places; the pair is no longer counted. */
static int take_places(Learner *self, uint32_t index, uint32_t left, uint32_t right, size_t *n)
{
    Pair *pair = self->pairs.pairs + index;
    uint32_t length = length_of(self, left);
    if (RESERVE(self->places, self->places_room, pair->n))
        return -1;
    *n = 0;
    for (size_t i = 0; i < pair->n; i++) {
        size_t at = (size_t)pair->at[i];
        if (self->cells[at] == (int32_t)left && self->cells[at + length] == (int32_t)right)
            self->places[(*n)++] = (int32_t)at;
    }
    PyMem_RawFree(pair->at);
    pair->at = NULL;
    pair->n = pair->room = 0;
    pair->there = 0;
    if (left == right) {
        qsort(self->places, *n, sizeof *self->places, by_place);
        *n = without_overlaps(self->places, *n, length);
    }
    return 0;
}

/* Take the pairs that a merge breaks out of the counts, each once. */
static void forget_broken(Learner *self, size_t n, uint32_t left, uint32_t right)
{
    uint32_t width = length_of(self, left) + length_of(self, right);
    for (size_t i = 0; i < n; i++)
        self->rows[self->places[i]] |= MARKED;
    for (size_t i = 0; i < n; i++) {
        size_t at = (size_t)self->places[i], front = in_front(self, at), beyond = at + width;
        int64_t weight = weight_at(self, at);
        if (usable(self, front))
            forget(self, (uint32_t)self->cells[front], left, weight);
        if (usable(self, beyond) && !(self->rows[beyond] & MARKED))
            forget(self, right, (uint32_t)self->cells[beyond], weight);
    }
}

static int merge(Learner *self, uint32_t index, uint32_t left, uint32_t right, uint32_t new)
{
    uint32_t first = length_of(self, left), width = first + length_of(self, right);
    size_t n;
    int failed = 0;
    if (take_places(self, index, left, right, &n))
        return -1;
    forget_broken(self, n, left, right);
    for (size_t i = 0; i < n; i++) {
        int32_t *cell = self->cells + self->places[i];
        cell[0] = (int32_t)new;
        cell[first] = INSIDE;
        cell[width - 1] = -(int32_t)width;
    }
    for (size_t i = 0; i < n && !failed; i++) {
        size_t at = (size_t)self->places[i], front = in_front(self, at), beyond = at + width;
        if (usable(self, front))
            failed = note(self, (uint32_t)self->cells[front], 0, front);
        if (!failed && usable(self, beyond) && !(self->rows[beyond] & MARKED))
            failed = note(self, (uint32_t)self->cells[beyond], 1, at);
    }
    for (size_t i = 0; i < n; i++)
        self->rows[self->places[i]] &= ~MARKED;
    return failed ? -1 : add_items(self, new);
}

/* Merge every pair that spells a piece, all splits of it. */
static int join(Learner *self, uint32_t new)
{
    for (uint32_t cut = 1; cut < length_of(self, new); cut++) {
        const Symbols *s = &self->symbols;
        String piece = s->strings[new];
        const uint32_t *codes = s->codes + piece.start;
        uint32_t rest = piece.length - cut;
        uint32_t left = find_symbol(s, codes, cut, hash_codes(codes, cut), codes, 0, 0);
        if (left == EMPTY)
            continue;
        uint32_t right
            = find_symbol(s, codes + cut, rest, hash_codes(codes + cut, rest), codes, 0, 0);
        if (right == EMPTY)
            continue;
        uint32_t index = find_pair(&self->pairs, pair_key(left, right));
        if (index != EMPTY && self->pairs.pairs[index].there
            && merge(self, index, left, right, new))
            return -1;
    }
    return 0;
}

/* The symbol of two others joined, active from now on. */
static uint32_t join_symbols(Learner *self, uint32_t left, uint32_t right)
{
    uint32_t found = joined(&self->symbols, left, right);
    if (found != EMPTY) {
        self->symbols.active[found] = 1;
        return found;
    }
    String a = self->symbols.strings[left], b = self->symbols.strings[right];
    uint32_t *codes = PyMem_RawMalloc((a.length + b.length) * sizeof *codes);
    if (!codes) {
        PyErr_NoMemory();
        return EMPTY;
    }
    memcpy(codes, self->symbols.codes + a.start, a.length * sizeof *codes);
    memcpy(codes + a.length, self->symbols.codes + b.start, b.length * sizeof *codes);
    found = intern(&self->symbols, codes, a.length + b.length);
    PyMem_RawFree(codes);
    if (found != EMPTY)
        self->symbols.active[found] = 1;
    return found;
}

/* Make a character a symbol, and count the pairs that it now stands in. */
static int open_char(Learner *self, uint32_t symbol)
{
    self->symbols.active[symbol] = 1;
    for (size_t i = self->char_start[symbol]; i < self->char_start[symbol + 1]; i++) {
        size_t at = (size_t)self->char_at[i], front = in_front(self, at);
        if (usable(self, front) && note(self, (uint32_t)self->cells[front], 0, front))
            return -1;
        if (usable(self, at + 1) && self->cells[at + 1] != (int32_t)symbol
            && note(self, (uint32_t)self->cells[at + 1], 1, at))
            return -1;
    }
    return add_items(self, symbol);
}

static PyObject *learnt(Learner *self, uint32_t symbol, int64_t count, uint32_t left, uint32_t right)
{
    PyObject *text = symbol_text(&self->symbols, symbol);
    if (!text)
        return NULL;
    if (left == EMPTY)
        return Py_BuildValue("NL()", text, (long long)count);
    PyObject *first = symbol_text(&self->symbols, left), *second = symbol_text(&self->symbols, right);
    if (!first || !second) {
        Py_DECREF(text);
        Py_XDECREF(first);
        Py_XDECREF(second);
        return NULL;
    }
    return Py_BuildValue("NL(NN)", text, (long long)count, first, second);
}

static PyObject *learner_next(Learner *self, PyObject *Py_UNUSED(args))
{
    while (self->heap.n) {
        Ranked top = pop(&self->heap);
        if (top.key < 0) {
            uint32_t symbol = (uint32_t)(-1 - top.key);
            if (open_char(self, symbol))
                return NULL;
            return learnt(self, symbol, self->char_count[symbol], EMPTY, EMPTY);
        }
        uint32_t index = find_pair(&self->pairs, (uint64_t)top.key);
        int64_t count = self->pairs.pairs[index].there ? self->pairs.pairs[index].count : 0;
        if (top.rank != FREE && count != -top.rank) {
            if (count >= self->floor && push(&self->heap, -count, top.key))
                return NULL;
            continue;
        }
        if (!count)
            continue;
        uint32_t left = (uint32_t)(top.key >> 32), right = (uint32_t)top.key;
        int known = joined(&self->symbols, left, right) != EMPTY;
        uint32_t new = join_symbols(self, left, right);
        if (new == EMPTY || join(self, new))
            return NULL;
        if (!known)
            return learnt(self, new, count, left, right);
    }
    Py_RETURN_NONE;
}

/* Merge the base's own longer pieces before anything is learnt. */
static int replay(Learner *self, PyObject *pieces)
{
    PyObject *items = PySequence_Fast(pieces, "pieces must be a sequence");
    int failed = !items;
    for (Py_ssize_t i = 0; !failed && i < PySequence_Fast_GET_SIZE(items); i++) {
        PyObject *text = PySequence_Fast_GET_ITEM(items, i);
        uint32_t n = (uint32_t)PyUnicode_GET_LENGTH(text);
        uint32_t *codes = n > 1 ? PyUnicode_AsUCS4Copy(text) : NULL;
        if (n < 2)
            continue;
        failed = !codes;
        const Symbols *s = &self->symbols;
        int spelt = 0;
        for (uint32_t cut = 1; !failed && cut < n && !spelt; cut++)
            spelt = find_symbol(s, codes, cut, hash_codes(codes, cut), codes, 0, 0) != EMPTY
                    && find_symbol(s, codes + cut, n - cut, hash_codes(codes + cut, n - cut), codes,
                                   0, 0) != EMPTY;
        uint32_t symbol = spelt ? intern(&self->symbols, codes, n) : 0;
        PyMem_Free(codes);
        if (!failed && spelt) {
            failed = symbol == EMPTY;
            if (!failed) {
                self->symbols.active[symbol] = 1;
                failed = join(self, symbol);
            }
        }
    }
    Py_XDECREF(items);
    return failed ? -1 : 0;
}

static inline uint32_t bucket(const Learner *self, size_t at)
{
    return (uint32_t)(mix(pair_key((uint32_t)self->cells[at], (uint32_t)self->cells[at + 1]))
                      & ((1u << SIEVE_BITS) - 1));
}

static inline int begins_pair(const Learner *self, size_t at)
{
    return usable(self, at) && usable(self, at + 1);
}

/* Sum up the pairs whose whole hash bucket is not rare: most are, and need no memory then. */
static int sum_pairs(Learner *self, Pairs *sums)
{
    uint32_t *sieve = PyMem_RawCalloc((size_t)1 << SIEVE_BITS, sizeof *sieve);
    if (!sieve) {
        PyErr_NoMemory();
        return -1;
    }
    int failed = 0;
    int64_t enough = self->floor < INT32_MAX ? self->floor : INT32_MAX;
    for (size_t at = 1; at + 1 < self->n_cells; at++) {
        if (!begins_pair(self, at))
            continue;
        uint32_t *sum = sieve + bucket(self, at);
        int64_t weight = weight_at(self, at);
        *sum = weight > enough - *sum ? (uint32_t)enough : *sum + (uint32_t)weight;
    }
    for (size_t at = 1; at + 1 < self->n_cells && !failed; at++) {
        if (!begins_pair(self, at) || sieve[bucket(self, at)] < enough)
            continue;
        uint32_t index = make_pair(
            sums, pair_key((uint32_t)self->cells[at], (uint32_t)self->cells[at + 1]));
        failed = index == EMPTY;
        if (!failed) {
            sums->pairs[index].count += weight_at(self, at);
            sums->pairs[index].n++;
        }
    }
    PyMem_RawFree(sieve);
    return failed ? -1 : 0;
}

/* Index the pairs of characters that the base knows. */
static int begin(Learner *self)
{
    Pairs sums = {0};
    int failed = sum_pairs(self, &sums);
    for (size_t i = 0; i < sums.n && !failed; i++) {
        Pair *pair = sums.pairs + i;
        uint32_t index;
        if (pair->count >= self->floor)
            failed = add_pair(self, (uint32_t)(pair->key >> 32), (uint32_t)pair->key, pair->count,
                              (uint32_t)pair->n, &index);
    }
    free_pairs(&sums);
    for (size_t at = 1; at + 1 < self->n_cells && !failed; at++) {
        if (!begins_pair(self, at))
            continue;
        uint32_t index = find_pair(
            &self->pairs, pair_key((uint32_t)self->cells[at], (uint32_t)self->cells[at + 1]));
        if (index != EMPTY)
            self->pairs.pairs[index].at[self->pairs.pairs[index].n++] = (int32_t)at;
    }
    return failed ? -1 : 0;
}

/* Count the characters, and note where those stand that may become pieces. */
static int count_chars(Learner *self, const int64_t *costs)
{
    size_t n = self->n_chars;
    self->char_count = PyMem_RawCalloc(n + 1, sizeof *self->char_count);
    self->char_start = PyMem_RawCalloc(n + 2, sizeof *self->char_start);
    if (!self->char_count || !self->char_start) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t at = 1; at < self->n_cells; at++) {
        int32_t cell = self->cells[at];
        if (cell < 0)
            continue;
        self->char_count[cell] += weight_at(self, at);
        if (!self->symbols.active[cell])
            self->char_start[cell + 2]++;
    }
    for (size_t i = 2; i < n + 2; i++)
        self->char_start[i] += self->char_start[i - 1];
    self->char_at = PyMem_RawMalloc((self->char_start[n + 1] + 1) * sizeof *self->char_at);
    if (!self->char_at) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t at = 1; at < self->n_cells; at++) {
        int32_t cell = self->cells[at];
        if (cell >= 0 && !self->symbols.active[cell])
            self->char_at[self->char_start[cell + 1]++] = (int32_t)at;
    }
    for (size_t i = 0; i < n; i++)
        if (!self->symbols.active[i] && costs[i] > 1 && self->char_count[i] >= self->floor
            && push(&self->heap, -self->char_count[i] * (costs[i] - 1), -1 - (int64_t)i))
            return -1;
    return 0;
}

/* learner(cells, rows, weights, chars, costs, pieces, max_chars, floor) */
static int learner_init(Learner *self, PyObject *args, PyObject *Py_UNUSED(named))
{
    Py_buffer cells, rows, weights, chars, costs;
    PyObject *pieces;
    unsigned int max_chars;
    long long floor;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*OIL", &cells, &rows, &weights, &chars, &costs, &pieces,
                          &max_chars, &floor))
        return -1;
    self->n_cells = (size_t)cells.len / sizeof *self->cells;
    self->n_rows = (size_t)weights.len / sizeof *self->weights;
    self->n_chars = (size_t)chars.len / sizeof(uint32_t);
    self->max_chars = max_chars;
    self->floor = floor;
    self->cells = PyMem_RawMalloc((size_t)cells.len + 1);
    self->rows = PyMem_RawMalloc((size_t)rows.len + 1);
    self->weights = PyMem_RawMalloc((size_t)weights.len + 1);
    int failed = !self->cells || !self->rows || !self->weights;
    if (failed) {
        PyErr_NoMemory();
    } else {
        memcpy(self->cells, cells.buf, (size_t)cells.len);
        memcpy(self->rows, rows.buf, (size_t)rows.len);
        memcpy(self->weights, weights.buf, (size_t)weights.len);
    }
    const int64_t *cost = costs.buf;
    for (size_t i = 0; i < self->n_chars && !failed; i++) {
        uint32_t symbol = intern(&self->symbols, (const uint32_t *)chars.buf + i, 1);
        failed = symbol == EMPTY;
        if (!failed)
            self->symbols.active[symbol] = cost[i] == 1;
    }
    failed = failed || grow_symbols(&self->symbols) || count_chars(self, cost) || begin(self)
             || replay(self, pieces);
    PyBuffer_Release(&cells);
    PyBuffer_Release(&rows);
    PyBuffer_Release(&weights);
    PyBuffer_Release(&chars);
    PyBuffer_Release(&costs);
    return failed ? -1 : 0;
}

/* uses(rows): (row, symbol text index) is not kept; see learner_uses. */
static PyObject *learner_uses(Learner *self, PyObject *args)
{
    Py_buffer starts, sources, counts;
    Py_ssize_t n_sources;
    if (!PyArg_ParseTuple(args, "y*y*y*n", &starts, &sources, &counts, &n_sources))
        return NULL;
    const uint32_t *start = starts.buf, *source = sources.buf, *count = counts.buf;
    size_t width = (size_t)n_sources, total = self->symbols.n * width;
    PyObject *found = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(total * sizeof(int64_t)));
    PyObject *names = PyList_New((Py_ssize_t)self->symbols.n);
    int failed = !found || !names;
    if (!failed) {
        int64_t *uses = (int64_t *)PyBytes_AS_STRING(found);
        memset(uses, 0, total * sizeof *uses);
        for (size_t at = 1; at < self->n_cells; at++) {
            int32_t cell = self->cells[at];
            if (cell < 0)
                continue;
            for (uint32_t i = start[self->rows[at]]; i < start[self->rows[at] + 1]; i++)
                uses[(size_t)cell * width + source[i]] += count[i];
            at += length_of(self, (uint32_t)cell) - 1;
        }
        for (size_t i = 0; i < self->symbols.n && !failed; i++) {
            PyObject *text = symbol_text(&self->symbols, (uint32_t)i);
            failed = !text;
            if (text)
                PyList_SET_ITEM(names, (Py_ssize_t)i, text);
        }
    }
    PyBuffer_Release(&starts);
    PyBuffer_Release(&sources);
    PyBuffer_Release(&counts);
    if (failed) {
        Py_XDECREF(found);
        Py_XDECREF(names);
        return NULL;
    }
    return Py_BuildValue("NN", names, found);
}

static void learner_dealloc(Learner *self)
{
    PyMem_RawFree(self->cells);
    PyMem_RawFree(self->rows);
    PyMem_RawFree(self->weights);
    PyMem_RawFree(self->char_count);
    PyMem_RawFree(self->char_at);
    PyMem_RawFree(self->char_start);
    PyMem_RawFree(self->items);
    PyMem_RawFree(self->sums[0]);
    PyMem_RawFree(self->sums[1]);
    PyMem_RawFree(self->places);
    PyMem_RawFree(self->heap.items);
    free_symbols(&self->symbols);
    free_pairs(&self->pairs);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef learner_methods[] = {
    {"next", (PyCFunction)learner_next, METH_NOARGS,
     "next() -> (piece, weighted count, parts) or None: learn one piece."},
    {"uses", (PyCFunction)learner_uses, METH_VARARGS,
     "uses(starts, sources, counts, n_sources) -> (strings, int64 uses [symbols, sources]) of the "
     "text as it is cut now; the arrays list each row's occurrences by source."},
    {NULL},
};

PyTypeObject LearnerType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "hanhua.vocab._native.Learner",
    .tp_doc = "Learner(cells, rows, weights, chars, costs, pieces, max_chars, floor)",
    .tp_basicsize = sizeof(Learner),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)learner_init,
    .tp_dealloc = (destructor)learner_dealloc,
    .tp_methods = learner_methods,
};
