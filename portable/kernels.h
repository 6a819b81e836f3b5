/* The loops that take nearly all of the time, as a template: kernels.c includes this once for each
 * kind of processor, with FUNCTION(name) as the functions' names, TARGET as what the compiler may
 * use, and WIDTH as how many floats a vector has. */

#if defined(__GNUC__)
typedef float FUNCTION(vector) __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
#define VECTOR FUNCTION(vector)
#define PARTS (PANEL / WIDTH) /* vectors in a row of a panel */
#define ROWS (12 / PARTS)     /* rows at once: with twelve sums nothing leaves the registers */

/* Computes ROWS rows times one panel: sums[row][PANEL] = bias + sum of x[row][k] panel[k][PANEL]. */
TARGET static void FUNCTION(block)(
    const float *x, size_t inputs, const float *panel, const float *bias, float *sums)
{
#define START(n) VECTOR s##n = *(const VECTOR *)(bias + (n) % PARTS * WIDTH);
#define STEP(n) s##n += x[(n) / PARTS * inputs + k] * *(const VECTOR *)(row + (n) % PARTS * WIDTH);
#define STORE(n) *(VECTOR *)(sums + (n) / PARTS * PANEL + (n) % PARTS * WIDTH) = s##n;
#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
    TWELVE(START)
    const float *row = panel;
    for (size_t k = 0; k < inputs; k++, row += PANEL) {
        TWELVE(STEP)
    }
    TWELVE(STORE)
#undef START
#undef STEP
#undef STORE
#undef TWELVE
}
#undef VECTOR
#else
#define PARTS 1
#define ROWS 4
static void FUNCTION(block)(
    const float *x, size_t inputs, const float *panel, const float *bias, float *sums)
{
    for (int row = 0; row < ROWS; row++)
        memcpy(sums + row * PANEL, bias, PANEL * sizeof *sums);
    for (size_t k = 0; k < inputs; k++)
        for (int row = 0; row < ROWS; row++)
            for (int j = 0; j < PANEL; j++)
                sums[row * PANEL + j] += x[row * inputs + k] * panel[k * PANEL + j];
}
#endif

/* Computes y [rows, outputs] = x [rows, inputs] times a weight in panels, plus a bias. `spare` has
 * room for ROWS rows of x. */
TARGET static void FUNCTION(product)(
    const float *x, size_t rows, size_t inputs, const float *panels, const float *bias,
    size_t outputs, float *y, float *spare)
{
    float sums[ROWS * PANEL];
    size_t whole = rows / ROWS * ROWS;
    if (rows > whole) {
        memset(spare, 0, ROWS * inputs * sizeof *spare);
        memcpy(spare, x + whole * inputs, (rows - whole) * inputs * sizeof *spare);
    }
    for (size_t j = 0; j < outputs; j += PANEL) {
        size_t width = outputs - j < PANEL ? outputs - j : PANEL;
        for (size_t row = 0; row < rows; row += ROWS) {
            size_t count = rows - row < ROWS ? rows - row : ROWS;
            FUNCTION(block)(row < whole ? x + row * inputs : spare, inputs, panels + j * inputs,
                            bias + j, sums);
            for (size_t k = 0; k < count; k++)
                memcpy(y + (row + k) * outputs + j, sums + k * PANEL, width * sizeof *y);
        }
    }
}
#undef ROWS
#undef PARTS

/* Computes sums [rows, outputs] of x [rows, inputs] times int8 weights [outputs, inputs]: exactly,
 * since they are below 2^31. `inputs` is at most MAX_INPUTS. */
TARGET static void FUNCTION(integer_product)(
    const int16_t *x, size_t rows, size_t inputs, const int8_t *weights, size_t outputs,
    int32_t *sums)
{
    int16_t first[MAX_INPUTS], second[MAX_INPUTS];
    for (size_t j = 0; j < outputs; j += 2) {
        const int8_t *a = weights + j * inputs, *b = j + 1 < outputs ? a + inputs : a;
        for (size_t k = 0; k < inputs; k++) {
            first[k] = a[k];
            second[k] = b[k];
        }
        size_t row = 0;
#if defined(__wasm_simd128__)
        row = rows / 4 * 4;
        wasm_rows(x, row, inputs, first, second, outputs, j, sums);
#endif
        for (; row + 4 <= rows; row += 4) {
            const int16_t *x0 = x + row * inputs, *x1 = x0 + inputs, *x2 = x1 + inputs;
            const int16_t *x3 = x2 + inputs;
            int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0;
            for (size_t k = 0; k < inputs; k++) {
                s0 += x0[k] * first[k];
                s1 += x1[k] * first[k];
                s2 += x2[k] * first[k];
                s3 += x3[k] * first[k];
                t0 += x0[k] * second[k];
                t1 += x1[k] * second[k];
                t2 += x2[k] * second[k];
                t3 += x3[k] * second[k];
            }
            int32_t *y = sums + row * outputs + j;
            y[0] = s0;
            y[outputs] = s1;
            y[2 * outputs] = s2;
            y[3 * outputs] = s3;
            if (j + 1 < outputs) {
                y[1] = t0;
                y[outputs + 1] = t1;
                y[2 * outputs + 1] = t2;
                y[3 * outputs + 1] = t3;
            }
        }
        for (; row < rows; row++) {
            int32_t s = 0, t = 0;
            for (size_t k = 0; k < inputs; k++) {
                s += x[row * inputs + k] * first[k];
                t += x[row * inputs + k] * second[k];
            }
            sums[row * outputs + j] = s;
            if (j + 1 < outputs)
                sums[row * outputs + j + 1] = t;
        }
    }
}

