/* The compiled part of learning a vocabulary; hanhua.vocab works without it, some times slower. */
#include "table.h"

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "hanhua.vocab._native",
    .m_doc = "Counting runs of text and continued byte pair encoding, compiled.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__native(void)
{
    if (PyType_Ready(&CounterType) < 0 || PyType_Ready(&LearnerType) < 0)
        return NULL;
    PyObject *made = PyModule_Create(&module);
    if (!made)
        return NULL;
    if (PyModule_AddObjectRef(made, "Counter", (PyObject *)&CounterType) < 0
        || PyModule_AddObjectRef(made, "Learner", (PyObject *)&LearnerType) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
