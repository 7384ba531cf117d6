/* A few rows times a weight, fp32: the weight is read once. */
#include "rows.h"

PyObject *meet(PyObject *self, PyObject *args)
{
    unsigned long long x, w, out;
    long long n, k, m;
    int threads;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKKLLLi", &x, &w, &out, &n, &k, &m, &threads))
        return NULL;
    struct meet job = {(float *)x, (float *)w, (float *)out, n, k, m};
    work does = rows()->meet;
    if (!does || k % LANES)
        Py_RETURN_FALSE;
    Py_BEGIN_ALLOW_THREADS
    spread(does, &job, m, threads);
    Py_END_ALLOW_THREADS
    Py_RETURN_TRUE;
}
