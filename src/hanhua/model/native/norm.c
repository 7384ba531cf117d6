/* Root-mean-square norm and its gradients (arXiv 1910.07467), a row at a time. */
#include "rows.h"

PyObject *norm(PyObject *self, PyObject *args)
{
    unsigned long long x, weight, out, inverse;
    long long n, d;
    float eps;
    int half, threads;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKKKLLfpi", &x, &weight, &out, &inverse, &n, &d, &eps, &half,
                          &threads))
        return NULL;
    struct norm job = {(void *)x, (void *)weight, NULL, (float *)inverse, (void *)out, NULL, d, eps};
    Py_BEGIN_ALLOW_THREADS
    spread(rows()->norm[half], &job, n, threads);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

PyObject *norm_back(PyObject *self, PyObject *args)
{
    unsigned long long x, weight, grad, inverse, out, total;
    long long n, d;
    int half, threads;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKKKKKLLpi", &x, &weight, &grad, &inverse, &out, &total, &n, &d,
                          &half, &threads))
        return NULL;
    threads = threads < 1 ? 1 : threads > MOST_PARTS ? MOST_PARTS : threads;
    float *sums = calloc((size_t)threads * (size_t)d, sizeof(float));
    if (!sums)
        return PyErr_NoMemory();
    struct norm job = {(void *)x, (void *)weight, (void *)grad, (float *)inverse, (void *)out,
                       sums, d, 0.0f};
    Py_BEGIN_ALLOW_THREADS
    int parts = spread(rows()->norm_back[half], &job, n, threads);
    for (int64_t i = 0; i < d; i++) {
        float sum = 0.0f;
        for (int part = 0; part < parts; part++)
            sum += sums[part * d + i];
        ((float *)total)[i] = sum;
    }
    free(sums);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}
