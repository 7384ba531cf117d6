/* Causal attention inside documents that lie end to end, and its gradient, bf16. */
#include "within.h"

/* Whether it was done. An item is worked on by one thread alone, so that sums are the same each
   time; there are many more parts than threads, as items are of unlike size. */
static PyObject *attend_all(work does, struct within *job, int threads)
{
    if (!tiles_can())
        Py_RETURN_FALSE;
    char taken[MOST_PARTS] = {0};
    threads = threads < 1 ? 1 : threads > MOST_PARTS ? MOST_PARTS : threads;
    job->taken = taken, job->size = within_room(job->lengths[0], job->e);
    job->room = aligned_alloc(64, (size_t)(threads * job->size));
    if (!job->room)
        return PyErr_NoMemory();
    Py_BEGIN_ALLOW_THREADS
    spread_parts(does, job, job->documents * job->heads, MOST_PARTS, threads);
    free(job->room);
    Py_END_ALLOW_THREADS
    Py_RETURN_TRUE;
}

PyObject *within(PyObject *self, PyObject *args)
{
    struct within job = {0};
    unsigned long long at[7];
    long long to[6], documents, heads, tokens, e;
    int threads;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKKKKKKLLLLLLLLLLfi", &at[0], &at[1], &at[2], &at[3], &at[4],
                          &at[5], &at[6], &to[0], &to[1], &to[2], &to[3], &to[4], &to[5],
                          &documents, &heads, &tokens, &e, &job.scale, &threads))
        return NULL;
    job.q = (struct strided){(uint16_t *)at[0], to[0], to[1]};
    job.k = (struct strided){(uint16_t *)at[1], to[2], to[3]};
    job.v = (struct strided){(uint16_t *)at[2], to[4], to[5]};
    job.to[0] = (uint16_t *)at[3];
    job.total = (float *)at[4];
    job.starts = (int64_t *)at[5], job.lengths = (int64_t *)at[6];
    job.documents = documents, job.heads = heads, job.tokens = tokens, job.e = e;
    return attend_all(within_forth, &job, threads);
}

PyObject *within_grad(PyObject *self, PyObject *args)
{
    struct within job = {0};
    unsigned long long at[11];
    long long to[8], documents, heads, tokens, e;
    int threads;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKKKKKKKKKKLLLLLLLLLLLLfi", &at[0], &at[1], &at[2], &at[3], &at[4],
                          &at[5], &at[6], &at[7], &at[8], &at[9], &at[10], &to[0], &to[1], &to[2],
                          &to[3], &to[4], &to[5], &to[6], &to[7], &documents, &heads, &tokens, &e,
                          &job.scale, &threads))
        return NULL;
    job.q = (struct strided){(uint16_t *)at[0], to[0], to[1]};
    job.k = (struct strided){(uint16_t *)at[1], to[2], to[3]};
    job.v = (struct strided){(uint16_t *)at[2], to[4], to[5]};
    job.grad = (struct strided){(uint16_t *)at[3], to[6], to[7]};
    job.out = (struct strided){(uint16_t *)at[4], heads * e, e};
    for (int i = 0; i < 3; i++)
        job.to[i] = (uint16_t *)at[5 + i];
    job.total = (float *)at[8];
    job.starts = (int64_t *)at[9], job.lengths = (int64_t *)at[10];
    job.documents = documents, job.heads = heads, job.tokens = tokens, job.e = e;
    return attend_all(within_back, &job, threads);
}
