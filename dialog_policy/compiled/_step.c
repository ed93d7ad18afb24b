/* A turn of dialogues after their features: the LSTM's step and the decision, as NumpyLSTM and Decoder compute them in NumPy.

   Everything comes in and goes out as bytes: they cannot change meanwhile, and their lengths are checked here against each
   other, so that no run and no saved session makes this read beyond them. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030A0000
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "objects.h"
#include "simd.h"

/* Other threads go on while more turns than these are computed. */
#define MANY_TURNS 16
/* Turns whose intermediate results are in the processor's cache together. */
#define TOGETHER 32

static int no_memory(void) {
    PyErr_NoMemory();
    return -1;
}

/* Room for a times b numbers of a size, at least one byte; NULL where there is none. */
static void *room(size_t a, size_t b, size_t size) {
    if (b && a > SIZE_MAX / size / b)
        return NULL;
    size_t length = a * b * size;
    return malloc(length ? length : 1);
}

/* ---- The network */

typedef struct {
    size_t units;
    const float *kernel; /* from the layer below: units below x 4 units; NULL for the first layer */
    const float *recurrent;
    const float *bias; /* NULL for the first layer */
} Layer;

typedef struct {
    PyObject_HEAD
    PyObject *kept; /* the bytes that the pointers below point into */
    Layer *layers;
    size_t n_layers, n_actions, width, state_size;
    const float *head;
} Network;

