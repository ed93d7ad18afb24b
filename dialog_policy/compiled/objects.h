/* What both extension modules do with Python's objects. To be included after Python.h. */

#ifndef DIALOG_POLICY_OBJECTS_H
#define DIALOG_POLICY_OBJECTS_H

#include <stddef.h>
#include <stdint.h>

/* The numbers in some bytes, whose length must be that of `count` items of a size; NULL with ValueError where it is not. */
static const void *numbers(PyObject *given, size_t count, size_t size, const char *what) {
    if (!PyBytes_Check(given)) {
        PyErr_Format(PyExc_TypeError, "%s: expected bytes", what);
        return NULL;
    }
    size_t length = (size_t)PyBytes_Size(given);
    if (count > SIZE_MAX / size || length != count * size) {
        PyErr_Format(PyExc_ValueError, "%s: expected %zu numbers of %zu bytes, found %zu bytes", what, count, size, length);
        return NULL;
    }
    return PyBytes_AsString(given);
}

static void release_object(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static int add_type(PyObject *module, const char *name, PyType_Spec *described) {
    PyObject *type = PyType_FromSpec(described);
    if (!type)
        return -1;
    if (PyModule_AddObject(module, name, type)) {
        Py_DECREF(type);
        return -1;
    }
    return 0;
}

#endif
