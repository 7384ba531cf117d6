/* Attention of single tokens over keys and values that are kept, each over its own row, fp32. */
#include "rows.h"

PyObject *attend(PyObject *self, PyObject *args)
{
    unsigned long long q, keys, values, rows_, last, out;
    long long tokens, heads, shared, e, of_token, of_head, to_row, to_head, most;
    float scale;
    int threads;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKKKKKLLLLLLLLLfi", &q, &keys, &values, &rows_, &last, &out,
                          &tokens, &heads, &shared, &e, &of_token, &of_head, &to_row, &to_head,
                          &most, &scale, &threads))
        return NULL;
    most = (most + LANES - 1) / LANES * LANES;
    threads = threads < 1 ? 1 : threads > MOST_PARTS ? MOST_PARTS : threads;
    float *room = malloc((size_t)threads * (size_t)(2 * e + most) * sizeof(float));
    if (!room)
        return PyErr_NoMemory();
    struct attend job = {(void *)q, (void *)keys, (void *)values, (void *)rows_, (void *)last,
                         (float *)out, room, heads, shared, e, of_token, of_head, to_row, to_head,
                         most, scale};
    Py_BEGIN_ALLOW_THREADS
    spread(rows()->attend, &job, tokens * heads, threads);
    free(room);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}
