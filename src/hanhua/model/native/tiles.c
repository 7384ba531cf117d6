/* Whether the processor multiplies tiles of bf16, for which Linux wants to be asked. */
#include "model.h"

#if TILES
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ASK_LEAVE 0x1023 /* arch_prctl: ARCH_REQ_XCOMP_PERM */
#define TILE_DATA 18

/* Runs on any processor, so it stands before the compiler is told what this one has. */
static int look(void)
{
    unsigned a, b, c, d, more;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) || !(d >> 24 & 1))
        return 0; /* AMX-BF16 and AMX-TILE */
    if (!__get_cpuid_count(7, 1, &more, &b, &c, &d) || !(more >> 5 & 1))
        return 0; /* AVX512_BF16 */
    if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl"))
        return 0;
    return syscall(SYS_arch_prctl, ASK_LEAVE, TILE_DATA) == 0;
}

int tiles_can(void)
{
    static int found = -1;
    if (found < 0)
        found = look();
    return found && generation() > 1;
}

#else

int tiles_can(void)
{
    return 0;
}

#endif

PyObject *tiles(PyObject *self, PyObject *args)
{
    (void)self, (void)args;
    return PyBool_FromLong(tiles_can());
}