ALWAYS_INLINE int32_t bits_of(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

ALWAYS_INLINE float float_of(int32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Within two units in the last place (polynomials of Moshier's Cephes library), without a branch, so that it becomes vectors. */
ALWAYS_INLINE float tanh_of(float x) {
    float z = x * x;
    float small = ((((-5.70498872745e-3f * z + 2.06390887954e-2f) * z - 5.37397155531e-2f) * z + 1.33314422036e-1f) * z -
                   3.33332819422e-1f) * z * x + x;
    float magnitude = float_of(bits_of(x) & 0x7FFFFFFF);
    int32_t is_large = -(int32_t)!(magnitude <= 10.0f), is_small = -(int32_t)(magnitude < 0.625f);
    /* 1 - 2 / (e^(2 |x|) + 1), which is 1 from 10 on; e^r of the remainder, times a power of two. */
    float twice = 2.0f * float_of((bits_of(magnitude) & ~is_large) | (bits_of(10.0f) & is_large));
    int32_t power = (int32_t)(twice * 1.44269504088896341f + 0.5f);
    float r = twice - (float)power * 0.693359375f + (float)power * 2.12194440e-4f;
    float series = (((((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r +
                     1.6666665459e-1f) * r + 5.0000001201e-1f) * r * r + r + 1.0f;
    float large = 1.0f - 2.0f / (series * float_of((power + 127) << 23) + 1.0f);
    int32_t signed_large = bits_of(large) | (bits_of(x) & (int32_t)0x80000000);
    return float_of((bits_of(small) & is_small) | (signed_large & ~is_small));
}

/* A layer of some rows: gates to hidden and cell. Columns i, f, o, c of the gates, the first three halved. */
ALWAYS_INLINE void open_gates(float *RESTRICT gates, const float *RESTRICT cell, float *RESTRICT new_hidden,
                              float *RESTRICT new_cell, size_t units) {
    for (size_t j = 0; j < 4 * units; j++)
        gates[j] = tanh_of(gates[j]);
    const float *RESTRICT i = gates, *RESTRICT f = gates + units, *RESTRICT o = gates + 2 * units, *RESTRICT c = gates + 3 * units;
    for (size_t j = 0; j < units; j++) {
        float after = (0.5f * f[j] + 0.5f) * cell[j] + (0.5f * i[j] + 0.5f) * c[j];
        new_cell[j] = after;
        new_hidden[j] = (0.5f * o[j] + 0.5f) * tanh_of(after);
    }
}

FOR_EACH_PROCESSOR
static void add_products(float *const *out, const float *const *x, size_t rows, const float *weights, size_t n_in, size_t n_out) {
    add_products_of(out, x, rows, weights, n_in, n_out);
}

FOR_EACH_PROCESSOR
static void open_all_gates(float *const *gates, const float *const *cell, float *const *new_hidden, float *const *new_cell,
                           size_t rows, size_t units) {
    for (size_t row = 0; row < rows; row++)
        open_gates(gates[row], cell[row], new_hidden[row], new_cell[row], units);
}

FOR_EACH_PROCESSOR
static void add_up(float *RESTRICT sum, const float *RESTRICT part, size_t n) {
    for (size_t j = 0; j < n; j++)
        sum[j] += part[j];
}

/* A step of n rows, TOGETHER at most. `parts`: n_parts of each row, NULL where there is none. `gates`: room for n times the widest
   layer. */
static void step_rows(const Network *self, size_t n, const float *const *parts, size_t n_parts, const float *const *before,
                      float *const *after, float *projected, float *gates, float *logits) {
    float *gate[TOGETHER], *new_hidden[TOGETHER], *new_cell[TOGETHER];
    const float *hidden[TOGETHER], *cell[TOGETHER];
    for (size_t row = 0; row < n; row++) {
        gate[row] = projected + row * self->width;
        int empty = 1;
        for (size_t part = 0; part < n_parts; part++) {
            const float *own = parts[row * n_parts + part];
            if (!own)
                continue;
            if (empty)
                memcpy(gate[row], own, self->width * sizeof(float));
            else
                add_up(gate[row], own, self->width);
            empty = 0;
        }
        if (empty)
            memset(gate[row], 0, self->width * sizeof(float));
    }
    size_t start = 0;
    for (size_t number = 0; number < self->n_layers; number++) {
        const Layer *layer = &self->layers[number];
        size_t units = layer->units;
        if (number) {
            for (size_t row = 0; row < n; row++) {
                gate[row] = gates + row * 4 * units;
                memcpy(gate[row], layer->bias, 4 * units * sizeof(float));
            }
            add_products(gate, (const float *const *)new_hidden, n, layer->kernel, layer[-1].units, 4 * units);
        }
        for (size_t row = 0; row < n; row++) {
            hidden[row] = before[row] + start;
            cell[row] = before[row] + start + units;
            new_hidden[row] = after[row] + start;
            new_cell[row] = after[row] + start + units;
        }
        add_products(gate, hidden, n, layer->recurrent, units, 4 * units);
        open_all_gates(gate, cell, new_hidden, new_cell, n, units);
        start += 2 * units;
    }
    for (size_t row = 0; row < n; row++) {
        gate[row] = logits + row * self->n_actions;
        memcpy(gate[row], projected + (row + 1) * self->width - self->n_actions, self->n_actions * sizeof(float));
    }
    add_products(gate, (const float *const *)new_hidden, n, self->head, self->layers[self->n_layers - 1].units, self->n_actions);
}

static void step_all(const Network *self, size_t n, const float *const *parts, size_t n_parts, const float *const *before,
                     float *const *after, float *projected, float *gates, float *logits) {
    for (size_t row = 0; row < n; row += TOGETHER)
        step_rows(self, n - row < TOGETHER ? n - row : TOGETHER, parts + row * n_parts, n_parts, before + row, after + row,
                  projected, gates, logits + row * self->n_actions);
}

static PyObject *network_step(Network *self, PyObject *arguments) {
    PyObject *given_parts, *given_states, *all = NULL, *states = NULL, *logits = NULL, *after = NULL, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "OO", &given_parts, &given_states))
        return NULL;
    const float **parts = NULL, **before = NULL;
    float **out = NULL, *projected = NULL, *gates = NULL;
    all = PySequence_Tuple(given_parts);
    states = all ? PySequence_Tuple(given_states) : NULL;
    if (!states)
        goto done;
    size_t n = (size_t)PyTuple_Size(states), count = (size_t)PyTuple_Size(all);
    if (n ? count % n : count) {
        PyErr_SetString(PyExc_ValueError, "expected as many parts of each turn");
        goto done;
    }
    size_t n_parts = n ? count / n : 0, widest = 0;
    for (size_t number = 1; number < self->n_layers; number++)
        widest = self->layers[number].units > widest ? self->layers[number].units : widest;
    parts = room(count, 1, sizeof *parts);
    before = room(n, 1, sizeof *before);
    out = room(n, 1, sizeof *out);
    projected = room(n < TOGETHER ? n : TOGETHER, self->width, sizeof *projected);
    gates = room(n < TOGETHER ? n : TOGETHER, 4 * widest, sizeof *gates);
    if (!parts || !before || !out || !projected || !gates) {
        no_memory();
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        PyObject *part = PyTuple_GetItem(all, (Py_ssize_t)i);
        parts[i] = NULL;
        if (part != Py_None && !(parts[i] = numbers(part, self->width, sizeof(float), "part of a turn")))
            goto done;
    }
    for (size_t row = 0; row < n; row++)
        if (!(before[row] = numbers(PyTuple_GetItem(states, (Py_ssize_t)row), self->state_size, sizeof(float), "state")))
            goto done;
    if (self->n_actions && n > (size_t)PY_SSIZE_T_MAX / sizeof(float) / self->n_actions) {
        no_memory();
        goto done;
    }
    logits = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(n * self->n_actions * sizeof(float)));
    after = logits ? PyList_New((Py_ssize_t)n) : NULL;
    if (!after)
        goto done;
    for (size_t row = 0; row < n; row++) {
        PyObject *state = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(self->state_size * sizeof(float)));
        if (!state || PyList_SetItem(after, (Py_ssize_t)row, state))
            goto done;
        out[row] = (float *)PyBytes_AsString(state);
    }
    float *all_logits = (float *)PyBytes_AsString(logits);
    if (n > MANY_TURNS) {
        Py_BEGIN_ALLOW_THREADS
        step_all(self, n, parts, n_parts, before, out, projected, gates, all_logits);
        Py_END_ALLOW_THREADS
    } else
        step_all(self, n, parts, n_parts, before, out, projected, gates, all_logits);
    result = PyTuple_Pack(2, logits, after);
done:
    free(parts);
    free(before);
    free(out);
    free(projected);
    free(gates);
    Py_XDECREF(all);
    Py_XDECREF(states);
    Py_XDECREF(logits);
    Py_XDECREF(after);
    return result;
}

static int fill_network(Network *self, PyObject *layers, PyObject *head, Py_ssize_t n_actions) {
    Py_ssize_t n_layers = PyTuple_Size(layers);
    if (n_layers < 0)
        return -1;
    if (n_layers < 1 || n_actions < 1) {
        PyErr_SetString(PyExc_ValueError, "expected a layer and an action at least");
        return -1;
    }
    self->layers = calloc((size_t)n_layers, sizeof *self->layers);
    if (!self->layers)
        return no_memory();
    self->n_layers = (size_t)n_layers;
    self->n_actions = (size_t)n_actions;
    size_t below = 0;
    for (Py_ssize_t number = 0; number < n_layers; number++) {
        PyObject *arrays = PyTuple_GetItem(layers, number);
        if (PyTuple_Size(arrays) != 3) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_ValueError, "expected three arrays a layer");
            return -1;
        }
        PyObject *kernel = PyTuple_GetItem(arrays, 0), *recurrent = PyTuple_GetItem(arrays, 1), *bias = PyTuple_GetItem(arrays, 2);
        if (!PyBytes_Check(recurrent)) {
            PyErr_SetString(PyExc_TypeError, "recurrent kernel: expected bytes");
            return -1;
        }
        size_t length = (size_t)PyBytes_Size(recurrent), units = (size_t)sqrt((double)length / 16.0);
        Layer *layer = &self->layers[number];
        layer->units = units;
        if (!units || !(layer->recurrent = numbers(recurrent, 4 * units * units, sizeof(float), "recurrent kernel"))) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_ValueError, "expected a unit at least");
            return -1;
        }
        if (number && (!(layer->kernel = numbers(kernel, 4 * units * below, sizeof(float), "kernel")) ||
                       !(layer->bias = numbers(bias, 4 * units, sizeof(float), "bias"))))
            return -1;
        below = units;
        self->state_size += 2 * units;
    }
    self->width = 4 * self->layers[0].units + self->n_actions;
    if (self->n_actions > SIZE_MAX / below || !(self->head = numbers(head, below * self->n_actions, sizeof(float), "head"))) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "too many actions");
        return -1;
    }
    self->kept = PyTuple_Pack(2, layers, head);
    return self->kept ? 0 : -1;
}

