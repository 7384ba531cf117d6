/* Where the keys and values of some answers are kept. */
#include "model.h"

PyObject *place(PyObject *self, PyObject *args)
{
    unsigned long long from, to, at;
    long long batch, heads, tokens, bytes, of_batch, of_head, of_token, to_batch, to_head;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKKLLLLLLLLL", &from, &to, &at, &batch, &heads, &tokens, &bytes,
                          &of_batch, &of_head, &of_token, &to_batch, &to_head))
        return NULL;
    const int64_t *places = (const int64_t *)at;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t t = 0; t < tokens; t++)
                memcpy((char *)to + b * to_batch + h * to_head + places[b * tokens + t] * bytes,
                       (const char *)from + b * of_batch + h * of_head + t * of_token,
                       (size_t)bytes);
    Py_RETURN_NONE;
}