/* Turns numbers x, at most 7, into e^x, by powers of two and a polynomial; what is below -87 gives
 * e^-87, and not-a-numbers give it, too. */
TARGET static void FUNCTION(exponential)(float *x, size_t count)
{
    for (size_t k = 0; k < count; k++)
        x[k] = exponential_of(x[k]);
}

/* Turns numbers x into x times the normal distribution of x, to 2e-7 of x (Abramowitz and Stegun,
 * 7.1.26). */
TARGET static void FUNCTION(gelu)(float *x, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        float z = x[k] < 0 ? -x[k] : x[k];
        float t = 1.0f / (1.0f + 0.23164190f * z);
        float poly = t * (0.12741480f + t * (-0.14224837f + t * (0.71070687f +
                     t * (-0.72657601f + t * 0.53070271f))));
        float beyond = poly * exponential_of(-0.5f * z * z);
        x[k] = x[k] < 0 ? x[k] * beyond : x[k] * (1.0f - beyond);
    }
}

/* Normalises rows [count, width] to a mean of 0 and a variance of 1, times a gain, plus a bias. */
TARGET static void FUNCTION(normalise)(
    const float *x, size_t count, size_t width, const float *gain, const float *bias, float *y)
{
    for (size_t row = 0; row < count; row++, x += width, y += width) {
        float lanes[8] = {0}, mean, scale;
        for (size_t k = 0; k + 8 <= width; k += 8)
            for (int i = 0; i < 8; i++)
                lanes[i] += x[k + i];
        for (size_t k = width / 8 * 8; k < width; k++)
            lanes[0] += x[k];
        mean = (lanes[0] + lanes[1] + lanes[2] + lanes[3] + lanes[4] + lanes[5] + lanes[6] +
                lanes[7]) / (float)width;
        memset(lanes, 0, sizeof lanes);
        for (size_t k = 0; k + 8 <= width; k += 8)
            for (int i = 0; i < 8; i++)
                lanes[i] += (x[k + i] - mean) * (x[k + i] - mean);
        for (size_t k = width / 8 * 8; k < width; k++)
            lanes[0] += (x[k] - mean) * (x[k] - mean);
        scale = (lanes[0] + lanes[1] + lanes[2] + lanes[3] + lanes[4] + lanes[5] + lanes[6] +
                 lanes[7]) / (float)width;
        scale = 1.0f / sqrtf(scale + 1e-5f);
        for (size_t k = 0; k < width; k++)
            y[k] = (x[k] - mean) * scale * gain[k] + bias[k];
    }
}

/* Convolves each channel of rows [count, width] along the rows with its own `taps` [taps, width],
 * zeros standing around the rows, and adds a bias. */
TARGET static void FUNCTION(convolve)(
    const float *x, size_t count, size_t width, const float *weight, size_t taps,
    const float *bias, float *y)
{
    for (size_t row = 0; row < count; row++, y += width) {
        memcpy(y, bias, width * sizeof *y);
        for (size_t tap = 0; tap < taps; tap++) {
            if (row + tap < taps / 2 || row + tap - taps / 2 >= count)
                continue;
            const float *from = x + (row + tap - taps / 2) * width, *w = weight + tap * width;
            for (size_t k = 0; k < width; k++)
                y[k] += from[k] * w[k];
        }
    }
}

/* Adds y times a scale [width] to rows x [count, width]. */
TARGET static void FUNCTION(add_scaled)(
    float *x, const float *y, size_t count, size_t width, const float *scale)
{
    for (size_t row = 0; row < count; row++, x += width, y += width)
        for (size_t k = 0; k < width; k++)
            x[k] += y[k] * scale[k];
}

/* Makes directions [count] of unit length: x and y are their two parts. */
TARGET static void FUNCTION(unit)(float *x, float *y, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        float scale = 1.0f / sqrtf(x[k] * x[k] + y[k] * y[k] + 1e-8f);
        x[k] *= scale;
        y[k] *= scale;
    }
}

static const kernels FUNCTION(kernels) = {
    FUNCTION(product), FUNCTION(integer_product), FUNCTION(exponential), FUNCTION(gelu),
    FUNCTION(normalise), FUNCTION(convolve), FUNCTION(add_scaled), FUNCTION(unit),
};
#undef FUNCTION
#undef TARGET
#undef WIDTH
