/* Finds the terms of a text in a table of terms: what TermIndex does in Python, without an object for each n-gram.

   An Index only looks up. Which rows a text has, and how often each, is all that comes from it; where a corpus is encoded,
   weights and vectors are NumPy's business, so that a text has the same vector to the bit with and without this module. A
   Projection does the rest, too, for a session, which needs the product of a text's features and the network's first layer.

   Before that, many texts at once are cut into tokens here, and a text that has none of a gazetteer's values is told quickly. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030A0000
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "objects.h"
#include "simd.h"

enum { WORD = 0, CHARACTER = 1, TERM = 2 };

/* Terms are chosen by whoever made a run: a table in which so many collide is refused, and Python's dict is used. */
#define MOST_PROBES 256
/* Other threads go on while a text of more bytes is looked up. */
#define LONG_TEXT 4096

typedef struct {
    uint32_t tag;
    int32_t row; /* -1: free */
} Slot;

/* How the terms of a text are cut out of it. */
typedef struct {
    int unit;
    Py_ssize_t shortest, longest;
} Cut;

typedef struct {
    PyObject_HEAD
    Cut cut;
    int32_t unknown; /* row of unknown terms; -1: they are left out */
    int n_bytes;     /* of the largest row */
    size_t n_rows;   /* that of unknown terms included */
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

/* Make room for so many more. */
static int reserve(Rows *rows, size_t more) {
    if (more <= rows->capacity - rows->count)
        return 0;
    size_t capacity = rows->capacity ? 2 * rows->capacity : 256;
    if (capacity < rows->count + more)
        capacity = rows->count + more;
    int32_t *items = realloc(rows->items, capacity * sizeof *items);
    if (!items)
        return -1;
    rows->items = items;
    rows->capacity = capacity;
    return 0;
}

static inline int add(Rows *rows, int32_t row) {
    if (rows->count == rows->capacity && reserve(rows, 1))
        return -1;
    rows->items[rows->count++] = row;
    return 0;
}

/* Finds the row of a term: -1 if it has none, -2 after an error. */
typedef int32_t (*Finder)(void *table, uint64_t hash, const char *text, size_t length);

/* Rows of the n-grams of words: pieces of `text` from the start of a token to the end of another. */
ALWAYS_INLINE int add_words(Cut cut, Finder row_of, void *table, const char *text, const size_t *starts, const size_t *ends,
                            Py_ssize_t n, Rows *rows) {
    for (Py_ssize_t first = 0; first < n; first++) {
        uint64_t hash = HASH_START;
        size_t at = starts[first];
        Py_ssize_t beyond = n - first < cut.longest ? n : first + cut.longest;
        for (Py_ssize_t last = first; last < beyond; last++) {
            for (; at < ends[last]; at++)
                hash = hash_more(hash, (unsigned char)text[at]);
            if (last - first + 1 < cut.shortest)
                continue;
            int32_t row = row_of(table, hash, text + starts[first], at - starts[first]);
            if (row < -1 || (row >= 0 && add(rows, row)))
                return -1;
        }
    }
    return 0;
}

static inline int begins_character(char byte) { return ((unsigned char)byte & 0xC0) != 0x80; }

/* Rows of the n-grams of characters of a token that has < and > at its ends. */
ALWAYS_INLINE int add_characters(Cut cut, Finder row_of, void *table, const char *text, size_t start, size_t end, Rows *rows) {
    Py_ssize_t length = 0;
    for (size_t at = start; at < end; at++)
        length += begins_character(text[at]);
    /* A short token is one term. */
    Py_ssize_t shortest = length <= cut.shortest ? length : cut.shortest;
    Py_ssize_t longest = length <= cut.shortest ? length : cut.longest;
    for (size_t first = start; first < end && length >= shortest; length--) {
        uint64_t hash = HASH_START;
        size_t at = first;
        for (Py_ssize_t n = 1; n <= longest && at < end; n++) {
            do
                hash = hash_more(hash, (unsigned char)text[at++]);
            while (at < end && !begins_character(text[at]));
            if (n < shortest)
                continue;
            int32_t row = row_of(table, hash, text + first, at - first);
            if (row < -1 || (row >= 0 && add(rows, row)))
                return -1;
        }
        do
            first++;
        while (first < end && !begins_character(text[first]));
    }
    return 0;
}

ALWAYS_INLINE int add_terms(Cut cut, Finder row_of, void *table, const char *text, const size_t *starts, const size_t *ends,
                            Py_ssize_t n, Rows *rows) {
    if (cut.unit != CHARACTER)
        return add_words(cut, row_of, table, text, starts, ends, n, rows);
    for (Py_ssize_t token = 0; token < n; token++)
        if (add_characters(cut, row_of, table, text, starts[token], ends[token], rows))
            return -1;
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

static int32_t row_in_index(void *table, uint64_t hash, const char *text, size_t length) {
    const Index *self = table;
    int32_t row = find(self, hash, text, length);
    return row < 0 && self->cut.unit != CHARACTER ? self->unknown : row;
}

static int look_up(const Index *self, const char *text, const size_t *starts, const size_t *ends, Py_ssize_t n, Rows *rows) {
    if (add_terms(self->cut, row_in_index, (void *)self, text, starts, ends, n, rows))
        return -1;
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

/* The tokens of a text, one after the other in UTF-8: a space between them, or < and > around each. */
typedef struct {
    char *text;
    size_t *starts, *ends;
    size_t size, text_capacity;
    Py_ssize_t n, capacity;
} Tokens;

static void free_tokens(Tokens *tokens) {
    free(tokens->text);
    free(tokens->starts);
    free(tokens->ends);
}

static int more_tokens(Tokens *out, Py_ssize_t n, size_t text_size) {
    if (n > out->capacity) {
        size_t *starts = realloc(out->starts, 2 * (size_t)n * sizeof *starts);
        if (!starts)
            return -1;
        out->starts = starts;
        size_t *ends = realloc(out->ends, 2 * (size_t)n * sizeof *ends);
        if (!ends)
            return -1;
        out->ends = ends;
        out->capacity = 2 * n;
    }
    if (text_size > out->text_capacity) {
        char *text = realloc(out->text, 2 * text_size);
        if (!text)
            return -1;
        out->text = text;
        out->text_capacity = 2 * text_size;
    }
    return 0;
}

/* Spell one more token; -1 with an exception where it is no text. */
static int spell_next(Tokens *out, PyObject *token, int marked) {
    Py_ssize_t length;
    const char *spelt = PyUnicode_AsUTF8AndSize(token, &length);
    if (!spelt)
        return -1;
    if (more_tokens(out, out->n + 1, out->size + (size_t)length + 2)) {
        PyErr_NoMemory();
        return -1;
    }
    char *at = out->text + out->size;
    if (!marked && out->n)
        *at++ = ' ';
    out->starts[out->n] = (size_t)(at - out->text);
    if (marked)
        *at++ = '<';
    memcpy(at, spelt, (size_t)length);
    at += length;
    if (marked)
        *at++ = '>';
    out->size = out->ends[out->n++] = (size_t)(at - out->text);
    return 0;
}

/* Spell the tokens of a tuple in the place of those before; -1 with an exception where one is no text. Is to be freed in any
   case. */
static int spell(Tokens *out, PyObject *tokens, int marked) {
    out->n = 0;
    out->size = 0;
    Py_ssize_t n = PyTuple_Size(tokens);
    for (Py_ssize_t i = 0; i < n; i++)
        if (spell_next(out, PyTuple_GetItem(tokens, i), marked))
            return -1;
    return 0;
}

/* Cuts the terms out of many texts. Where each token has terms of its own, those of a token are found once. */
typedef struct {
    Cut cut;
    Finder row_of;
    void *table;
    Tokens spelt;      /* the text, or all tokens so far */
    PyObject *numbers; /* of the tokens so far; NULL where terms have several tokens */
    Rows rows;         /* of all tokens so far, one after the other */
    Rows ends;         /* where those of each token end */
} Cutter;

static int begin_cutting(Cutter *self) {
    if (self->cut.unit != WORD || self->cut.longest == 1)
        self->numbers = PyDict_New();
    return PyErr_Occurred() ? -1 : 0;
}

static void end_cutting(Cutter *self) {
    free_tokens(&self->spelt);
    free(self->rows.items);
    free(self->ends.items);
    Py_XDECREF(self->numbers);
}

/* The number of a token, whose terms are found if it is new; -1 with an exception after an error. */
static Py_ssize_t number_of(Cutter *self, PyObject *token) {
    PyObject *known = PyDict_GetItemWithError(self->numbers, token);
    if (known)
        return PyLong_AsSsize_t(known);
    if (PyErr_Occurred())
        return -1;
    Py_ssize_t number = (Py_ssize_t)self->ends.count;
    if (spell_next(&self->spelt, token, self->cut.unit == CHARACTER))
        return -1;
    if (add_terms(self->cut, self->row_of, self->table, self->spelt.text, self->spelt.starts + number,
                  self->spelt.ends + number, 1, &self->rows) ||
        self->rows.count > INT32_MAX || add(&self->ends, (int32_t)self->rows.count)) {
        PyErr_NoMemory();
        return -1;
    }
    known = PyLong_FromSsize_t(number);
    if (!known || PyDict_SetItem(self->numbers, token, known))
        number = -1;
    Py_XDECREF(known);
    return number;
}

/* Put the rows of a text's terms in the place of those in `rows`; -1 with an exception after an error. */
static int cut_text(Cutter *self, PyObject *text, Rows *rows) {
    rows->count = 0;
    PyObject *tokens = PySequence_Tuple(text);
    if (!tokens)
        return -1;
    int failed = 0;
    if (self->numbers) {
        Py_ssize_t n = PyTuple_Size(tokens);
        for (Py_ssize_t i = 0; i < n && !failed; i++) {
            Py_ssize_t number = number_of(self, PyTuple_GetItem(tokens, i));
            if (number < 0) {
                failed = -1;
                break;
            }
            size_t start = number ? (size_t)self->ends.items[number - 1] : 0, count = (size_t)self->ends.items[number] - start;
            failed = reserve(rows, count);
            if (failed)
                PyErr_NoMemory();
            else if (count)
                memcpy(rows->items + rows->count, self->rows.items + start, count * sizeof *rows->items);
            rows->count += failed ? 0 : count;
        }
    } else if (spell(&self->spelt, tokens, 0))
        failed = -1;
    else if (add_terms(self->cut, self->row_of, self->table, self->spelt.text, self->spelt.starts, self->spelt.ends, self->spelt.n,
                       rows)) {
        PyErr_NoMemory();
        failed = -1;
    }
    Py_DECREF(tokens);
    return failed;
}

static PyObject *distinct(Index *self, PyObject *given) {
    PyObject *tokens = PySequence_Tuple(given), *result = NULL;
    if (!tokens)
        return NULL;
    Tokens spelt = {0};
    Rows rows = {0};
    if (!spell(&spelt, tokens, self->cut.unit == CHARACTER)) {
        int failed;
        if (spelt.size > LONG_TEXT) {
            Py_BEGIN_ALLOW_THREADS
            failed = look_up(self, spelt.text, spelt.starts, spelt.ends, spelt.n, &rows);
            Py_END_ALLOW_THREADS
        } else
            failed = look_up(self, spelt.text, spelt.starts, spelt.ends, spelt.n, &rows);
        result = failed ? PyErr_NoMemory() : result_of(&rows);
    }
    free_tokens(&spelt);
    free(rows.items);
    Py_DECREF(tokens);
    return result;
}

static PyObject *bytes_of(const void *items, size_t count, size_t size) {
    return PyBytes_FromStringAndSize(count ? items : "", (Py_ssize_t)(count * size));
}

static PyObject *distinct_of_many(Index *self, PyObject *given) {
    PyObject *texts = PySequence_Tuple(given), *result = NULL;
    if (!texts)
        return NULL;
    Py_ssize_t n = PyTuple_Size(texts);
    Rows all = {0}, counts = {0}, rows = {0};
    Cutter cutter = {self->cut, row_in_index, self, {0}, NULL, {0}, {0}};
    int64_t *ends = malloc((size_t)(n ? n : 1) * sizeof *ends);
    if (!ends)
        goto no_memory;
    if (begin_cutting(&cutter))
        goto done;
    for (Py_ssize_t text = 0; text < n; text++) {
        if (cut_text(&cutter, PyTuple_GetItem(texts, text), &rows))
            goto done;
        if (sort(&rows, self->n_bytes) || reserve(&all, rows.count) || reserve(&counts, rows.count))
            goto no_memory;
        for (size_t i = 0; i < rows.count; i++) {
            if (i && rows.items[i] == rows.items[i - 1])
                counts.items[counts.count - 1]++;
            else {
                all.items[all.count++] = rows.items[i];
                counts.items[counts.count++] = 1;
            }
        }
        ends[text] = (int64_t)all.count;
    }
    PyObject *parts[] = {bytes_of(all.items, all.count, sizeof(int32_t)), bytes_of(counts.items, counts.count, sizeof(int32_t)),
                         bytes_of(ends, (size_t)n, sizeof *ends)};
    if (parts[0] && parts[1] && parts[2])
        result = PyTuple_Pack(3, parts[0], parts[1], parts[2]);
    for (int part = 0; part < 3; part++)
        Py_XDECREF(parts[part]);
    goto done;
no_memory:
    PyErr_NoMemory();
done:
    end_cutting(&cutter);
    free(all.items);
    free(counts.items);
    free(rows.items);
    free(ends);
    Py_DECREF(texts);
    return result;
}

/* ---- Counting */

/* Terms that are numbered as they come, and the number of texts that have each. */
typedef struct {
    Slot *slots;
    size_t mask, n, capacity;
    unsigned shift;
    char *text;
    size_t *ends;
    size_t text_capacity;
    int64_t *counts;
    int64_t *seen; /* one more than the number of the last text that has the term */
    int collides;
} Counting;

static void free_counting(Counting *self) {
    free(self->slots);
    free(self->text);
    free(self->ends);
    free(self->counts);
    free(self->seen);
}

static int larger_table(Counting *self) {
    unsigned bits = self->slots ? 64 - self->shift + 1 : 12;
    size_t mask = ((size_t)1 << bits) - 1;
    Slot *slots = malloc((mask + 1) * sizeof *slots);
    if (!slots)
        return -1;
    memset(slots, 0xFF, (mask + 1) * sizeof *slots);
    /* A slot's tag has the low half of the hash alone: hash again. */
    for (size_t row = 0; row < self->n; row++) {
        size_t start = row ? self->ends[row - 1] : 0;
        uint64_t hash = HASH_START;
        for (size_t at = start; at < self->ends[row]; at++)
            hash = hash_more(hash, (unsigned char)self->text[at]);
        hash = mixed(hash);
        size_t at = (size_t)(hash >> (64 - bits)) & mask;
        while (slots[at].row >= 0)
            at = (at + 1) & mask;
        slots[at] = (Slot){(uint32_t)hash, (int32_t)row};
    }
    free(self->slots);
    self->slots = slots;
    self->mask = mask;
    self->shift = 64 - bits;
    return 0;
}

static int larger_arrays(Counting *self, size_t text_size) {
    if (self->n == self->capacity) {
        size_t capacity = self->capacity ? 2 * self->capacity : 1024;
        size_t *ends = realloc(self->ends, capacity * sizeof *ends);
        if (!ends)
            return -1;
        self->ends = ends;
        int64_t *counts = realloc(self->counts, capacity * sizeof *counts);
        if (!counts)
            return -1;
        self->counts = counts;
        int64_t *seen = realloc(self->seen, capacity * sizeof *seen);
        if (!seen)
            return -1;
        self->seen = seen;
        self->capacity = capacity;
    }
    if (text_size > self->text_capacity) {
        size_t capacity = text_size > 2 * self->text_capacity ? text_size + 4096 : 2 * self->text_capacity;
        char *text = realloc(self->text, capacity);
        if (!text)
            return -1;
        self->text = text;
        self->text_capacity = capacity;
    }
    return 0;
}

static int32_t row_to_count(void *table, uint64_t hash, const char *text, size_t length) {
    Counting *self = table;
    hash = mixed(hash);
    size_t at = (size_t)(hash >> self->shift) & self->mask, size = self->n ? self->ends[self->n - 1] : 0;
    for (int probes = 0; self->slots[at].row >= 0; at = (at + 1) & self->mask) {
        int32_t row = self->slots[at].row;
        size_t start = row ? self->ends[row - 1] : 0;
        if (self->slots[at].tag == (uint32_t)hash && self->ends[row] - start == length &&
            memcmp(self->text + start, text, length) == 0)
            return row;
        if (++probes > MOST_PROBES) {
            self->collides = 1;
            return -2;
        }
    }
    if (self->n > (size_t)INT32_MAX - 2 || larger_arrays(self, size + length))
        return -2;
    self->slots[at] = (Slot){(uint32_t)hash, (int32_t)self->n};
    memcpy(self->text + size, text, length);
    self->ends[self->n] = size + length;
    self->seen[self->n] = 0;
    self->counts[self->n++] = 0;
    if (2 * self->n > self->mask && larger_table(self))
        return -2;
    return (int32_t)(self->n - 1);
}

static PyObject *count_terms(PyObject *module, PyObject *arguments) {
    (void)module;
    int unit;
    Py_ssize_t shortest, longest;
    PyObject *given, *times, *texts, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "innOO", &unit, &shortest, &longest, &given, &times))
        return NULL;
    texts = PySequence_Tuple(given);
    if (!texts)
        return NULL;
    Py_ssize_t n = PyTuple_Size(texts);
    Counting counting = {0};
    Rows rows = {0};
    Cutter cutter = {unit == TERM ? (Cut){TERM, 1, 1} : (Cut){unit, shortest, longest}, row_to_count, &counting, {0}, NULL, {0}, {0}};
    if (unit < WORD || unit > TERM || shortest < 1 || !PyBytes_Check(times) ||
        (size_t)PyBytes_Size(times) != (size_t)n * sizeof(int64_t)) {
        PyErr_SetString(PyExc_ValueError, "expected a number of times (int64) for each text");
        goto done;
    }
    const int64_t *own_times = (const int64_t *)PyBytes_AsString(times);
    if (larger_table(&counting) || larger_arrays(&counting, 1)) {
        PyErr_NoMemory();
        goto done;
    }
    if (begin_cutting(&cutter))
        goto done;
    for (Py_ssize_t text = 0; text < n; text++) {
        if (cut_text(&cutter, PyTuple_GetItem(texts, text), &rows)) {
            if (counting.collides)
                PyErr_SetString(PyExc_ValueError, "too many terms collide");
            goto done;
        }
        for (size_t i = 0; i < rows.count; i++) {
            int32_t row = rows.items[i];
            if (counting.seen[row] != text + 1)
                counting.counts[row] += own_times[text];
            counting.seen[row] = text + 1;
        }
    }
    PyObject *parts[] = {bytes_of(counting.counts, counting.n, sizeof(int64_t)),
                         bytes_of(counting.text, counting.n ? counting.ends[counting.n - 1] : 0, 1),
                         bytes_of(counting.ends, counting.n, sizeof(size_t))};
    if (parts[0] && parts[1] && parts[2])
        result = PyTuple_Pack(3, parts[0], parts[1], parts[2]);
    for (int part = 0; part < 3; part++)
        Py_XDECREF(parts[part]);
done:
    end_cutting(&cutter);
    free_counting(&counting);
    free(rows.items);
    Py_DECREF(texts);
    return result;
}

/* ---- Tokens of texts */

static inline char lower(char byte) { return (char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte); }

static inline int is_of_word(char byte) {
    byte = lower(byte);
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '_';
}

/* From a character on, where the next token begins and ends; 0: there is none. As `tokenize` has it: [a-z0-9_]+(?:'[a-z0-9_]+)*|[?!] */
static int next_token(const char *text, size_t size, size_t *start, size_t *end) {
    size_t at = *end;
    while (at < size && !is_of_word(text[at]) && text[at] != '?' && text[at] != '!')
        at++;
    if (at == size)
        return 0;
    *start = at++;
    if (is_of_word(text[*start]))
        while (at < size && (is_of_word(text[at]) || (text[at] == '\'' && at + 1 < size && is_of_word(text[at + 1]))))
            at++;
    *end = at;
    return 1;
}

/* The tokens of a text of ASCII; equal ones are one object, of those in `objects`. */
static PyObject *tokens_of(PyObject *given, Counting *numbers, PyObject *objects, Tokens *lowered, Rows *found) {
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(given, &length);
    if (!text)
        return NULL;
    if (more_tokens(lowered, 0, (size_t)length + 1))
        return PyErr_NoMemory();
    for (Py_ssize_t at = 0; at < length; at++) {
        if (text[at] & 0x80) {
            PyErr_SetString(PyExc_ValueError, "expected texts of ASCII");
            return NULL;
        }
        lowered->text[at] = lower(text[at]);
    }
    size_t start = 0, end = 0;
    found->count = 0;
    while (next_token(lowered->text, (size_t)length, &start, &end)) {
        uint64_t hash = HASH_START;
        for (size_t at = start; at < end; at++)
            hash = hash_more(hash, (unsigned char)lowered->text[at]);
        int32_t number = row_to_count(numbers, hash, lowered->text + start, end - start);
        if (number < 0 && numbers->collides) {
            PyErr_SetString(PyExc_ValueError, "too many tokens collide");
            return NULL;
        }
        if (number < 0 || add(found, number))
            return PyErr_NoMemory();
        if (number == PyList_Size(objects)) {
            PyObject *token = PyUnicode_FromStringAndSize(lowered->text + start, (Py_ssize_t)(end - start));
            int failed = !token || PyList_Append(objects, token);
            Py_XDECREF(token);
            if (failed)
                return NULL;
        }
    }
    PyObject *tokens = PyList_New((Py_ssize_t)found->count);
    for (size_t i = 0; tokens && i < found->count; i++) {
        PyObject *token = PyList_GetItem(objects, found->items[i]);
        Py_INCREF(token);
        PyList_SetItem(tokens, (Py_ssize_t)i, token);
    }
    return tokens;
}

static PyObject *tokenize_ascii(PyObject *module, PyObject *given) {
    (void)module;
    PyObject *texts = PySequence_Tuple(given), *result = NULL;
    if (!texts)
        return NULL;
    Py_ssize_t n = PyTuple_Size(texts);
    Counting numbers = {0};
    Tokens lowered = {0};
    Rows found = {0};
    PyObject *objects = PyList_New(0);
    if (!objects)
        goto done;
    if (larger_table(&numbers) || larger_arrays(&numbers, 1)) {
        PyErr_NoMemory();
        goto done;
    }
    result = PyList_New(n);
    for (Py_ssize_t text = 0; result && text < n; text++) {
        PyObject *tokens = tokens_of(PyTuple_GetItem(texts, text), &numbers, objects, &lowered, &found);
        if (!tokens || PyList_SetItem(result, text, tokens))
            Py_CLEAR(result);
    }
done:
    free_counting(&numbers);
    free_tokens(&lowered);
    free(found.items);
    Py_XDECREF(objects);
    Py_DECREF(texts);
    return result;
}

static inline int is_space(char byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r') || (byte >= 0x1C && byte <= 0x1F);
}

static inline int joins_words(char byte) {
    return byte == '\'' || byte == '-' || byte == ':' || byte == '.' || byte == '&';
}

/* Where the token that begins at a character ends, as the gazetteer has it: \w+(?:['\-:.&]\w+)*|\S */
static Py_ssize_t end_of_folded(const char *text, Py_ssize_t length, Py_ssize_t at) {
    if (!is_of_word(text[at++]))
        return at;
    while (at < length &&
           (is_of_word(text[at]) || (joins_words(text[at]) && at + 1 < length && is_of_word(text[at + 1]))))
        at++;
    return at;
}

/* A filter has a bit for each of some tokens: a text without one of these bits has none of the tokens. */
#define FILTER_BITS 14

/* The filter of a function's arguments, which are that and a text. */
static unsigned char *filter_and_text(PyObject *arguments, const char **text, Py_ssize_t *length) {
    PyObject *given;
    if (!PyArg_ParseTuple(arguments, "Os#", &given, text, length))
        return NULL;
    if (PyByteArray_Check(given) && PyByteArray_Size(given) == (1 << FILTER_BITS) / 8)
        return (unsigned char *)PyByteArray_AsString(given);
    PyErr_SetString(PyExc_ValueError, "expected a bytearray of 2,048 bytes");
    return NULL;
}

static inline size_t bit_of(const char *token, Py_ssize_t length) {
    uint64_t hash = HASH_START;
    for (Py_ssize_t at = 0; at < length; at++)
        hash = hash_more(hash, (unsigned char)lower(token[at]));
    return (size_t)(mixed(hash) >> (64 - FILTER_BITS));
}

static PyObject *add_to_filter(PyObject *module, PyObject *arguments) {
    (void)module;
    const char *token;
    Py_ssize_t length;
    unsigned char *filter = filter_and_text(arguments, &token, &length);
    if (!filter)
        return NULL;
    size_t bit = bit_of(token, length);
    filter[bit >> 3] |= (unsigned char)(1 << (bit & 7));
    Py_RETURN_NONE;
}

static PyObject *may_have(PyObject *module, PyObject *arguments) {
    (void)module;
    const char *text;
    Py_ssize_t length;
    const unsigned char *filter = filter_and_text(arguments, &text, &length);
    if (!filter)
        return NULL;
    for (Py_ssize_t at = 0; at < length;) {
        if (is_space(text[at])) {
            at++;
            continue;
        }
        Py_ssize_t start = at;
        at = end_of_folded(text, length, at);
        size_t bit = bit_of(text + start, at - start);
        if (filter[bit >> 3] >> (bit & 7) & 1)
            Py_RETURN_TRUE;
    }
    Py_RETURN_FALSE;
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
    free(self->slots);
    free(self->text);
    free(self->ends);
    release_object((PyObject *)self);
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
    self->cut = unit == TERM ? (Cut){TERM, 1, 1} : (Cut){unit, shortest, longest};
    self->unknown = (int32_t)unknown;
    self->n_rows = (size_t)(unknown == n ? n + 1 : n);
    self->n_bytes = n < 1 << 8 ? 1 : n < 1 << 16 ? 2 : n < 1 << 24 ? 3 : 4;
    if (fill(self, terms, n)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* ---- Projections */

enum { COUNT = 0, LOGARITHM = 1, BINARY = 2 };

typedef struct {
    const Index *index;
    const float *weights; /* of each row of the index */
    const float *values;  /* of each row: its vector, or, of a table of bits, what it adds to the projection */
    size_t width, place;  /* of the vector among the features; place is 0 for a table of bits */
    int is_bits, frequency, unit_length;
    double scale;
} Table;

typedef struct {
    PyObject_HEAD
    PyObject *kept; /* the indices and the bytes that the pointers below point to */
    Table *tables;
    size_t n_tables, n_flags, n_features, n_out;
    const float *matrix, *start;
} Projection;

FOR_EACH_PROCESSOR
static void add_product(float *out, const float *x, const float *weights, size_t n_in, size_t n_out) {
    add_products_of(&out, &x, 1, weights, n_in, n_out);
}

/* Add some rows of a matrix, each times its weight. */
FOR_EACH_PROCESSOR
static void add_rows(float *out, const float *weights, const int32_t *rows, size_t n_rows, const float *values, size_t width) {
    add_columns(&out, &weights, 1, values, rows, n_rows, width);
}

/* From sorted rows to distinct ones, in place, and what TermTable.weighted_rows weighs each by; returns how many. */
static size_t weigh(const Table *table, Rows *rows, float *weights) {
    size_t n = 0;
    double squares = 0.0;
    for (size_t i = 0; i < rows->count;) {
        int32_t row = rows->items[i];
        size_t begin = i;
        while (i < rows->count && rows->items[i] == row)
            i++;
        float weight = table->weights[row], times = (float)(i - begin);
        if (table->frequency == COUNT)
            weight *= times;
        else if (table->frequency == LOGARITHM)
            weight *= 1.0f + logf(times);
        squares += (double)weight * weight;
        rows->items[n] = row;
        weights[n++] = weight;
    }
    float factor = (float)(table->unit_length ? table->scale / sqrt(squares) : table->scale);
    for (size_t i = 0; i < n; i++)
        weights[i] *= factor;
    return n;
}

static int project_text(const Projection *self, Tokens *const *spelt, float *features, float *out) {
    Rows rows = {0};
    float *weights = NULL;
    int failed = -1;
    for (size_t number = 0; number < self->n_tables; number++) {
        const Table *table = &self->tables[number];
        const Tokens *own = spelt[table->index->cut.unit == CHARACTER];
        rows.count = 0;
        if (look_up(table->index, own->text, own->starts, own->ends, own->n, &rows))
            goto done;
        if (!rows.count)
            continue;
        float *larger = realloc(weights, rows.count * sizeof *weights);
        if (!larger)
            goto done;
        weights = larger;
        size_t n = weigh(table, &rows, weights);
        add_rows(table->is_bits ? out : features + table->place, weights, rows.items, n, table->values, table->width);
    }
    add_product(out, features, self->matrix, self->n_features, self->n_out);
    failed = 0;
done:
    free(rows.items);
    free(weights);
    return failed;
}

static PyObject *project(Projection *self, PyObject *arguments) {
    PyObject *given, *flags, *tokens = NULL, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "OO", &given, &flags))
        return NULL;
    if (PyTuple_Size(flags) != (Py_ssize_t)self->n_flags) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_ValueError, "expected %zu features before those of the tables", self->n_flags);
        return NULL;
    }
    Tokens plain = {0}, marked = {0}, *spelt[] = {&plain, &marked};
    float *features = calloc(self->n_features ? self->n_features : 1, sizeof *features);
    if (!features) {
        PyErr_NoMemory();
        goto done;
    }
    for (size_t i = 0; i < self->n_flags; i++) {
        features[i] = (float)PyFloat_AsDouble(PyTuple_GetItem(flags, (Py_ssize_t)i));
        if (PyErr_Occurred())
            goto done;
    }
    tokens = PySequence_Tuple(given);
    if (!tokens || spell(&plain, tokens, 0) || spell(&marked, tokens, 1))
        goto done;
    result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(self->n_out * sizeof(float)));
    if (!result)
        goto done;
    float *out = (float *)PyBytes_AsString(result);
    memcpy(out, self->start, self->n_out * sizeof *out);
    int failed;
    if (plain.size > LONG_TEXT) {
        Py_BEGIN_ALLOW_THREADS
        failed = project_text(self, spelt, features, out);
        Py_END_ALLOW_THREADS
    } else
        failed = project_text(self, spelt, features, out);
    if (failed) {
        Py_DECREF(result);
        result = PyErr_NoMemory();
    }
