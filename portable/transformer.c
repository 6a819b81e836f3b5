/* The entropy model of the embedded codecs: a transformer in integers, which gives the frequencies
 * of a chunk's codes. See models/lm/INTEGER.md, whose names these are. */
#include "internal.h"

#include <math.h>
#include <stdio.h>

enum {
    LIMIT = 1 << 21, /* of stream values and scores */
    GELU_LIMIT = 1 << 11,
    QUERY_LIMIT = 511,
    PAST_LIMIT = 127,
    OCTAVE = 1 << 11,
    MAX_WIDTH = 256 /* for which `norm` is specified */
};

typedef struct {
    uint32_t inputs, outputs;
    const int8_t *weight, *exponent;
    int32_t *bias;
    int largest_exponent;
} linear;

typedef struct {
    linear qkv, merge, expand, reduce;
    const int8_t *exponent; /* [heads] */
} layer;

typedef struct {
    const int8_t *codes, *codes_exponent, *project, *exponent;
} embedding;

typedef struct {
    frequency_model face;
    const kernels *kernels;
    uint32_t width, heads, depth, layer_count, rank, largest; /* largest: of all layers' widths */
    layer *layers;
    linear *head_expand, *head_reduce;
    embedding *past, *present;
    int32_t *position, *count; /* [frames, width], [codebooks + 1, width] */
    int16_t gelu[2 * GELU_LIMIT];
} transformer;

/* ---- loading ---- */

static const int8_t *bytes_of(const weights *file, const char *name, uint32_t rows, uint32_t columns)
{
    tensor found;
    uint32_t shape[2] = {rows, columns};
    int good = ncf_find(file, name, TENSOR_I8, columns ? 2 : 1, shape, &found);
    return good ? (const int8_t *)found.data : NULL;
}

static int32_t *integers_of(
    const weights *file, const char *name, uint32_t rows, uint32_t columns)
{
    tensor found;
    uint32_t shape[2] = {rows, columns};
    if (!ncf_find(file, name, TENSOR_I32, columns ? 2 : 1, shape, &found))
        return NULL;
    int32_t *values = malloc((found.count + 1) * sizeof *values);
    for (size_t k = 0; values && k < found.count; k++) {
        int32_t value = (int32_t)ncf_u32(found.data + 4 * k);
        values[k] = value > 1 << 28 ? 1 << 28 : value < -(1 << 28) ? -(1 << 28) : value;
    }
    return values;
}

static int load_linear(
    const weights *file, const char *part, uint32_t inputs, uint32_t outputs, linear *l)
{
    char name[80];
    snprintf(name, sizeof name, "%s.weight", part);
    l->inputs = inputs;
    l->outputs = outputs;
    l->weight = bytes_of(file, name, outputs, inputs);
    snprintf(name, sizeof name, "%s.exponent", part);
    l->exponent = bytes_of(file, name, outputs, 0);
    snprintf(name, sizeof name, "%s.bias", part);
    l->bias = integers_of(file, name, outputs, 0);
    if (!l->weight || !l->exponent || !l->bias || inputs > MAX_INPUTS)
        return 0;
    l->largest_exponent = -128;
    for (uint32_t k = 0; k < outputs; k++)
        if (l->exponent[k] > l->largest_exponent)
            l->largest_exponent = l->exponent[k];
    return 1;
}

static int load_embedding(
    const weights *file, const char *part, const transformer *t, embedding *e)
{
    char name[80];
    snprintf(name, sizeof name, "%s.codes", part);
    e->codes = bytes_of(file, name, t->face.codebook_size, t->rank);
    snprintf(name, sizeof name, "%s.codes_exponent", part);
    e->codes_exponent = bytes_of(file, name, t->face.codebook_size, 0);
    snprintf(name, sizeof name, "%s.project", part);
    e->project = bytes_of(file, name, t->width, t->rank);
    snprintf(name, sizeof name, "%s.exponent", part);
    e->exponent = bytes_of(file, name, t->width, 0);
    return e->codes && e->codes_exponent && e->project && e->exponent;
}

