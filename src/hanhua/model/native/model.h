/* What the files of the compiled part share. */
#ifndef HANHUA_MODEL_H
#define HANHUA_MODEL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Whether the compiler knows instructions for tiles (AMX). */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    __GNUC__ >= 11
#define TILES 1
#else
#define TILES 0
#endif

/* Some rows of a job, as the part-th of those that share it. */
typedef void (*work)(const void *job, int part, int64_t from, int64_t to);

#define MOST_PARTS 256

/* Rows spread over threads; returns how many parts there were. The rows of a part depend on
   nothing but n and threads, so that sums over rows are the same each time. */
int spread(work does, const void *job, int64_t n, int threads);

/* The same in more parts than threads, for rows of unlike size. */
int spread_parts(work does, const void *job, int64_t n, int parts, int threads);

/* Which generation of processors this is taken for: 2 has AVX-512, 1 AVX2. */
int generation(void);

/* Whether the processor multiplies tiles of bf16, and this process may have it do so. */
int tiles_can(void);

PyObject *norm(PyObject *self, PyObject *args);
PyObject *norm_back(PyObject *self, PyObject *args);
PyObject *gate(PyObject *self, PyObject *args);
PyObject *gate_back(PyObject *self, PyObject *args);
PyObject *rotate(PyObject *self, PyObject *args);
PyObject *place(PyObject *self, PyObject *args);
PyObject *attend(PyObject *self, PyObject *args);
PyObject *meet(PyObject *self, PyObject *args);
PyObject *tiles(PyObject *self, PyObject *args);
PyObject *within(PyObject *self, PyObject *args);
PyObject *within_grad(PyObject *self, PyObject *args);
PyObject *surprise(PyObject *self, PyObject *args);
PyObject *head_room(PyObject *self, PyObject *args);
PyObject *head(PyObject *self, PyObject *args);
PyObject *use(PyObject *self, PyObject *args);

#endif
