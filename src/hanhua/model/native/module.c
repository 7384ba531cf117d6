/* The compiled part of the model; hanhua.model works without it, some times slower.

   Arrays are given by their addresses and are contiguous, in bf16 where half is true, else in
   fp32. hanhua/model/kernels.py checks what it hands over. */
#include "model.h"

static PyMethodDef methods[] = {
    {"norm", norm, METH_VARARGS,
     "norm(x, weight, out, inverse, n, d, eps, half, threads): rows over their root mean square, "
     "times a weight; its inverse, fp32 [n], is kept where an address is given."},
    {"norm_back", norm_back, METH_VARARGS,
     "norm_back(x, weight, grad, inverse, out, total, n, d, half, threads): the gradient of x, and "
     "of the weight in fp32 [d]."},
    {"gate", gate, METH_VARARGS, "gate(gate, up, out, n, half, threads): silu(gate) * up."},
    {"gate_back", gate_back, METH_VARARGS,
     "gate_back(gate, up, grad, gate_grad, up_grad, n, half, threads)."},
    {"rotate", rotate, METH_VARARGS,
     "rotate(x, cos, sin, out, tokens, heads, e, to_token, to_head, back, half, threads): x "
     "[tokens, heads, e], of two strides, turned by cos and sin [tokens, e], or a gradient turned "
     "back."},
    {"surprise", surprise, METH_VARARGS,
     "surprise(logits, labels, weights, losses, n, v, half, threads): fp32 losses [n]; the "
     "gradient of the logits [n, v] in their place, times fp32 weights [n] where given."},
    {"head_room", head_room, METH_VARARGS,
     "head_room(n, d, parts, wants_weight) -> bytes of room for head; parts 0: for losses alone."},
    {"head", head, METH_VARARGS,
     "head(hidden, weight, labels, weights, losses, d_hidden, d_weight, room, n, v, d, scale, parts, "
     "threads) -> whether it was done: fp32 losses [n] of bf16 hidden [n, d] @ weight [v, d].T, and, "
     "with parts, the gradients times fp32 weights [n], where given, and a scale; d_weight may be "
     "0; d a multiple of 32; by processors with AMX."},
    {"place", place, METH_VARARGS,
     "place(from, to, at, batch, heads, tokens, bytes, of_batch, of_head, of_token, to_batch, "
     "to_head): copies [batch, heads, tokens] pieces to places int64 [batch, tokens]; strides in "
     "bytes."},
    {"attend", attend, METH_VARARGS,
     "attend(q, keys, values, rows, last, out, tokens, heads, shared, e, of_token, of_head, to_row, "
     "to_head, most, scale, threads): attention of fp32 tokens [tokens, heads, e] over keys and "
     "values [rows, heads / shared, places, e], each over its own row up to its own last place, "
     "under most; e a multiple of 16; strides in numbers."},
    {"meet", meet, METH_VARARGS,
     "meet(x, w, out, n, k, m, threads) -> whether it was done: products of fp32 rows [n, k] with "
     "a weight [m, k], by processors with AVX-512; k a multiple of 16."},
    {"tiles", tiles, METH_NOARGS, "tiles() -> whether within is for this processor."},
    {"within", within, METH_VARARGS,
     "within(q, k, v, out, total, starts, lengths, q_to_token, q_to_head, k_.., k_.., v_.., v_.., "
     "documents, heads, tokens, e, scale, threads) -> whether it was done: causal attention of bf16 "
     "[tokens, heads, e] inside documents, the longest named first, by processors with AMX; fp32 "
     "[heads, tokens] is kept for the gradient. Strides in numbers."},
    {"within_grad", within_grad, METH_VARARGS,
     "within_grad(q, k, v, grad, out, q_grad, k_grad, v_grad, total, starts, lengths, q_to_token, "
     "q_to_head, k_.., k_.., v_.., v_.., grad_.., grad_.., documents, heads, tokens, e, scale, "
     "threads) -> whether it was done."},
    {"use", use, METH_VARARGS,
     "use(most) -> which code is used from now on, for tests: 0 any processor's, 1 that for AVX2, 2 "
     "that for AVX-512, the latest that is not above most and that the processor has."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "hanhua.model._native",
    .m_doc = "Norms, gates, rotary embeddings, attention of single tokens and cross-entropy, compiled.",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModule_Create(&module);
}