/* round(2^10 y Phi(y)) for y = x / 2^6. The nearest of these values to a half is 0.0068 from it, so
 * that float64 is more than enough. */
static void fill_gelu(int16_t *table)
{
    for (int x = -GELU_LIMIT; x < GELU_LIMIT; x++) {
        double y = x / 64.0, density = 0.39894228040143267794 * exp(-y * y / 2);
        double size = y < 0 ? -y : y, upper = 1;
        if (size < 9) { /* 1/2 + phi(y) (y + y^3 / 3 + y^5 / (3 * 5) + ...) */
            double term = size, sum = size;
            for (int k = 3; term > 1e-17 * sum; k += 2) {
                term *= size * size / k;
                sum += term;
            }
            upper = 0.5 + density * sum;
        }
        double value = 1024 * y * (y < 0 ? 1 - upper : upper);
        table[x + GELU_LIMIT] = (int16_t)floor(value + 0.5);
    }
}

static int shape_of(const weights *file, const char *name, uint32_t dims, uint32_t shape[2])
{
    tensor found;
    if (!ncf_find(file, name, 0, dims, NULL, &found))
        return 0;
    for (uint32_t k = 0; k < dims; k++)
        shape[k] = found.shape[k];
    return 1;
}

static int load_layer(const weights *file, transformer *t, uint32_t k)
{
    char name[64];
    uint32_t shape[2];
    layer *l = &t->layers[k];
    snprintf(name, sizeof name, "entropy.layers.%u.attention.exponent", (unsigned)k);
    l->exponent = bytes_of(file, name, t->heads, 0);
    snprintf(name, sizeof name, "entropy.layers.%u.attention.qkv", (unsigned)k);
    int good = l->exponent && load_linear(file, name, t->width, 3 * t->width, &l->qkv);
    snprintf(name, sizeof name, "entropy.layers.%u.attention.merge", (unsigned)k);
    good = good && load_linear(file, name, t->width, t->width, &l->merge);
    snprintf(name, sizeof name, "entropy.layers.%u.feed.expand.bias", (unsigned)k);
    if (!good || !shape_of(file, name, 1, shape))
        return 0;
    snprintf(name, sizeof name, "entropy.layers.%u.feed.expand", (unsigned)k);
    good = load_linear(file, name, t->width, shape[0], &l->expand);
    snprintf(name, sizeof name, "entropy.layers.%u.feed.reduce", (unsigned)k);
    good = good && load_linear(file, name, shape[0], t->width, &l->reduce);
    t->largest = shape[0] > t->largest ? shape[0] : t->largest;
    return good;
}

static int load_book(const weights *file, transformer *t, uint32_t k)
{
    char name[64];
    uint32_t shape[2];
    snprintf(name, sizeof name, "entropy.past.%u", (unsigned)k);
    int good = load_embedding(file, name, t, &t->past[k]);
    snprintf(name, sizeof name, "entropy.present.%u", (unsigned)k);
    good = good && load_embedding(file, name, t, &t->present[k]);
    snprintf(name, sizeof name, "entropy.heads.%u.expand.bias", (unsigned)k);
    if (!good || !shape_of(file, name, 1, shape))
        return 0;
    snprintf(name, sizeof name, "entropy.heads.%u.expand", (unsigned)k);
    good = load_linear(file, name, t->width, shape[0], &t->head_expand[k]);
    snprintf(name, sizeof name, "entropy.heads.%u.reduce", (unsigned)k);
    good = good && load_linear(file, name, shape[0], t->face.codebook_size, &t->head_reduce[k]);
    t->largest = shape[0] > t->largest ? shape[0] : t->largest;
    return good;
}