done:
    free(features);
    free_tokens(&plain);
    free_tokens(&marked);
    Py_XDECREF(tokens);
    return result;
}

/* The numbers in some bytes, whose length must be that of a times b float32; NULL with ValueError where it is not. */
static const float *floats(PyObject *given, size_t a, size_t b) {
    if (b && a > SIZE_MAX / b) {
        PyErr_SetString(PyExc_ValueError, "too many numbers");
        return NULL;
    }
    return numbers(given, a * b, sizeof(float), "array");
}

static int fill_table(Table *table, PyObject *described, size_t n_out) {
    PyObject *index, *weights, *values;
    Py_ssize_t place, width;
    if (!PyArg_ParseTuple(described, "OOOnnipd", &index, &weights, &values, &place, &width, &table->frequency,
                          &table->unit_length, &table->scale))
        return -1;
    if (PyType_GetSlot(Py_TYPE(index), Py_tp_dealloc) != (void *)dealloc) {
        PyErr_SetString(PyExc_TypeError, "expected an Index");
        return -1;
    }
    if (place < -1 || width < 0 || table->frequency < COUNT || table->frequency > BINARY) {
        PyErr_SetString(PyExc_ValueError, "no such table");
        return -1;
    }
    table->index = (const Index *)index;
    table->is_bits = place < 0;
    table->place = place < 0 ? 0 : (size_t)place;
    table->width = place < 0 ? n_out : (size_t)width;
    table->weights = floats(weights, table->index->n_rows, 1);
    table->values = table->weights ? floats(values, table->index->n_rows, table->width) : NULL;
    return table->values ? 0 : -1;
}

