/* Rows over threads: PyTorch's own, by the OpenMP runtime that it has loaded.

   A second runtime would have threads of its own that wait busily beside PyTorch's. So nothing is
   linked: the entry point is looked up in the process, and where there is none one thread does
   all. */
#define _GNU_SOURCE
#include "model.h"
#if defined(__gnu_linux__)
#include <dlfcn.h>
#endif

typedef void (*start)(void (*)(void *), void *, unsigned, unsigned);

struct shared {
    work does;
    const void *job;
    int64_t n;
    int parts;
    int next;
};

static start find(void)
{
    start found = NULL;
#if defined(__gnu_linux__)
    *(void **)&found = dlsym(RTLD_DEFAULT, "GOMP_parallel");
#endif
    return found;
}

/* Parts are taken by number, so that fewer threads than were asked for do all of them too. */
static void run(void *given)
{
    struct shared *all = given;
    for (;;) {
        int part = __atomic_fetch_add(&all->next, 1, __ATOMIC_RELAXED);
        if (part >= all->parts)
            return;
        int64_t from = all->n * part / all->parts, to = all->n * (part + 1) / all->parts;
        if (from < to)
            all->does(all->job, part, from, to);
    }
}

int spread(work does, const void *job, int64_t n, int threads)
{
    return spread_parts(does, job, n, threads, threads);
}

int spread_parts(work does, const void *job, int64_t n, int parts, int threads)
{
    struct shared all = {does, job, n, parts < MOST_PARTS ? parts : MOST_PARTS, 0};
    if (all.parts > n)
        all.parts = (int)n;
    if (all.parts < 1)
        all.parts = 1;
    if (threads > all.parts)
        threads = all.parts;
    start parallel = threads > 1 ? find() : NULL;
    if (parallel)
        parallel(run, &all, (unsigned)threads, 0);
    else
        run(&all);
    return all.parts;
}
