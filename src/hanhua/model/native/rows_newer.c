/* For processors with AVX-512. */
#include "rows.h"

#if GENERATIONS
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#define MEET
#define TABLE rows_newer
#include "rows_body.h"
#endif
