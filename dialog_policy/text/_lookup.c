/* Finds the terms of a text in a table of terms: what TermIndex does in Python, without an object for each n-gram.

   Only looks up. Which rows a text has, and how often each, is all that comes from here; weights and vectors are NumPy's
   business, so that a text has the same vector to the bit with and without this module. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030A0000
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 0, CHARACTER = 1, TERM = 2 };

/* Terms are chosen by whoever made a run: a table in which so many collide is refused, and Python's dict is used. */
#define MOST_PROBES 256
/* Other threads go on while a text of more bytes is looked up. */
#define LONG_TEXT 4096

typedef struct {
    uint32_t tag;
    int32_t row; /* -1: free */
} Slot;

typedef struct {
    PyObject_HEAD
    int unit;
    Py_ssize_t shortest, longest;
    int32_t unknown; /* row of unknown terms; -1: they are left out */
    int n_bytes;     /* of the largest row */
    unsigned shift;
    size_t mask;
    Slot *slots;
    char *text;    /* all terms, one after the other */
    size_t *ends;  /* where each ends */
} Index;

typedef struct {
    int32_t *items;
    size_t count, capacity;
} Rows;

/* FNV-1a. */
#define HASH_START UINT64_C(14695981039346656037)
static inline uint64_t hash_more(uint64_t hash, unsigned char byte) {
    return (hash ^ byte) * UINT64_C(1099511628211);
}

static inline uint64_t mixed(uint64_t hash) {
    hash ^= hash >> 32;
    return hash * UINT64_C(0x9E3779B97F4A7C15);
}

static inline int is_term(const Index *self, int32_t row, const char *text, size_t length) {
    size_t start = row ? self->ends[row - 1] : 0;
    return self->ends[row] - start == length && memcmp(self->text + start, text, length) == 0;
}

static int32_t find(const Index *self, uint64_t hash, const char *text, size_t length) {
    hash = mixed(hash);
    for (size_t at = (size_t)(hash >> self->shift) & self->mask;; at = (at + 1) & self->mask) {
        Slot slot = self->slots[at];
        if (slot.row < 0 || (slot.tag == (uint32_t)hash && is_term(self, slot.row, text, length)))
            return slot.row;
    }
}

static int add(Rows *rows, int32_t row) {
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity ? 2 * rows->capacity : 256;
        int32_t *items = realloc(rows->items, capacity * sizeof *items);
        if (!items)
            return -1;
        rows->items = items;
        rows->capacity = capacity;
    }
    rows->items[rows->count++] = row;
    return 0;
}

/* Rows of the n-grams of words: pieces of `text` from the start of a token to the end of another. */
static int add_words(const Index *self, const char *text, const size_t *starts, const size_t *ends, Py_ssize_t n, Rows *rows) {
    for (Py_ssize_t first = 0; first < n; first++) {
        uint64_t hash = HASH_START;
        size_t at = starts[first];
        Py_ssize_t beyond = n - first < self->longest ? n : first + self->longest;
        for (Py_ssize_t last = first; last < beyond; last++) {
            for (; at < ends[last]; at++)
                hash = hash_more(hash, (unsigned char)text[at]);
            if (last - first + 1 < self->shortest)
                continue;
            int32_t row = find(self, hash, text + starts[first], at - starts[first]);
            if (row < 0)
                row = self->unknown;
            if (row >= 0 && add(rows, row))
                return -1;
        }
    }
    return 0;
}

static inline int begins_character(char byte) { return ((unsigned char)byte & 0xC0) != 0x80; }

/* Rows of the n-grams of characters of a token that has < and > at its ends. */
static int add_characters(const Index *self, const char *text, size_t start, size_t end, Rows *rows) {
    Py_ssize_t length = 0;
    for (size_t at = start; at < end; at++)
        length += begins_character(text[at]);
    /* A short token is one term. */
    Py_ssize_t shortest = length <= self->shortest ? length : self->shortest;
    Py_ssize_t longest = length <= self->shortest ? length : self->longest;
    for (size_t first = start; first < end && length >= shortest; length--) {
        uint64_t hash = HASH_START;
        size_t at = first;
        for (Py_ssize_t n = 1; n <= longest && at < end; n++) {
            do
                hash = hash_more(hash, (unsigned char)text[at++]);
            while (at < end && !begins_character(text[at]));
            if (n < shortest)
                continue;
            int32_t row = find(self, hash, text + first, at - first);
            if (row >= 0 && add(rows, row))
                return -1;
        }
        do
            first++;
        while (first < end && !begins_character(text[first]));
    }
    return 0;
}

