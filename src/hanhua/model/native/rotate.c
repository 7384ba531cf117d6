/* Rotary position embeddings (arXiv 2104.09864), halves of a head turned against each other. */
#include "rows.h"

PyObject *rotate(PyObject *self, PyObject *args)
{
    unsigned long long x, cos, sin, out;
    long long tokens, heads, e, to_token, to_head;
    int back, half, threads;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKKKLLLLLppi", &x, &cos, &sin, &out, &tokens, &heads, &e, &to_token,
                          &to_head, &back, &half, &threads))
        return NULL;
    struct rotate job = {(void *)x, (void *)cos, (void *)sin, (void *)out, heads, e, to_token,
                         to_head, back};
    Py_BEGIN_ALLOW_THREADS
    spread(rows()->rotate[half], &job, tokens, threads);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}
