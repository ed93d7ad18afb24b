/* What the extension modules compute with: products of rows and matrices, compiled for several processors where that is known to
   work, and the best one taken when the module is loaded.

   A row of a product has the same bits whatever rows are computed together with it: each number is summed up in the same order. */

#ifndef DIALOG_POLICY_SIMD_H
#define DIALOG_POLICY_SIMD_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#if __GNUC__ >= 12
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#else
#define FOR_EACH_PROCESSOR
#endif

#if defined(_MSC_VER)
#define RESTRICT __restrict
#define ALWAYS_INLINE static __forceinline
#elif defined(__GNUC__)
#define RESTRICT __restrict__
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#else
#define RESTRICT restrict
#define ALWAYS_INLINE static inline
#endif

/* Sixteen numbers, anywhere in memory. */
#if defined(__GNUC__)
typedef float Sixteen __attribute__((vector_size(64), aligned(4), may_alias));
#define ADD_PRODUCT(sum, x, y) ((sum) += (x) * (y))
#else
typedef struct {
    float of[16];
} Sixteen;
#define ADD_PRODUCT(sum, x, y)                                                                                                   \
    for (int lane = 0; lane < 16; lane++)                                                                                        \
    (sum).of[lane] += (x) * (y).of[lane]
#endif

/* Some columns of some rows: out += x · weights. The rows of `weights` are those of a matrix of n_out columns that `which` names,
   or, where it is NULL, the first ones. The numbers of rows and columns are constants where this is called. */
ALWAYS_INLINE void add_tile(float *const *out, const float *const *x, const int rows, const float *weights, const int *which,
                            size_t n_in, size_t n_out, size_t column, const int sixteens) {
    Sixteen sums[4][8];
    for (int row = 0; row < rows; row++)
        for (int at = 0; at < sixteens; at++)
            sums[row][at] = *(const Sixteen *)(out[row] + column + 16 * at);
    for (size_t k = 0; k < n_in; k++) {
        const float *own = weights + (which ? (size_t)which[k] : k) * n_out + column;
        for (int at = 0; at < sixteens; at++)
            for (int row = 0; row < rows; row++)
                ADD_PRODUCT(sums[row][at], x[row][k], *(const Sixteen *)(own + 16 * at));
    }
    for (int row = 0; row < rows; row++)
        for (int at = 0; at < sixteens; at++)
            *(Sixteen *)(out[row] + column + 16 * at) = sums[row][at];
}

ALWAYS_INLINE void add_columns(float *const *out, const float *const *x, const int rows, const float *weights, const int *which,
                               size_t n_in, size_t n_out) {
    size_t column = 0;
    if (rows == 1)
        for (; column + 128 <= n_out; column += 128)
            add_tile(out, x, rows, weights, which, n_in, n_out, column, 8);
    for (; column + 32 <= n_out; column += 32)
        add_tile(out, x, rows, weights, which, n_in, n_out, column, 2);
    for (; column + 16 <= n_out; column += 16)
        add_tile(out, x, rows, weights, which, n_in, n_out, column, 1);
    if (column < n_out)
        for (int row = 0; row < rows; row++)
            for (size_t k = 0; k < n_in; k++) {
                const float *own = weights + (which ? (size_t)which[k] : k) * n_out;
                for (size_t j = column; j < n_out; j++)
                    out[row][j] += x[row][k] * own[j];
            }
}

/* Of n rows: out += x · weights, with n_in numbers in a row of x and n_out in one of out and of the weights. */
ALWAYS_INLINE void add_products_of(float *const *out, const float *const *x, size_t n, const float *weights, size_t n_in,
                                   size_t n_out) {
    size_t row = 0;
    for (; row + 4 <= n; row += 4) /* each weight is read once for four rows */
        add_columns(out + row, x + row, 4, weights, NULL, n_in, n_out);
    for (; row < n; row++)
        add_columns(out + row, x + row, 1, weights, NULL, n_in, n_out);
}

#endif