/* Sort in a time that grows with the number of rows alone, whatever the text. */
static int sort(Rows *rows, int n_bytes) {
    size_t n = rows->count;
    int32_t *items = rows->items;
    if (n <= 32) {
        for (size_t i = 1; i < n; i++) {
            int32_t item = items[i];
            size_t j = i;
            for (; j && items[j - 1] > item; j--)
                items[j] = items[j - 1];
            items[j] = item;
        }
        return 0;
    }
    int32_t *other = malloc(n * sizeof *other);
    if (!other)
        return -1;
    for (int byte = 0; byte < n_bytes; byte++) {
        size_t places[256] = {0}, before = 0;
        for (size_t i = 0; i < n; i++)
            places[(items[i] >> (8 * byte)) & 255]++;
        for (int value = 0; value < 256; value++) {
            size_t count = places[value];
            places[value] = before;
            before += count;
        }
        for (size_t i = 0; i < n; i++)
            other[places[(items[i] >> (8 * byte)) & 255]++] = items[i];
        int32_t *swapped = items;
        items = other;
        other = swapped;
    }
    rows->items = items;
    rows->capacity = n;
    free(other);
    return 0;
}

static int look_up(const Index *self, const char *text, const size_t *starts, const size_t *ends, Py_ssize_t n, Rows *rows) {
    if (self->unit != CHARACTER) {
        if (add_words(self, text, starts, ends, n, rows))
            return -1;
    } else {
        for (Py_ssize_t token = 0; token < n; token++)
            if (add_characters(self, text, starts[token], ends[token], rows))
                return -1;
    }
    return sort(rows, self->n_bytes);
}

/* Bytes of the rows (int64), and of how often each occurs (float32), or None if each occurs once. */
static PyObject *result_of(const Rows *rows) {
    size_t n_distinct = 0;
    for (size_t i = 0; i < rows->count; i++)
        n_distinct += i == 0 || rows->items[i] != rows->items[i - 1];
    PyObject *distinct = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(n_distinct * sizeof(int64_t)));
    if (!distinct)
        return NULL;
    PyObject *counts = Py_None;
    float *count = NULL;
    if (n_distinct < rows->count) {
        counts = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(n_distinct * sizeof(float)));
        if (!counts) {
            Py_DECREF(distinct);
            return NULL;
        }
        count = (float *)PyBytes_AsString(counts);
    } else
        Py_INCREF(counts);
    int64_t *row = (int64_t *)PyBytes_AsString(distinct);
    for (size_t i = 0, begin = 0; i < rows->count; i++) {
        if (i + 1 < rows->count && rows->items[i + 1] == rows->items[i])
            continue;
        *row++ = rows->items[i];
        if (count)
            *count++ = (float)(i + 1 - begin);
        begin = i + 1;
    }
    PyObject *pair = PyTuple_Pack(2, distinct, counts);
    Py_DECREF(distinct);
    Py_DECREF(counts);
    return pair;
}

static PyObject *distinct(Index *self, PyObject *given) {
    PyObject *tokens = PySequence_Tuple(given), *result = NULL;
    if (!tokens)
        return NULL;
    Py_ssize_t n = PyTuple_Size(tokens);
    size_t around = self->unit == CHARACTER ? 2 : 1, size = 0;
    size_t *places = malloc(2 * (size_t)(n ? n : 1) * sizeof *places);
    char *text = NULL;
    Rows rows = {0};
    if (!places)
        goto no_memory;
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_ssize_t length;
        if (!PyUnicode_AsUTF8AndSize(PyTuple_GetItem(tokens, i), &length))
            goto done;
        size += (size_t)length + around;
    }
    text = malloc(size ? size : 1);
    if (!text)
        goto no_memory;
    size_t *starts = places, *ends = places + n, at = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_ssize_t length;
        const char *token = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(tokens, i), &length);
        if (!token)
            goto done;
        /* A space between words; < and > around the characters of each. */
        if (self->unit == CHARACTER) {
            starts[i] = at;
            text[at++] = '<';
        } else if (i) {
            text[at++] = ' ';
            starts[i] = at;
        } else
            starts[i] = at;
        memcpy(text + at, token, (size_t)length);
        at += (size_t)length;
        if (self->unit == CHARACTER)
            text[at++] = '>';
        ends[i] = at;
    }
    int failed;
    if (size > LONG_TEXT) {
        Py_BEGIN_ALLOW_THREADS
        failed = look_up(self, text, starts, ends, n, &rows);
        Py_END_ALLOW_THREADS
    } else
        failed = look_up(self, text, starts, ends, n, &rows);
    if (failed)
        goto no_memory;
    result = result_of(&rows);
    goto done;