static PyObject *new_network(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    PyObject *layers, *head;
    Py_ssize_t n_actions;
    static char *names[] = {"layers", "head", "n_actions", NULL};
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "OOn", names, &layers, &head, &n_actions))
        return NULL;
    Network *self = (Network *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self && fill_network(self, layers, head, n_actions)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void dealloc_network(Network *self) {
    free(self->layers);
    Py_XDECREF(self->kept);
    release_object((PyObject *)self);
}

/* ---- The decision */

typedef struct {
    PyObject_HEAD
    PyObject *kept, *names, *sets;
    size_t n_actions, n_sets;
    const int32_t *bits, *ends; /* actions of all sets, one set after the other; where each ends */
    const double *log_weights, *excess;
    double log_new, temperature;
    int single_action, by_marginals;
} Decision;

/* As in decoder.py. */
#define MARGINAL (1.0 / 3.0)
#define TINY 1e-8

/* A turn to decide: the logits, which actions may be taken (NULL: all), whether the empty set may not compete; then what is
   decided: shares of the actions, the confidence, and which actions are taken, where that is none of the known sets. */
typedef struct {
    const double *logits;
    const unsigned char *allowed;
    int must_act;
    double *shares, *confidence;
    unsigned char *taken;
} Turn;

static size_t most(const double *items, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (items[i] > items[best])
            best = i;
    return best;
}

static Py_ssize_t decide_one(const Decision *self, Turn turn, double *z) {
    size_t n = self->n_actions;
    double greatest = -INFINITY, sum = 0.0;
    for (size_t k = 0; k < n; k++) {
        z[k] = turn.allowed && !turn.allowed[k] ? -INFINITY : turn.logits[k] / self->temperature;
        greatest = z[k] > greatest ? z[k] : greatest;
    }
    for (size_t k = 0; k < n; k++)
        sum += turn.shares[k] = exp(z[k] - greatest);
    for (size_t k = 0; k < n; k++)
        turn.shares[k] /= sum;
    size_t best = most(turn.shares, n);
    *turn.confidence = turn.shares[best];
    return (Py_ssize_t)best;
}

/* The number of the set that has just the taken actions; -1: it is a new one. */
static Py_ssize_t known_set(const Decision *self, const unsigned char *taken) {
    size_t count = 0;
    for (size_t k = 0; k < self->n_actions; k++)
        count += taken[k];
    for (size_t set = 0, start = 0; set < self->n_sets; start = (size_t)self->ends[set++]) {
        size_t end = (size_t)self->ends[set];
        if (end - start != count)
            continue;
        size_t at = start;
        while (at < end && taken[self->bits[at]])
            at++;
        if (at == end)
            return (Py_ssize_t)set;
    }
    return -1;
}

/* Every set as if new: log of the total weight, and in `shares` what each action has of it. `z` has -inf for what is not allowed;
   log(1 + e^z) is 0 there. */
static double weigh_new(const Decision *self, Turn turn, const double *z) {
    size_t n = self->n_actions;
    double log_all = 0.0, log_some = -INFINITY;
    for (size_t k = 0; k < n; k++) {
        double log_off = z[k] > 0 ? z[k] + log1p(exp(-z[k])) : log1p(exp(z[k]));
        log_all += log_off;
        turn.shares[k] = z[k] - log_off;
    }
    if (turn.must_act) {
        /* log(Π (1 + e^z) - 1); where the product is all but 1, the sum of all e^z is as good. */
        if (log_all > TINY)
            log_some = log_all + log(-expm1(-log_all));
        else {
            double greatest = z[most(z, n)], sum = 0.0;
            for (size_t k = 0; k < n; k++)
                sum += exp(z[k] - greatest);
            log_some = greatest + log(sum);
        }
    }
    for (size_t k = 0; k < n; k++) {
        /* What is in a set is in one that is not empty, so its weight stays, while all together weigh less. */
        double share = turn.shares[k] + (turn.must_act ? log_all - log_some : 0.0);
        turn.shares[k] = exp(share < 0.0 ? share : 0.0);
    }
    return (turn.must_act ? log_some : log_all) + self->log_new;
}

/* Number of the decided set; -1: it is the one of the taken actions. The steps are those of Decoder._decide. */
static Py_ssize_t decide_set(const Decision *self, Turn turn, double *z, double *scores) {
    size_t n = self->n_actions;
    for (size_t k = 0; k < n; k++)
        z[k] = turn.allowed && !turn.allowed[k] ? -INFINITY : turn.logits[k] / self->temperature;
    double log_any = weigh_new(self, turn, z), score = -INFINITY, rival = self->log_new;
    Py_ssize_t chosen = -1;
    for (size_t set = 0, bit = 0; set < self->n_sets; set++) {
        double sum = turn.must_act && bit == (size_t)self->ends[set] ? -INFINITY : 0.0;
        for (; bit < (size_t)self->ends[set]; bit++)
            sum += z[self->bits[bit]];
        scores[set] = sum + self->log_weights[set];
        if (scores[set] > score) {
            score = scores[set];
            chosen = (Py_ssize_t)set;
        }
    }
    double top = score > log_any ? score : log_any, anything = exp(log_any - top), total = anything;
    for (size_t k = 0; k < n; k++)
        turn.shares[k] *= anything;
    for (size_t set = 0, bit = 0; set < self->n_sets; set++) {
        double weight = exp(scores[set] - top) * self->excess[set];
        total += weight;
        for (; bit < (size_t)self->ends[set]; bit++)
            turn.shares[self->bits[bit]] += weight;
    }
    size_t n_taken = 0;
    for (size_t k = 0; k < n; k++) {
        turn.shares[k] /= total;
        n_taken += turn.taken[k] = z[k] > 0;
        rival += z[k] > 0 ? z[k] : 0.0;
    }
    /* Without a positive logit the best new set that is not empty has the action that is the least improbable. */
    if (turn.must_act && !n_taken) {
        size_t best = most(z, n);
        n_taken = turn.taken[best] = 1;
        rival += z[best];
    }
    if (chosen < 0 || (n_taken && rival > score && known_set(self, turn.taken) < 0)) {
        chosen = -1;
        score = rival;
    }
    if (self->by_marginals) {
        int any_probable = 0, is_empty = chosen < 0 ? !n_taken : self->ends[chosen] == (chosen ? self->ends[chosen - 1] : 0);
        for (size_t k = 0; k < n; k++)
            any_probable |= turn.shares[k] > MARGINAL;
        if (any_probable || !is_empty) {
            size_t likeliest = most(turn.shares, n);
            score = 0.0;
            for (size_t k = 0; k < n; k++) {
                turn.taken[k] = any_probable ? turn.shares[k] > MARGINAL : k == likeliest;
                score += turn.taken[k] ? z[k] : 0.0;
            }
            chosen = known_set(self, turn.taken);
            score += chosen < 0 ? self->log_new : self->log_weights[chosen];
        }
    }
    /* Sums of rounded terms may exceed 1 by a rounding error. */
    for (size_t k = 0; k < n; k++)
        turn.shares[k] = turn.shares[k] < 1.0 ? turn.shares[k] : 1.0;
    double share = exp(score - top) / total;
    *turn.confidence = share < 1.0 ? share : 1.0;
    return chosen;
}

/* Decide n turns; `turn` is the first of them. */
static void decide_rows(const Decision *self, size_t n, Turn turn, const unsigned char *allow_none, Py_ssize_t *chosen, double *z,
                        double *scores) {
    for (size_t row = 0; row < n; row++) {
        turn.must_act = 0;
        if (turn.allowed && !(allow_none && allow_none[row])) {
            size_t n_allowed = 0;
            for (size_t k = 0; k < self->n_actions; k++)
                n_allowed += turn.allowed[k] != 0;
            turn.must_act = n_allowed && n_allowed < self->n_actions;
        }
        chosen[row] = self->single_action ? decide_one(self, turn, z) : decide_set(self, turn, z, scores);
        turn.logits += self->n_actions;
        turn.allowed += turn.allowed ? self->n_actions : 0;
        turn.shares += self->n_actions;
        turn.confidence++;
        turn.taken += self->n_actions;
    }
}

static PyObject *set_of(const Decision *self, const unsigned char *taken) {
    PyObject *names = PyList_New(0), *set;
    if (!names)
        return NULL;
    for (size_t k = 0; k < self->n_actions; k++)
        if (taken[k] && PyList_Append(names, PyTuple_GetItem(self->names, (Py_ssize_t)k))) {
            Py_DECREF(names);
            return NULL;
        }
    set = PyFrozenSet_New(names);
    Py_DECREF(names);
    return set;
}

static PyObject *decision_decide(Decision *self, PyObject *arguments) {
    PyObject *logits, *allowed, *allow_none;
    if (!PyArg_ParseTuple(arguments, "OOO", &logits, &allowed, &allow_none))
        return NULL;
    if (!PyBytes_Check(logits) || (size_t)PyBytes_Size(logits) % (self->n_actions * sizeof(double))) {
        PyErr_SetString(PyExc_ValueError, "logits: expected the bytes of rows with a float64 an action");
        return NULL;
    }
    size_t n = (size_t)PyBytes_Size(logits) / sizeof(double) / self->n_actions;
    const unsigned char *none = NULL;
    Turn turn = {.logits = (const double *)PyBytes_AsString(logits)};
    if (allowed != Py_None && !(turn.allowed = numbers(allowed, n * self->n_actions, 1, "allowed actions")))
        return NULL;
    if (allow_none != Py_None && !(none = numbers(allow_none, n, 1, "where none is allowed")))
        return NULL;
    PyObject *actions = PyList_New((Py_ssize_t)n), *result = NULL;
    PyObject *shares = PyBytes_FromStringAndSize(NULL, PyBytes_Size(logits));
    PyObject *confidence = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(n * sizeof(double)));
    double *z = room(self->n_actions, 1, sizeof *z), *scores = room(self->n_sets, 1, sizeof *scores);
    unsigned char *taken = room(n, self->n_actions, 1);
    Py_ssize_t *chosen = room(n, 1, sizeof *chosen);
    if (!actions || !shares || !confidence)
        goto done;
    if (!z || !scores || !taken || !chosen) {
        no_memory();
        goto done;
    }
    turn.shares = (double *)PyBytes_AsString(shares);
    turn.confidence = (double *)PyBytes_AsString(confidence);
    turn.taken = taken;
    if (n > MANY_TURNS) {
        Py_BEGIN_ALLOW_THREADS
        decide_rows(self, n, turn, none, chosen, z, scores);
        Py_END_ALLOW_THREADS
    } else
        decide_rows(self, n, turn, none, chosen, z, scores);
    for (size_t row = 0; row < n; row++) {
        PyObject *set;
        if (chosen[row] < 0)
            set = set_of(self, taken + row * self->n_actions);
        else {
            set = PyTuple_GetItem(self->sets, chosen[row]);
            Py_XINCREF(set);
        }
        if (!set || PyList_SetItem(actions, (Py_ssize_t)row, set))
            goto done;
    }
    result = PyTuple_Pack(3, actions, shares, confidence);
done:
    free(z);
    free(scores);
    free(taken);
    free(chosen);
    Py_XDECREF(actions);
    Py_XDECREF(shares);
    Py_XDECREF(confidence);
    return result;
}