static int load_parts(const weights *file, transformer *t)
{
    uint32_t position[2], count[2], codes[2], heads[2];
    char name[64];
    if (!shape_of(file, "entropy.position", 2, position) ||
        !shape_of(file, "entropy.count", 2, count) ||
        !shape_of(file, "entropy.past.0.codes", 2, codes) ||
        !shape_of(file, "entropy.layers.0.attention.exponent", 1, heads))
        return 0;
    t->width = position[1];
    t->face.frames = position[0];
    t->face.codebooks = count[0] - 1;
    t->face.codebook_size = codes[0];
    t->rank = codes[1];
    t->heads = heads[0];
    if (!t->width || t->width > MAX_WIDTH || t->face.frames < 1 || t->face.frames > 4096 ||
        count[0] < 2 || count[0] > 256 || codes[0] < 3 || codes[0] > 65536 || !t->rank ||
        t->rank > 1024 || !t->heads || t->width % t->heads)
        return 0;
    t->depth = t->width / t->heads;
    t->largest = 3 * t->width > codes[0] ? 3 * t->width : codes[0];
    t->position = integers_of(file, "entropy.position", t->face.frames, t->width);
    t->count = integers_of(file, "entropy.count", count[0], t->width);
    do
        snprintf(name, sizeof name, "entropy.layers.%u.attention.exponent",
                 (unsigned)++t->layer_count);
    while (t->layer_count < 256 && shape_of(file, name, 1, heads));
    t->layers = calloc(t->layer_count, sizeof *t->layers);
    t->head_expand = calloc(t->face.codebooks, sizeof *t->head_expand);
    t->head_reduce = calloc(t->face.codebooks, sizeof *t->head_reduce);
    t->past = calloc(t->face.codebooks, sizeof *t->past);
    t->present = calloc(t->face.codebooks, sizeof *t->present);
    if (!t->position || !t->count || !t->layers || !t->head_expand || !t->head_reduce ||
        !t->past || !t->present)
        return 0;
    for (uint32_t k = 0; k < t->layer_count; k++)
        if (!load_layer(file, t, k))
            return 0;
    for (uint32_t k = 0; k < t->face.codebooks; k++)
        if (!load_book(file, t, k))
            return 0;
    return 1;
}

/* ---- arithmetic ---- */

static int32_t clamped(int64_t x, int32_t limit)
{
    return x > limit ? limit : x < -limit ? -limit : (int32_t)x;
}

/* round(x / 2^shift), halves to the even one; a shift below 0 multiplies, up to the largest number
 * that any value is clamped to, and more. */
static int64_t rounded(int64_t x, int shift)
{
    if (shift <= 0) {
        int64_t most = INT64_C(1) << 40;
        if (shift < -24)
            return x > 0 ? most : x < 0 ? -most : 0;
        return x * (INT64_C(1) << -shift);
    }
    if (shift > 62)
        return 0;
    /* Right shifts of numbers below 0 round downwards with every compiler that there is. */
    return (x + (INT64_C(1) << (shift - 1)) - 1 + (x >> shift & 1)) >> shift;
}

/* The greatest a * 2^-k with 2^11 <= a < 2^12 that is at most a quotient; returns a. */
static uint32_t leading_bits(uint64_t numerator, uint64_t denominator, int *k)
{
    *k = 0;
    while (numerator < UINT64_C(1) << 50) {
        numerator <<= 1;
        ++*k;
    }
    uint64_t whole = numerator / denominator;
    for (; whole >= 1 << 12; whole >>= 1)
        --*k;
    return (uint32_t)whole;
}

static uint32_t root(uint64_t x)
{
    uint64_t low = 0, high = UINT64_C(1) << 32;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (middle * middle <= x)
            low = middle;
        else
            high = middle;
    }
    return (uint32_t)low;
}

/* Quantises a row to integers within 127 times a power of two, which is returned. */
static int quantise(const int32_t *x, uint32_t count, int16_t *q)
{
    int32_t largest = 1;
    int s = -6;
    for (uint32_t k = 0; k < count; k++) {
        int32_t size = x[k] < 0 ? -x[k] : x[k];
        largest = size > largest ? size : largest;
    }
    /* The least s with largest < 127.5 * 2^s. */
    while ((int64_t)largest * 128 >= INT64_C(255) << (s + 6))
        s++;
    if (s <= 0) {
        for (uint32_t k = 0; k < count; k++)
            q[k] = (int16_t)(x[k] * (1 << -s));
    } else {
        int32_t half = (1 << (s - 1)) - 1;
        for (uint32_t k = 0; k < count; k++)
            q[k] = (int16_t)((x[k] + half + (x[k] >> s & 1)) >> s);
    }
    return s;
}

