/* Fourier transforms, fast where their size is a product of small numbers, by T. G. Stockham's way,
 * which needs no reordering (W. T. Cochran et al., "What is the fast Fourier transform?", IEEE
 * Transactions on Audio and Electroacoustics, 1967). */
#include "internal.h"

#include <math.h>

struct fourier {
    uint32_t size;
    int count;
    uint32_t factors[32];
    float *turns; /* exp(-2 pi i k / size), then exp(2 pi i k / (2 * size)) for real signals */
};

fourier *ncf_fourier_new(uint32_t size)
{
    const double pi = 3.14159265358979323846;
    fourier *plan = calloc(1, sizeof *plan);
    float *turns = malloc((4 * (size_t)size + 2) * sizeof *turns);
    uint32_t left = size;
    for (uint32_t radix = 4; plan && left > 1; radix = radix == 4 ? 2 : radix == 3 ? 5 : radix + 1)
        for (; left % radix == 0; left /= radix)
            plan->factors[plan->count++] = radix;
    if (!plan || !turns || !size) {
        free(plan);
        free(turns);
        return NULL;
    }
    for (uint32_t k = 0; k < size; k++) {
        turns[2 * k] = (float)cos(2 * pi * k / size);
        turns[2 * k + 1] = (float)-sin(2 * pi * k / size);
    }
    for (uint32_t k = 0; k <= size; k++) {
        turns[2 * size + 2 * k] = (float)cos(pi * k / size);
        turns[2 * size + 2 * k + 1] = (float)sin(pi * k / size);
    }
    plan->size = size;
    plan->turns = turns;
    return plan;
}

void ncf_fourier_free(fourier *plan)
{
    if (plan)
        free(plan->turns);
    free(plan);
}

/* One pass for radix 2 or 4: `groups` butterflies, each for `stride` numbers side by side. */
static void pass_of_two(
    const fourier *plan, uint32_t radix, uint32_t groups, uint32_t stride, const float *in,
    float *out)
{
    size_t apart = 2 * (size_t)stride * groups;
    for (uint32_t p = 0; p < groups; p++) {
        const float *a = in + 2 * (size_t)stride * p;
        float *b = out + 2 * (size_t)stride * radix * p;
        const float *w = plan->turns + 2 * (size_t)p * stride;
        if (radix == 2) {
            for (uint32_t q = 0; q < 2 * stride; q += 2) {
                float x0 = a[q], y0 = a[q + 1], x1 = a[apart + q], y1 = a[apart + q + 1];
                float x = x0 - x1, y = y0 - y1;
                b[q] = x0 + x1;
                b[q + 1] = y0 + y1;
                b[2 * stride + q] = x * w[0] - y * w[1];
                b[2 * stride + q + 1] = x * w[1] + y * w[0];
            }
            continue;
        }
        const float *w2 = plan->turns + 4 * (size_t)p * stride;
        const float *w3 = plan->turns + 6 * (size_t)p * stride;
        for (uint32_t q = 0; q < 2 * stride; q += 2) {
            float x0 = a[q], y0 = a[q + 1], x1 = a[apart + q], y1 = a[apart + q + 1];
            float x2 = a[2 * apart + q], y2 = a[2 * apart + q + 1];
            float x3 = a[3 * apart + q], y3 = a[3 * apart + q + 1];
            float sx = x0 + x2, sy = y0 + y2, dx = x0 - x2, dy = y0 - y2;
            float tx = x1 + x3, ty = y1 + y3, ex = y1 - y3, ey = x3 - x1;
            float ux = dx + ex, uy = dy + ey, vx = sx - tx, vy = sy - ty, zx = dx - ex, zy = dy - ey;
            b[q] = sx + tx;
            b[q + 1] = sy + ty;
            b[2 * stride + q] = ux * w[0] - uy * w[1];
            b[2 * stride + q + 1] = ux * w[1] + uy * w[0];
            b[4 * stride + q] = vx * w2[0] - vy * w2[1];
            b[4 * stride + q + 1] = vx * w2[1] + vy * w2[0];
            b[6 * stride + q] = zx * w3[0] - zy * w3[1];
            b[6 * stride + q + 1] = zx * w3[1] + zy * w3[0];
        }
    }
}

/* One pass for any radix. */
static void pass_of_any(
    const fourier *plan, uint32_t radix, uint32_t groups, uint32_t stride, const float *in,
    float *out)
{
    uint32_t size = plan->size, turn = size / radix;
    for (uint32_t p = 0; p < groups; p++)
        for (uint32_t j = 0; j < radix; j++) {
            const float *w = plan->turns + 2 * (size_t)((uint64_t)p * j * stride % size);
            float *b = out + 2 * (size_t)stride * (radix * p + j);
            for (uint32_t q = 0; q < stride; q++) {
                float x = 0, y = 0;
                for (uint32_t k = 0; k < radix; k++) {
                    const float *a = in + 2 * ((size_t)stride * (p + groups * k) + q);
                    const float *r = plan->turns + 2 * (size_t)(j * k % radix * turn);
                    x += a[0] * r[0] - a[1] * r[1];
                    y += a[0] * r[1] + a[1] * r[0];
                }
                b[2 * q] = x * w[0] - y * w[1];
                b[2 * q + 1] = x * w[1] + y * w[0];
            }
        }
}