no_memory:
    PyErr_NoMemory();
done:
    free(places);
    free(text);
    free(rows.items);
    Py_DECREF(tokens);
    return result;
}

static int fill(Index *self, PyObject *terms, Py_ssize_t n) {
    size_t size = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_ssize_t length;
        if (!PyUnicode_AsUTF8AndSize(PyTuple_GetItem(terms, i), &length))
            return -1;
        size += (size_t)length;
    }
    unsigned bits = 4;
    while (((size_t)1 << bits) < 2 * (size_t)n)
        bits++;
    self->shift = 64 - bits;
    self->mask = ((size_t)1 << bits) - 1;
    self->slots = malloc((self->mask + 1) * sizeof *self->slots);
    self->text = malloc(size ? size : 1);
    self->ends = malloc((size_t)(n ? n : 1) * sizeof *self->ends);
    if (!self->slots || !self->text || !self->ends) {
        PyErr_NoMemory();
        return -1;
    }
    memset(self->slots, 0xFF, (self->mask + 1) * sizeof *self->slots);
    size_t end = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_ssize_t length;
        const char *term = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(terms, i), &length);
        if (!term)
            return -1;
        memcpy(self->text + end, term, (size_t)length);
        end += (size_t)length;
        self->ends[i] = end;
        uint64_t hash = HASH_START;
        for (Py_ssize_t byte = 0; byte < length; byte++)
            hash = hash_more(hash, (unsigned char)term[byte]);
        hash = mixed(hash);
        size_t at = (size_t)(hash >> self->shift) & self->mask;
        for (int probes = 0; self->slots[at].row >= 0; at = (at + 1) & self->mask)
            if (++probes > MOST_PROBES) {
                PyErr_SetString(PyExc_ValueError, "too many terms collide");
                return -1;
            }
        self->slots[at] = (Slot){(uint32_t)hash, (int32_t)i};
    }
    return 0;
}

static void dealloc(Index *self) {
    PyTypeObject *type = Py_TYPE(self);
    free(self->slots);
    free(self->text);
    free(self->ends);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyObject *new_index(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    int unit;
    Py_ssize_t shortest, longest, unknown;
    PyObject *terms;
    static char *names[] = {"unit", "shortest", "longest", "terms", "unknown", NULL};
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "innOn", names, &unit, &shortest, &longest, &terms, &unknown))
        return NULL;
    Py_ssize_t n = PyTuple_Size(terms);
    if (n < 0)
        return NULL;
    if (unit < WORD || unit > TERM || shortest < 1 || n > INT32_MAX - 2 || unknown < -1 || unknown > n) {
        PyErr_SetString(PyExc_ValueError, "no such table of terms");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Index *self = (Index *)allocate(type, 0);
    if (!self)
        return NULL;
    self->unit = unit;
    self->shortest = unit == TERM ? 1 : shortest;
    self->longest = unit == TERM ? 1 : longest;
    self->unknown = (int32_t)unknown;
    self->n_bytes = n < 1 << 8 ? 1 : n < 1 << 16 ? 2 : n < 1 << 24 ? 3 : 4;
    if (fill(self, terms, n)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyMethodDef methods[] = {
    {"distinct", (PyCFunction)distinct, METH_O, "Rows of the terms of some tokens, and how often each occurs."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, new_index},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "A table of terms, to look up those of a text."},
    {0, NULL},
};

static PyType_Spec spec = {"dialog_policy.text._lookup.Index", sizeof(Index), 0, Py_TPFLAGS_DEFAULT, slots};

static int fill_module(PyObject *module) {
    PyObject *type = PyType_FromSpec(&spec);
    if (!type)
        return -1;
    if (PyModule_AddObject(module, "Index", type)) {
        Py_DECREF(type);
        return -1;
    }
    return 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_lookup", NULL, 0, NULL, module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__lookup(void) { return PyModuleDef_Init(&module); }
