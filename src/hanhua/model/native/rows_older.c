/* For processors with AVX2. */
#include "rows.h"

#if GENERATIONS
#pragma GCC target("avx2,fma")
#define TABLE rows_older
#include "rows_body.h"
#endif