/* Layer norm of a row of stream values without gain or bias, in fine units. */
static void normalise(const int32_t *x, uint32_t n, int32_t *out)
{
    int64_t sum = 0, twice;
    uint64_t power = UINT64_C(168) * n;
    for (uint32_t k = 0; k < n; k++)
        sum += x[k];
    /* round(sum / n), halves to even */
    int64_t mean = sum / n - (sum % n < 0);
    twice = 2 * (sum - mean * n);
    mean += twice > n || (twice == n && mean & 1);
    for (uint32_t k = 0; k < n; k++) {
        out[k] = (int32_t)(x[k] - mean);
        power += (uint64_t)((int64_t)out[k] * out[k]);
    }
    int cut = 0; /* only the 24 leading bits are kept */
    for (; power >= 1 << 24; cut++)
        power >>= 1;
    /* r = a * 2^-k with a = floor(sqrt(n / P) * 2^k) and 2^11 <= a < 2^12 */
    int shift = 24 + (cut & 1);
    while (((uint64_t)n << shift) / power < UINT64_C(1) << 22)
        shift += 2;
    while (((uint64_t)n << shift) / power >= UINT64_C(1) << 24)
        shift -= 2;
    int64_t a = root(((uint64_t)n << shift) / power);
    int k = (shift + cut) / 2;
    for (uint32_t i = 0; i < n; i++)
        out[i] = (int32_t)rounded(out[i] * a, k - 10);
}

/* Powers of two of a row of scores, in units of 2^-22, and their factor a * 2^-k for a total. */
static uint32_t powers(
    const int32_t *scores, uint32_t n, uint64_t total, uint32_t *mantissa, int8_t *octave, int *k)
{
    int32_t largest = scores[0];
    uint64_t sum = 0;
    for (uint32_t i = 1; i < n; i++)
        largest = scores[i] > largest ? scores[i] : largest;
    for (uint32_t i = 0; i < n; i++) {
        int32_t d = scores[i] - largest;
        d = d < -25 * OCTAVE ? -25 * OCTAVE : d;
        int32_t e = d >> 11;
        octave[i] = (int8_t)(e + 25); /* the weight is mantissa * 2^octave in units of 2^-22 */
        mantissa[i] = (uint32_t)(OCTAVE + (d & (OCTAVE - 1)));
        uint32_t right = (uint32_t)(-3 - e > 0 ? -3 - e : 0), left = (uint32_t)(e + 3 > 0 ? e + 3 : 0);
        uint32_t half = right ? (1u << (right - 1)) - 1 : 0, odd = right ? mantissa[i] >> right & 1 : 0;
        sum += (mantissa[i] + half + odd) >> right << left;
    }
    return leading_bits(total, sum, k);
}

/* ---- a batch of chunks ---- */

typedef struct {
    const transformer *model;
    uint32_t lanes;
    const uint32_t *books; /* of each lane */
    uint32_t *own_books, *frames; /* frames: how many each lane has seen */
    int32_t *state;               /* [lanes, width]: of the present frame */
    uint16_t *codes;              /* [lanes, codebooks]: of the frame before */
    int8_t *past;                 /* [layers, lanes, frames, 2, width]: keys and values */
    int32_t *rows, *other, *sums; /* [lanes, largest] each */
    int16_t *quantised;           /* [lanes, largest] */
    int *steps;                   /* [lanes] */
    int32_t *scores;              /* [frames or codebook size] */
    uint32_t *mantissa;
    int8_t *octave;
} batch;

