/* The compiled part of the text rules; hanhua.text works without it, some times slower. */
#include "text.h"

static PyMethodDef methods[] = {
    {"profile", profile, METH_VARARGS,
     "profile(text, classes, marked, wanted) -> counts of the first classes, then of marked ones."},
    {"canonical", canonical, METH_VARARGS,
     "canonical(text, fold) -> bytes of uint32: folded code points that are not 0."},
    {"sign", sign, METH_VARARGS,
     "sign(text, fold, kinds, a, b) -> (bytes of uint32: the least hash of each function, "
     "shingles)."},
    {"band_row", band_row, METH_VARARGS,
     "band_row(least, bands) -> bytes: a uint64 key for each band, then uint16 halves."},
    {"line_keys", line_keys, METH_VARARGS,
     "line_keys(text, fold, least) -> bytes of uint64: a key for each line, 0 for shorter ones."},
    {"grams", grams, METH_VARARGS,
     "grams(points, gram_chars, seen, shift) -> (bytes of uint64 hashes, bytes of int64 places) "
     "of the n-grams whose slot is marked in seen."},
    {"scan", scan, METH_VARARGS,
     "scan(text, table) -> bits: the signs that a step of rewriting has something to do."},
    {"begins", begins, METH_VARARGS,
     "begins(text, kinds, slots) -> (numbers of the lines that begin as slots say, whether the "
     "text may say \"reserved\")."},
    {"marks", marks, METH_VARARGS,
     "marks(text, table) -> how many characters have each of eight bits."},
    {"reword", reword, METH_VARARGS,
     "reword(text, fold, pairs, firsts, seconds, ends, letters, other_ends, other_letters) -> the "
     "text with other words in the place of some."},
    {"measure", measure, METH_VARARGS,
     "measure(text, flags, marks, known, sample_chars, short_chars, few, unspaced) -> counts that "
     "quality rules ask for."},
    {"winnow", winnow, METH_VARARGS,
     "winnow(points, weights, run, window) -> (bytes of uint64 hashes, bytes of int64 places) of "
     "the runs that are least in a window."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "hanhua.text._native",
    .m_doc = "Counting, folding and hashing characters, compiled.",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModule_Create(&module);
}
