/* Winnowing; text/copies/fingerprints.py says what it is and does the same slowly. */
#include "text.h"

#define RUN_BASE 0x9E3779B97F4A7C15ull
#define TIE_BITS 28

typedef struct {
    const uint32_t *points;
    Py_ssize_t chars;
    const uint8_t *weights;
    Py_ssize_t run;
    int64_t window;
} Passages;

static void hash_runs(const Passages *p, uint64_t *hashes)
{
    uint64_t hash = 0, last = 1;
    for (Py_ssize_t i = 0; i < p->run; i++)
        last *= RUN_BASE; /* what the character that leaves was multiplied by, once more */
    for (Py_ssize_t i = 0; i < p->chars; i++) {
        hash = hash * RUN_BASE + p->points[i] * MIX;
        if (i >= p->run)
            hash -= p->points[i - p->run] * MIX * last;
        if (i >= p->run - 1)
            hashes[i - p->run + 1] = (hash ^ (hash >> 31)) * MIX;
    }
}

/* Writes the kept runs over the beginning of hashes and of queue, both of which lie behind. */
static Py_ssize_t select_runs(const Passages *p, uint64_t *hashes, int64_t *queue, int64_t *places)
{
    Py_ssize_t runs = p->chars - p->run + 1, next = 0, head = 0, tail = 0, count = 0;
    int64_t ahead = 0; /* weight from the window's first run to the next one */
    for (Py_ssize_t first = 0; first < runs; first++) {
        while (next < runs && ahead <= p->window) {
            uint64_t key = hashes[next] >> TIE_BITS;
            while (tail > head && hashes[queue[tail - 1]] >> TIE_BITS > key)
                tail--;
            queue[tail++] = next;
            ahead += p->weights[p->points[next++]];
        }
        if (ahead <= p->window)
            break; /* the text's end cuts this window short, and all that follow */
        if (!count || places[count - 1] != queue[head])
            places[count++] = queue[head];
        if (queue[head] == first)
            head++;
        ahead -= p->weights[p->points[first]];
    }
    for (Py_ssize_t i = 0; i < count; i++)
        hashes[i] = hashes[places[i]];
    return count;
}

static int check_points(const Passages *p)
{
    for (Py_ssize_t i = 0; i < p->chars; i++)
        if (p->points[i] >= CODE_POINTS) {
            PyErr_SetString(PyExc_ValueError, "points must be code points");
            return 0;
        }
    return 1;
}

static PyObject *winnow_points(const Passages *p)
{
    if (p->chars < p->run)
        return Py_BuildValue("y#y#", "", (Py_ssize_t)0, "", (Py_ssize_t)0);
    Py_ssize_t bytes = 8 * (p->chars - p->run + 1), count = 0;
    uint64_t *hashes = malloc(bytes);
    int64_t *queue = malloc(bytes), *places = malloc(bytes);
    PyObject *found = NULL;
    if (hashes && queue && places) {
        Py_BEGIN_ALLOW_THREADS
        hash_runs(p, hashes);
        count = select_runs(p, hashes, queue, places);
        Py_END_ALLOW_THREADS
        found = Py_BuildValue("y#y#", (const char *)hashes, 8 * count, (const char *)places,
                              8 * count);
    } else
        PyErr_NoMemory();
    free(hashes);
    free(queue);
    free(places);
    return found;
}

PyObject *winnow(PyObject *self, PyObject *args)
{
    Py_buffer points, weights;
    Py_ssize_t run, window;
    if (!PyArg_ParseTuple(args, "y*y*nn", &points, &weights, &run, &window))
        return NULL;
    PyObject *found = NULL;
    Passages p = {points.buf, points.len / 4, weights.buf, run, window};
    if (run < 1 || window < 0)
        PyErr_SetString(PyExc_ValueError, "a run has a character or more, a window a run or more");
    else if (check_table(&weights, 1, "weights") && check_points(&p))
        found = winnow_points(&p);
    PyBuffer_Release(&points);
    PyBuffer_Release(&weights);
    return found;
}