/* Puts rows [count, inputs] through a linear layer, into rows [count, outputs]. */
static void apply(batch *b, const linear *l, const int32_t *x, uint32_t count, int32_t *out)
{
    for (uint32_t row = 0; row < count; row++)
        b->steps[row] = quantise(x + (size_t)row * l->inputs, l->inputs,
                                 b->quantised + (size_t)row * l->inputs);
    b->model->kernels->integer_product(
        b->quantised, count, l->inputs, l->weight, l->outputs, b->sums);
    for (uint32_t row = 0; row < count; row++) {
        const int32_t *sums = b->sums + (size_t)row * l->outputs;
        int32_t *y = out + (size_t)row * l->outputs;
        int s = b->steps[row];
        if (s + l->largest_exponent < 0) {
            for (uint32_t j = 0; j < l->outputs; j++) {
                int shift = -s - l->exponent[j];
                shift = shift < 30 ? shift : 30; /* sums are below 2^24 */
                int32_t half = (1 << (shift - 1)) - 1;
                y[j] = ((sums[j] + half + (sums[j] >> shift & 1)) >> shift) + l->bias[j];
            }
            continue;
        }
        for (uint32_t j = 0; j < l->outputs; j++)
            y[j] = clamped(rounded(sums[j], -s - l->exponent[j]), 1 << 30) + l->bias[j];
    }
}

static void network(
    batch *b, const linear *expand, const linear *reduce, const int32_t *x, uint32_t count,
    int32_t *out)
{
    const int16_t *table = b->model->gelu + GELU_LIMIT;
    apply(b, expand, x, count, out);
    for (size_t k = 0; k < (size_t)count * expand->outputs; k++)
        out[k] = table[out[k] > GELU_LIMIT - 1 ? GELU_LIMIT - 1
                       : out[k] < -GELU_LIMIT ? -GELU_LIMIT : out[k]];
    apply(b, reduce, out, count, out);
}

static void add_embedding(const transformer *t, const embedding *e, uint32_t code, int32_t *x)
{
    const int8_t *codes = e->codes + (size_t)code * t->rank;
    for (uint32_t j = 0; j < t->width; j++) {
        const int8_t *project = e->project + (size_t)j * t->rank;
        int32_t sum = 0;
        for (uint32_t k = 0; k < t->rank; k++)
            sum += codes[k] * project[k];
        int shift = -(e->codes_exponent[code] + e->exponent[j]);
        x[j] = clamped(x[j] + rounded(sum, shift), 1 << 30);
    }
}

static void clamp_rows(int32_t *x, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++)
        x[k] = clamped(x[k], LIMIT);
}

/* What one lane sees of the frames before: from its queries, keys and values to a row. */
static void attend(batch *b, const layer *l, int8_t *past, uint32_t frame, int32_t *qkv, int32_t *y)
{
    const transformer *t = b->model;
    uint32_t width = t->width, depth = t->depth;
    int8_t *own = past + (size_t)frame * 2 * width;
    for (uint32_t k = 0; k < 2 * width; k++)
        own[k] = (int8_t)clamped(qkv[width + k], PAST_LIMIT);
    for (uint32_t k = 0; k < width; k++)
        qkv[k] = clamped(qkv[k], QUERY_LIMIT);
    for (uint32_t head = 0; head < t->heads; head++) {
        const int32_t *query = qkv + head * depth;
        int factor_shift;
        for (uint32_t u = 0; u <= frame; u++) {
            const int8_t *key = past + (size_t)u * 2 * width + head * depth;
            int32_t sum = 0;
            for (uint32_t d = 0; d < depth; d++)
                sum += query[d] * key[d];
            b->scores[u] = clamped(rounded(sum, -l->exponent[head]), LIMIT);
        }
        uint32_t factor = powers(
            b->scores, frame + 1, 1 << 16, b->mantissa, b->octave, &factor_shift);
        int32_t *out = y + head * depth;
        memset(out, 0, depth * sizeof *out);
        for (uint32_t u = 0; u <= frame; u++) {
            int shift = 22 + factor_shift - b->octave[u];
            int32_t p = (int32_t)rounded((int64_t)b->mantissa[u] * factor, shift);
            const int8_t *value = past + (size_t)u * 2 * width + width + head * depth;
            for (uint32_t d = 0; p && d < depth; d++)
                out[d] += p * value[d];
        }
    }
}