static int fill_decision(Decision *self, PyObject *names, PyObject *sets, PyObject *bits, PyObject *ends, PyObject *log_weights,
                         PyObject *excess) {
    Py_ssize_t n_actions = PyTuple_Size(names), n_named = PyTuple_Size(sets);
    if (n_actions < 0 || n_named < 0)
        return -1;
    if (!PyBytes_Check(ends) || !PyBytes_Check(bits)) {
        PyErr_SetString(PyExc_TypeError, "bits and ends: expected bytes");
        return -1;
    }
    self->n_actions = (size_t)n_actions;
    self->n_sets = (size_t)PyBytes_Size(ends) / sizeof(int32_t);
    size_t n_bits = (size_t)PyBytes_Size(bits) / sizeof(int32_t);
    self->ends = numbers(ends, self->n_sets, sizeof(int32_t), "ends of sets");
    self->bits = self->ends ? numbers(bits, n_bits, sizeof(int32_t), "actions of sets") : NULL;
    self->log_weights = self->bits ? numbers(log_weights, self->n_sets, sizeof(double), "weights") : NULL;
    self->excess = self->log_weights ? numbers(excess, self->n_sets, sizeof(double), "weights of what is more than new") : NULL;
    if (!self->excess)
        return -1;
    int fits = n_actions > 0 && (self->single_action ? n_named >= n_actions : n_named >= (Py_ssize_t)self->n_sets);
    int32_t before = 0;
    for (size_t set = 0; set < self->n_sets; set++) {
        fits &= self->ends[set] >= before;
        before = self->ends[set];
    }
    fits &= (size_t)before == n_bits;
    for (size_t bit = 0; bit < n_bits; bit++)
        fits &= self->bits[bit] >= 0 && self->bits[bit] < n_actions;
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "these are no sets of these actions");
        return -1;
    }
    Py_INCREF(names);
    self->names = names;
    Py_INCREF(sets);
    self->sets = sets;
    self->kept = PyTuple_Pack(4, bits, ends, log_weights, excess);
    return self->kept ? 0 : -1;
}