void ncf_fourier(const fourier *plan, int inverse, float *numbers, float *work)
{
    float *in = numbers, *out = work;
    uint32_t left = plan->size, stride = 1;
    for (uint32_t k = 0; inverse && k < plan->size; k++)
        numbers[2 * k + 1] = -numbers[2 * k + 1];
    for (int k = 0; k < plan->count; k++) {
        uint32_t radix = plan->factors[k];
        left /= radix;
        if (radix == 2 || radix == 4)
            pass_of_two(plan, radix, left, stride, in, out);
        else
            pass_of_any(plan, radix, left, stride, in, out);
        stride *= radix;
        float *turned = in;
        in = out;
        out = turned;
    }
    if (in != numbers)
        memcpy(numbers, in, 2 * (size_t)plan->size * sizeof *numbers);
    for (uint32_t k = 0; inverse && k < plan->size; k++)
        numbers[2 * k + 1] = -numbers[2 * k + 1];
}

void ncf_fourier_real(const fourier *plan, float *spectrum, float *signal, float *work)
{
    uint32_t size = plan->size;
    const float *turns = plan->turns + 2 * (size_t)size;
    spectrum[1] = spectrum[2 * size + 1] = 0; /* a real signal has none there */
    for (uint32_t k = 0; k < size; k++) {
        const float *a = spectrum + 2 * (size_t)k, *b = spectrum + 2 * (size_t)(size - k);
        float ex = a[0] + b[0], ey = a[1] - b[1], ox = a[0] - b[0], oy = a[1] + b[1];
        float x = ox * turns[2 * k] - oy * turns[2 * k + 1];
        float y = ox * turns[2 * k + 1] + oy * turns[2 * k];
        signal[2 * k] = ex - y; /* the even samples' spectrum, and i times the odd ones' */
        signal[2 * k + 1] = ey + x;
    }
    ncf_fourier(plan, 1, signal, work);
}

/* ---- cosine transforms ---- */

struct cosines {
    uint32_t length;
    fourier *plan; /* of half as many complex numbers; NULL for odd lengths */
    float *turns;  /* before and behind it; or the transform's whole matrix */
};

cosines *ncf_cosines_new(uint32_t length)
{
    const double pi = 3.14159265358979323846;
    double scale = sqrt(2.0 / length);
    size_t room = length % 2 ? (size_t)length * length : 2 * (size_t)length;
    cosines *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->length = length;
    c->turns = malloc((room + 1) * sizeof *c->turns);
    c->plan = length % 2 ? NULL : ncf_fourier_new(length / 2);
    if (!c->turns || (length % 2 == 0 && !c->plan)) {
        ncf_cosines_free(c);
        return NULL;
    }
    for (uint32_t k = 0; length % 2 && k < length; k++)
        for (uint32_t n = 0; n < length; n++)
            c->turns[(size_t)k * length + n] =
                (float)(cos(pi / length * (k + 0.5) * (n + 0.5)) * scale);
    for (uint32_t k = 0; length % 2 == 0 && k < length / 2; k++) {
        double before = -pi * (k + 0.25) / length, behind = -pi * k / length;
        c->turns[2 * k] = (float)cos(before);
        c->turns[2 * k + 1] = (float)sin(before);
        c->turns[length + 2 * k] = (float)(cos(behind) * scale);
        c->turns[length + 2 * k + 1] = (float)(sin(behind) * scale);
    }
    return c;
}

void ncf_cosines_free(cosines *c)
{
    if (!c)
        return;
    ncf_fourier_free(c->plan);
    free(c->turns);
    free(c);
}

void ncf_cosines(const cosines *c, float *row, float *work)
{
    uint32_t length = c->length, half = length / 2;
    const float *turns = c->turns, *behind = turns + length;
    float *pairs = work;
    for (uint32_t k = 0; !c->plan && k < length; k++) {
        work[k] = 0;
        for (uint32_t n = 0; n < length; n++)
            work[k] += turns[(size_t)k * length + n] * row[n];
    }
    if (!c->plan) {
        memcpy(row, work, length * sizeof *row);
        return;
    }
    for (uint32_t k = 0; k < half; k++) {
        float a = row[2 * k], b = row[length - 1 - 2 * k];
        pairs[2 * k] = a * turns[2 * k] - b * turns[2 * k + 1];
        pairs[2 * k + 1] = a * turns[2 * k + 1] + b * turns[2 * k];
    }
    ncf_fourier(c->plan, 0, pairs, work + length);
    for (uint32_t k = 0; k < half; k++) {
        float a = pairs[2 * k], b = pairs[2 * k + 1];
        row[2 * k] = a * behind[2 * k] - b * behind[2 * k + 1];
        row[length - 1 - 2 * k] = -(a * behind[2 * k + 1] + b * behind[2 * k]);
    }
}
