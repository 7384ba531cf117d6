/* Cross-entropy behind a last linear layer, and its gradients, bf16. */
#include "head.h"

#define SIDE 32

/* The next part of a room, from a line of the cache on; counted alone where there is no room. */
static void *take(char **room, int64_t *taken, int64_t bytes)
{
    char *found = *room ? *room + *taken : NULL;
    *taken += (bytes + 63) / 64 * 64;
    return found;
}

/* Lays out what a job needs; returns how many bytes that is. */
static int64_t furnish(struct head *job, char *room, int wants_weight)
{
    int64_t n = (job->n + SIDE - 1) / SIDE * SIDE, d = job->d, taken = 0;
    job->last = take(&room, &taken, 2 * SIDE * d);
    job->factors = take(&room, &taken, 4 * n);
    job->total = take(&room, &taken, 4 * n);
    job->own = take(&room, &taken, 4 * n);
    job->turned = take(&room, &taken, 2 * n * d);
    if (wants_weight)
        job->paired = take(&room, &taken, 2 * n * d);
    for (int i = 0; i < job->parts; i++) {
        struct desk *desk = job->desks + i;
        desk->weight = take(&room, &taken, 2 * BLOCK * d);
        desk->shares = take(&room, &taken, 2 * BLOCK * BLOCK);
        desk->pairs = take(&room, &taken, 2 * BLOCK * BLOCK);
        desk->d_weight = take(&room, &taken, 4 * BLOCK * d);
        desk->d_hidden = take(&room, &taken, 4 * n * d);
    }
    return taken;
}

/* Tokens that fill up a panel weigh nothing, and pieces that do are zeros. */
static void fill_up(struct head *job, const float *weights)
{
    int64_t n = (job->n + SIDE - 1) / SIDE * SIDE, d = job->d, rest = job->v % SIDE;
    uint16_t *last = (uint16_t *)job->last;
    for (int64_t i = 0; i < n; i++)
        job->factors[i] = i >= job->n ? 0.0f : weights ? weights[i] : 1.0f;
    memset(last, 0, (size_t)(2 * SIDE * d));
    memcpy(last, job->weight + (job->v - rest) * d, (size_t)(2 * rest * d));
}

static void work_all(struct head *job, int threads)
{
    int64_t panels = (job->n + SIDE - 1) / SIDE, blocks = (job->n + BLOCK - 1) / BLOCK;
    spread(head_lay, job, panels, threads);
    /* a block's numbers stay in the cache */
    spread_parts(head_losses, job, panels, blocks > threads ? (int)blocks : threads, threads);
    if (!job->parts)
        return;
    job->parts = spread(head_gradients, job, (job->v + SIDE - 1) / SIDE, job->parts);
    spread(head_hidden, job, panels, threads);
}

PyObject *head_room(PyObject *self, PyObject *args)
{
    struct head job = {0};
    struct desk desks[MOST_PARTS];
    long long n, d;
    int wants_weight;
    (void)self;
    if (!PyArg_ParseTuple(args, "LLip", &n, &d, &job.parts, &wants_weight))
        return NULL;
    job.n = n, job.d = d, job.desks = desks;
    if (job.parts > MOST_PARTS)
        job.parts = MOST_PARTS;
    return PyLong_FromLongLong(furnish(&job, NULL, wants_weight));
}

/* Sums over the pieces, for the gradient of hidden, are those of the parts. */
PyObject *head(PyObject *self, PyObject *args)
{
    struct head job = {0};
    struct desk desks[MOST_PARTS];
    unsigned long long at[8];
    long long n, v, d;
    int threads;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKKKKKKKLLLfii", &at[0], &at[1], &at[2], &at[3], &at[4], &at[5],
                          &at[6], &at[7], &n, &v, &d, &job.scale, &job.parts, &threads))
        return NULL;
    if (!tiles_can())
        Py_RETURN_FALSE;
    job.hidden = (uint16_t *)at[0], job.weight = (uint16_t *)at[1], job.labels = (int64_t *)at[2];
    job.losses = (float *)at[4], job.d_hidden = (uint16_t *)at[5], job.d_weight = (uint16_t *)at[6];
    job.n = n, job.v = v, job.d = d, job.desks = desks;
    if (job.parts > MOST_PARTS)
        job.parts = MOST_PARTS;
    furnish(&job, (char *)at[7], job.d_weight != NULL);
    Py_BEGIN_ALLOW_THREADS
    fill_up(&job, (float *)at[3]);
    work_all(&job, threads < 1 ? 1 : threads > MOST_PARTS ? MOST_PARTS : threads);
    Py_END_ALLOW_THREADS
    Py_RETURN_TRUE;
}