/* Adds rows to those of lanes, which are kept within their limits. */
static void add(int32_t *x, const int32_t *y, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        int32_t sum = x[k] + (y[k] > 1 << 30 ? 1 << 30 : y[k] < -(1 << 30) ? -(1 << 30) : y[k]);
        x[k] = sum > LIMIT ? LIMIT : sum < -LIMIT ? -LIMIT : sum;
    }
}

static void begin_frame(void *opened, const uint32_t *lanes, uint32_t count)
{
    batch *b = opened;
    const transformer *t = b->model;
    uint32_t width = t->width;
    size_t lane_size = (size_t)t->face.frames * 2 * width;
    int32_t *x = b->scores + t->largest + t->face.frames; /* [count, width] */
    for (uint32_t row = 0; row < count; row++) {
        uint32_t lane = lanes[row], frame = b->frames[lane];
        int32_t *now = x + (size_t)row * width;
        for (uint32_t k = 0; k < width; k++)
            now[k] = t->position[(size_t)frame * width + k] +
                     t->count[(size_t)b->books[lane] * width + k];
        for (uint32_t book = 0; frame && book < b->books[lane]; book++)
            add_embedding(t, &t->past[book], b->codes[lane * t->face.codebooks + book], now);
        clamp_rows(now, width);
    }
    for (uint32_t k = 0; k < t->layer_count; k++) {
        const layer *l = &t->layers[k];
        int8_t *past = b->past + k * b->lanes * lane_size;
        for (uint32_t row = 0; row < count; row++)
            normalise(x + (size_t)row * width, width, b->other + (size_t)row * width);
        apply(b, &l->qkv, b->other, count, b->rows);
        for (uint32_t row = 0; row < count; row++)
            attend(b, l, past + lanes[row] * lane_size, b->frames[lanes[row]],
                   b->rows + (size_t)row * 3 * width, b->other + (size_t)row * width);
        apply(b, &l->merge, b->other, count, b->rows);
        add(x, b->rows, (size_t)count * width);
        for (uint32_t row = 0; row < count; row++)
            normalise(x + (size_t)row * width, width, b->other + (size_t)row * width);
        network(b, &l->expand, &l->reduce, b->other, count, b->rows);
        add(x, b->rows, (size_t)count * width);
    }
    for (uint32_t row = 0; row < count; row++) {
        memcpy(b->state + (size_t)lanes[row] * width, x + (size_t)row * width, width * sizeof *x);
        b->frames[lanes[row]]++;
    }
}

/* Frequencies of n scores: each 1 or more, their sum 2^24. */
static void frequencies_of(batch *b, const int32_t *scores, uint32_t n, uint32_t *frequencies)
{
    int k;
    uint32_t first = 0, factor, sum = 0;
    for (uint32_t i = 0; i < n; i++)
        b->scores[i] = clamped(scores[i], LIMIT);
    for (uint32_t i = 1; i < n; i++)
        if (b->scores[i] > b->scores[first])
            first = i;
    factor = powers(b->scores, n, TOTAL - n, b->mantissa, b->octave, &k);
    for (uint32_t i = 0; i < n; i++) {
        int shift = 22 + k - b->octave[i];
        uint32_t product = b->mantissa[i] * factor; /* below 2^24 */
        uint32_t right = (uint32_t)(shift > 0 ? shift < 31 ? shift : 31 : 0);
        uint32_t left = (uint32_t)(shift < 0 ? -shift : 0);
        frequencies[i] = (product >> right << left) + 1;
        sum += frequencies[i];
    }
    frequencies[first] += TOTAL - sum;
}

