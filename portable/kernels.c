/* The loops that take nearly all of the time, for several kinds of processors: the best that this
 * one has is chosen when they are first asked for. */
#include "internal.h"

#include <math.h>

/* e^x by 2^(x / ln 2): the whole part goes into the exponent, the rest through a polynomial
 * (least squares; float32's rounding is its error). Plain C that compilers turn into vectors. */
static inline float exponential_of(float x)
{
    float power, y = x * 1.44269504f;
    y = y > -126.0f ? y : -126.0f;
    int32_t whole = (int32_t)(y + 1024.5f) - 1024; /* rounded: y is above -1024 */
    float rest = y - (float)whole;
    uint32_t bits = (uint32_t)(whole + 127) << 23;
    memcpy(&power, &bits, sizeof power);
    return power * (1.0f + rest * (0.693147206f + rest * (0.240226485f + rest * (0.0555032904f +
                    rest * (0.00961837325f + rest * (0.00133998483f + rest * 0.000153707048f))))));
}

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>

static int32_t total(v128_t sums)
{
    return wasm_i32x4_extract_lane(sums, 0) + wasm_i32x4_extract_lane(sums, 1) +
           wasm_i32x4_extract_lane(sums, 2) + wasm_i32x4_extract_lane(sums, 3);
}

/* Part of the integer product, whose instruction compilers do not find: four rows at a time times two
 * outputs. */
static void wasm_rows(
    const int16_t *x, size_t rows, size_t inputs, const int16_t *first, const int16_t *second,
    size_t outputs, size_t j, int32_t *sums)
{
    for (size_t row = 0; row < rows; row += 4) {
        v128_t s[4], t[4];
        size_t whole = inputs / 8 * 8;
        for (int k = 0; k < 4; k++)
            s[k] = t[k] = wasm_i32x4_const(0, 0, 0, 0);
        for (size_t i = 0; i < whole; i += 8) {
            v128_t a = wasm_v128_load(first + i), b = wasm_v128_load(second + i);
            for (int k = 0; k < 4; k++) {
                v128_t c = wasm_v128_load(x + (row + (size_t)k) * inputs + i);
                s[k] = wasm_i32x4_add(s[k], wasm_i32x4_dot_i16x8(a, c));
                t[k] = wasm_i32x4_add(t[k], wasm_i32x4_dot_i16x8(b, c));
            }
        }
        for (int k = 0; k < 4; k++) {
            int32_t *y = sums + (row + (size_t)k) * outputs + j, one = total(s[k]), two = total(t[k]);
            for (size_t i = whole; i < inputs; i++) {
                one += x[(row + (size_t)k) * inputs + i] * first[i];
                two += x[(row + (size_t)k) * inputs + i] * second[i];
            }
            y[0] = one;
            if (j + 1 < outputs)
                y[1] = two;
        }
    }
}
#endif

#define JOINED(name, suffix) name##_##suffix

#define FUNCTION(name) JOINED(name, plain)
#define TARGET
#define WIDTH 4
#include "kernels.h"

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define FUNCTION(name) JOINED(name, avx2)
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 8
#include "kernels.h"

#define FUNCTION(name) JOINED(name, avx512)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define WIDTH 16
#include "kernels.h"
#endif

const kernels *ncf_kernels(void)
{
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return &kernels_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &kernels_avx2;
#endif
    return &kernels_plain;
}
