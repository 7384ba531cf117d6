/* silu(gate) * up and its gradients (arXiv 2002.05202), without the parts in between. */
#include "rows.h"

#define BLOCK 1024 /* values that a thread takes at once */

/* As many threads as there are blocks for. */
static int some(int threads, int64_t n)
{
    int64_t most = n / BLOCK;
    return most < 1 ? 1 : most < threads ? (int)most : threads;
}

PyObject *gate(PyObject *self, PyObject *args)
{
    unsigned long long given, up, out;
    long long n;
    int half, threads;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKKLpi", &given, &up, &out, &n, &half, &threads))
        return NULL;
    struct gate job = {(void *)given, (void *)up, NULL, (void *)out, NULL};
    Py_BEGIN_ALLOW_THREADS
    spread(rows()->gate[half], &job, n, some(threads, n));
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

PyObject *gate_back(PyObject *self, PyObject *args)
{
    unsigned long long given, up, grad, out, other;
    long long n;
    int half, threads;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKKKKLpi", &given, &up, &grad, &out, &other, &n, &half, &threads))
        return NULL;
    struct gate job = {(void *)given, (void *)up, (void *)grad, (void *)out, (void *)other};
    Py_BEGIN_ALLOW_THREADS
    spread(rows()->gate_back[half], &job, n, some(threads, n));
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}