static PyObject *new_decision(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    PyObject *names, *sets, *bits, *ends, *log_weights, *excess;
    double log_new, temperature;
    int single_action, by_marginals;
    static char *words[] = {"names", "sets", "bits", "ends", "log_weights", "excess", "log_new", "temperature", "single_action",
                            "by_marginals", NULL};
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "OOOOOOddpp", words, &names, &sets, &bits, &ends, &log_weights, &excess,
                                     &log_new, &temperature, &single_action, &by_marginals))
        return NULL;
    Decision *self = (Decision *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (!self)
        return NULL;
    self->log_new = log_new;
    self->temperature = temperature;
    self->single_action = single_action;
    self->by_marginals = by_marginals;
    if (fill_decision(self, names, sets, bits, ends, log_weights, excess)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void dealloc_decision(Decision *self) {
    Py_XDECREF(self->kept);
    Py_XDECREF(self->names);
    Py_XDECREF(self->sets);
    release_object((PyObject *)self);
}

/* ---- The module */

static PyMethodDef network_methods[] = {
    {"step", (PyCFunction)network_step, METH_VARARGS, "Logits of a turn of some dialogues, and their states after it."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot network_slots[] = {
    {Py_tp_new, new_network},
    {Py_tp_dealloc, dealloc_network},
    {Py_tp_methods, network_methods},
    {Py_tp_doc, "The recurrent layers of a network and its head."},
    {0, NULL},
};

static PyMethodDef decision_methods[] = {
    {"decide", (PyCFunction)decision_decide, METH_VARARGS, "The sets that some logits decide, shares of the actions, confidence."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot decision_slots[] = {
    {Py_tp_new, new_decision},
    {Py_tp_dealloc, dealloc_decision},
    {Py_tp_methods, decision_methods},
    {Py_tp_doc, "The sets of actions of a policy, and what they weigh."},
    {0, NULL},
};

static PyType_Spec network_spec = {"dialog_policy.compiled._step.Network", sizeof(Network), 0, Py_TPFLAGS_DEFAULT, network_slots};

static PyType_Spec decision_spec = {"dialog_policy.compiled._step.Decision", sizeof(Decision), 0, Py_TPFLAGS_DEFAULT, decision_slots};

static int fill_module(PyObject *module) {
    return add_type(module, "Network", &network_spec) || add_type(module, "Decision", &decision_spec) ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_step", NULL, 0, NULL, module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__step(void) { return PyModuleDef_Init(&module); }
