/* Cross-entropy of logits, and in their place its gradient: softmax less one at the label. */
#include "rows.h"

PyObject *surprise(PyObject *self, PyObject *args)
{
    unsigned long long logits, labels, weights, losses;
    long long n, v;
    int half, threads;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKKKLLpi", &logits, &labels, &weights, &losses, &n, &v, &half,
                          &threads))
        return NULL;
    threads = threads < 1 ? 1 : threads > MOST_PARTS ? MOST_PARTS : threads;
    float *room = malloc((size_t)threads * (size_t)v * sizeof(float));
    if (!room)
        return PyErr_NoMemory();
    struct surprise job = {(void *)logits, (void *)labels, (void *)weights, (void *)losses, room, v};
    Py_BEGIN_ALLOW_THREADS
    spread(rows()->surprise[half], &job, n, threads);
    free(room);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}