static void rows(
    void *opened, uint32_t book, const uint32_t *lanes, uint32_t count, uint32_t *frequencies)
{
    batch *b = opened;
    const transformer *t = b->model;
    uint32_t size = t->face.codebook_size;
    for (uint32_t row = 0; row < count; row++)
        normalise(b->state + (size_t)lanes[row] * t->width, t->width,
                  b->other + (size_t)row * t->width);
    network(b, &t->head_expand[book], &t->head_reduce[book], b->other, count, b->rows);
    for (uint32_t row = 0; row < count; row++)
        frequencies_of(b, b->rows + (size_t)row * size, size, frequencies + (size_t)row * size);
}

static void given(void *opened, uint32_t book, uint32_t lane, uint32_t code)
{
    batch *b = opened;
    const transformer *t = b->model;
    b->codes[lane * t->face.codebooks + book] = (uint16_t)code;
    if (book + 1 == b->books[lane])
        return;
    int32_t *state = b->state + (size_t)lane * t->width;
    add_embedding(t, &t->present[book], code, state);
    clamp_rows(state, t->width);
}

static void stop(void *opened)
{
    batch *b = opened;
    if (!b)
        return;
    free(b->own_books);
    free(b->state);
    free(b->codes);
    free(b->past);
    free(b->rows);
    free(b->quantised);
    free(b->steps);
    free(b->scores);
    free(b->mantissa);
    free(b->octave);
    free(b);
}

static void *start(const frequency_model *model, uint32_t lanes, const uint32_t *books)
{
    const transformer *t = (const transformer *)(const void *)model;
    batch *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    size_t row = (size_t)lanes * t->largest;
    b->model = t;
    b->lanes = lanes;
    b->own_books = calloc(2 * (size_t)lanes, sizeof *b->own_books);
    b->state = malloc((size_t)lanes * t->width * sizeof *b->state);
    b->codes = calloc((size_t)lanes * t->face.codebooks, sizeof *b->codes);
    b->past = malloc((size_t)t->layer_count * lanes * t->face.frames * 2 * t->width);
    b->rows = malloc(3 * row * sizeof *b->rows);
    b->quantised = malloc(row * sizeof *b->quantised);
    b->steps = malloc(lanes * sizeof *b->steps);
    b->scores = malloc(
        (t->largest + t->face.frames + (size_t)lanes * t->width) * sizeof *b->scores);
    b->mantissa = malloc((t->largest + (size_t)t->face.frames) * sizeof *b->mantissa);
    b->octave = malloc(t->largest + (size_t)t->face.frames);
    if (!b->own_books || !b->state || !b->codes || !b->past || !b->rows || !b->quantised ||
        !b->steps || !b->scores || !b->mantissa || !b->octave) {
        stop(b);
        return NULL;
    }
    b->other = b->rows + row;
    b->sums = b->other + row;
    b->frames = b->own_books + lanes;
    memcpy(b->own_books, books, lanes * sizeof *books);
    b->books = b->own_books;
    return b;
}

frequency_model *ncf_transformer_load(const weights *file)
{
    transformer *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->kernels = ncf_kernels();
    t->face.start = start;
    t->face.frame = begin_frame;
    t->face.rows = rows;
    t->face.given = given;
    t->face.stop = stop;
    if (!load_parts(file, t)) {
        ncf_transformer_free(&t->face);
        return NULL;
    }
    fill_gelu(t->gelu);
    return &t->face;
}

void ncf_transformer_free(frequency_model *model)
{
    transformer *t = (transformer *)(void *)model;
    if (!t)
        return;
    for (uint32_t k = 0; t->layers && k < t->layer_count; k++) {
        free(t->layers[k].qkv.bias);
        free(t->layers[k].merge.bias);
        free(t->layers[k].expand.bias);
        free(t->layers[k].reduce.bias);
    }
    for (uint32_t k = 0; t->head_expand && t->head_reduce && k < t->face.codebooks; k++) {
        free(t->head_expand[k].bias);
        free(t->head_reduce[k].bias);
    }
    free(t->layers);
    free(t->head_expand);
    free(t->head_reduce);
    free(t->past);
    free(t->present);
    free(t->position);
    free(t->count);
    free(t);
}