static int fill_projection(Projection *self, PyObject *tables, PyObject *matrix, PyObject *start, Py_ssize_t n_flags) {
    Py_ssize_t n = PyTuple_Size(tables);
    if (n < 0)
        return -1;
    if (n_flags < 0) {
        PyErr_SetString(PyExc_ValueError, "no such projection");
        return -1;
    }
    self->n_out = PyBytes_Check(start) ? (size_t)PyBytes_Size(start) / sizeof(float) : 0;
    self->start = floats(start, self->n_out, 1);
    if (!self->start)
        return -1;
    self->tables = calloc((size_t)(n ? n : 1), sizeof *self->tables);
    if (!self->tables) {
        PyErr_NoMemory();
        return -1;
    }
    self->n_tables = (size_t)n;
    self->n_flags = self->n_features = (size_t)n_flags;
    for (Py_ssize_t number = 0; number < n; number++) {
        Table *table = &self->tables[number];
        if (fill_table(table, PyTuple_GetItem(tables, number), self->n_out))
            return -1;
        if (table->is_bits)
            continue;
        if (table->place != self->n_features || table->width > (size_t)PY_SSIZE_T_MAX - self->n_features) {
            PyErr_SetString(PyExc_ValueError, "expected the vectors of the tables one after the other");
            return -1;
        }
        self->n_features += table->width;
    }
    self->matrix = floats(matrix, self->n_features, self->n_out);
    self->kept = self->matrix ? PyTuple_Pack(3, tables, matrix, start) : NULL;
    return self->kept ? 0 : -1;
}

