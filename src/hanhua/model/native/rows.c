/* Which rows' code the processor at hand can run. */
#include "rows.h"

static int most = 2;

int generation(void)
{
#if GENERATIONS
    if (most > 1 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
        return 2;
    if (most > 0 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return 1;
#endif
    return 0;
}

const struct rows *rows(void)
{
#if GENERATIONS
    int found = generation();
    if (found)
        return found > 1 ? &rows_newer : &rows_older;
#endif
    return &rows_any;
}

PyObject *use(PyObject *self, PyObject *args)
{
    (void)self;
    if (!PyArg_ParseTuple(args, "i", &most))
        return NULL;
    return PyLong_FromLong(generation());
}