static PyObject *new_projection(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    PyObject *tables, *matrix, *start;
    Py_ssize_t n_flags;
    static char *names[] = {"tables", "matrix", "start", "n_flags", NULL};
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "OOOn", names, &tables, &matrix, &start, &n_flags))
        return NULL;
    Projection *self = (Projection *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self && fill_projection(self, tables, matrix, start, n_flags)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void dealloc_projection(Projection *self) {
    free(self->tables);
    Py_XDECREF(self->kept);
    release_object((PyObject *)self);
}

static PyMethodDef projection_methods[] = {
    {"project", (PyCFunction)project, METH_VARARGS, "The product of a text's features and the matrix."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot projection_slots[] = {
    {Py_tp_new, new_projection},
    {Py_tp_dealloc, dealloc_projection},
    {Py_tp_methods, projection_methods},
    {Py_tp_doc, "The features of a text times a matrix."},
    {0, NULL},
};

static PyType_Spec projection_spec = {"dialog_policy.compiled._lookup.Projection", sizeof(Projection), 0, Py_TPFLAGS_DEFAULT,
                                      projection_slots};

/* ---- The module */

static PyMethodDef methods[] = {
    {"distinct", (PyCFunction)distinct, METH_O, "Rows of the terms of some tokens, and how often each occurs."},
    {"distinct_of_many", (PyCFunction)distinct_of_many, METH_O, "The same of many texts, one after the other."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, new_index},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "A table of terms, to look up those of a text."},
    {0, NULL},
};

static PyType_Spec spec = {"dialog_policy.compiled._lookup.Index", sizeof(Index), 0, Py_TPFLAGS_DEFAULT, slots};

static int fill_module(PyObject *module) {
    return add_type(module, "Index", &spec) || add_type(module, "Projection", &projection_spec) ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static PyMethodDef functions[] = {
    {"count_terms", count_terms, METH_VARARGS, "How many texts have each term."},
    {"tokenize_ascii", tokenize_ascii, METH_O, "The tokens of each of many texts of ASCII."},
    {"add_to_filter", add_to_filter, METH_VARARGS, "Set the bit of a token."},
    {"may_have", may_have, METH_VARARGS, "Whether the bit of a token of a text of ASCII is set."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_lookup", NULL, 0, functions, module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__lookup(void) { return PyModuleDef_Init(&module); }
