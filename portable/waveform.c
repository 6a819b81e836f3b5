/* The waveform layer of a chunk: integers for all coefficients of a lapped transform, to integers and
 * to what they change of the sound of the codes. See "Waveform layer" in formats/NCF.md. */
#include "internal.h"

#include <math.h>

enum {
    DECISIONS = 7, /* sizes up to this have symbols of their own */
    SYMBOLS = 2 * DECISIONS + 1,
    CLASSES = 24,
    PLACES = 4,
    CONTEXTS = PLACES * 2 * CLASSES,
    LARGEST = 15, /* magnitudes count as this much at most among what others are foreseen from */
    MARGIN = 4,   /* zeros on either side of a row */
    MAX_BLOCKS = 4096,
    MAX_BANDS = 256
};
static const double PI = 3.14159265358979323846;

/* Shares of 256 of the larger sizes, [CONTEXTS][DECISIONS]. */
static const uint8_t shares[CONTEXTS * DECISIONS] = {
    10, 69, 118, 150, 165, 173, 186, 10, 23, 114, 148, 162, 172, 185, 10, 22, 113, 145, 162, 165, 185,
    12, 29, 69, 83, 65, 117, 144, 11, 31, 97, 86, 134, 187, 150, 11, 35, 62, 77, 122, 155, 149,
    14, 26, 65, 90, 135, 123, 132, 16, 33, 72, 106, 146, 157, 114, 19, 33, 60, 91, 109, 152, 153,
    23, 33, 75, 84, 111, 129, 120, 28, 37, 74, 117, 129, 135, 164, 33, 41, 69, 83, 115, 141, 151,
    41, 43, 71, 104, 118, 119, 146, 53, 48, 77, 110, 119, 126, 151, 66, 56, 81, 100, 128, 136, 128,
    83, 68, 84, 106, 119, 138, 147, 102, 82, 97, 109, 126, 132, 149, 122, 102, 108, 121, 133, 139, 145,
    144, 124, 128, 131, 140, 148, 153, 165, 146, 151, 153, 155, 157, 158, 185, 167, 170, 171, 175, 175, 177,
    202, 189, 193, 191, 189, 193, 191, 220, 209, 209, 211, 207, 212, 209, 235, 227, 229, 230, 229, 233, 230,
    4, 30, 78, 96, 132, 141, 183, 9, 18, 64, 109, 99, 136, 162, 8, 27, 67, 80, 130, 143, 177,
    9, 23, 39, 83, 110, 128, 171, 8, 20, 44, 90, 110, 188, 216, 12, 22, 71, 121, 104, 110, 225,
    12, 25, 70, 73, 66, 138, 116, 14, 23, 60, 83, 101, 93, 114, 18, 33, 68, 110, 115, 144, 77,
    21, 26, 66, 89, 110, 117, 131, 27, 31, 71, 104, 126, 123, 133, 32, 32, 59, 93, 130, 147, 137,
    42, 38, 69, 100, 134, 133, 152, 52, 38, 64, 85, 123, 135, 159, 66, 47, 69, 93, 110, 116, 149,
    86, 61, 74, 98, 120, 124, 135, 107, 78, 85, 100, 121, 131, 150, 127, 99, 103, 110, 120, 143, 147,
    150, 125, 122, 126, 129, 139, 148, 170, 149, 147, 148, 152, 155, 159, 191, 173, 168, 170, 169, 172, 167,
    207, 191, 191, 190, 191, 189, 190, 217, 210, 206, 211, 206, 205, 207, 234, 227, 229, 227, 227, 230, 228,
    4, 41, 99, 140, 162, 174, 191, 10, 15, 93, 135, 161, 171, 188, 9, 22, 87, 122, 162, 160, 188,
    10, 19, 97, 67, 149, 56, 146, 7, 26, 64, 56, 89, 159, 156, 9, 24, 67, 103, 139, 176, 169,
    11, 19, 58, 105, 92, 163, 188, 13, 26, 61, 121, 121, 114, 111, 16, 23, 54, 94, 120, 111, 144,
    18, 31, 55, 98, 118, 142, 149, 24, 31, 71, 77, 126, 129, 167, 28, 32, 63, 90, 122, 123, 162,
    34, 35, 66, 87, 131, 133, 139, 46, 39, 62, 97, 112, 125, 150, 58, 47, 73, 98, 124, 143, 155,
    74, 62, 72, 110, 127, 149, 139, 92, 86, 86, 95, 135, 131, 126, 114, 104, 103, 104, 123, 135, 173,
    136, 125, 132, 129, 130, 137, 148, 156, 147, 157, 151, 146, 147, 150, 178, 169, 172, 179, 173, 168, 174,
    201, 193, 191, 196, 202, 201, 184, 222, 210, 217, 216, 215, 215, 220, 234, 237, 236, 237, 239, 231, 239,
    3, 25, 65, 89, 112, 153, 169, 6, 21, 64, 124, 120, 117, 106, 8, 17, 58, 94, 132, 114, 154,
    8, 17, 55, 82, 173, 60, 107, 7, 20, 47, 75, 65, 100, 128, 10, 19, 50, 84, 162, 74, 82,
    10, 16, 58, 89, 83, 81, 135, 12, 21, 48, 65, 157, 56, 135, 15, 25, 66, 87, 118, 119, 140,
    19, 21, 56, 86, 120, 53, 117, 23, 28, 65, 113, 116, 134, 92, 27, 26, 51, 63, 97, 137, 136,
    37, 33, 55, 98, 114, 136, 153, 46, 35, 58, 89, 106, 156, 157, 59, 41, 61, 85, 105, 125, 136,
    79, 58, 67, 91, 101, 156, 124, 99, 78, 86, 98, 109, 112, 123, 121, 99, 102, 106, 122, 130, 132,
    143, 125, 127, 128, 128, 132, 146, 166, 148, 157, 154, 153, 155, 150, 185, 174, 181, 179, 181, 180, 176,
    201, 195, 192, 198, 207, 202, 202, 214, 204, 212, 216, 211, 220, 217, 236, 232, 231, 233, 234, 227, 226,
    3, 30, 83, 123, 171, 188, 187, 8, 13, 80, 118, 169, 181, 181, 7, 16, 72, 115, 171, 159, 181,
    7, 16, 63, 79, 168, 59, 116, 7, 18, 50, 47, 140, 156, 121, 7, 16, 49, 94, 125, 181, 83,
    9, 19, 68, 55, 117, 165, 80, 12, 24, 57, 101, 114, 130, 107, 15, 19, 82, 69, 115, 150, 130,
    17, 23, 69, 81, 115, 145, 129, 22, 29, 64, 90, 113, 128, 158, 24, 29, 59, 84, 138, 120, 198,
    31, 31, 73, 95, 143, 154, 171, 42, 34, 60, 100, 121, 134, 178, 54, 41, 71, 111, 137, 148, 159,
    70, 57, 61, 87, 105, 136, 143, 88, 76, 79, 100, 140, 122, 160, 106, 95, 94, 106, 105, 130, 150,
    137, 127, 125, 115, 113, 125, 154, 158, 153, 151, 142, 130, 136, 175, 176, 186, 180, 176, 174, 170, 148,
    202, 207, 205, 195, 194, 196, 178, 228, 229, 230, 221, 224, 216, 221, 238, 241, 243, 239, 238, 235, 233,
    2, 18, 53, 78, 111, 88, 186, 6, 22, 58, 127, 104, 104, 72, 7, 24, 45, 82, 118, 88, 137,
    8, 11, 50, 72, 117, 112, 107, 6, 19, 50, 112, 120, 102, 82, 9, 15, 47, 85, 82, 114, 136,
    8, 22, 44, 89, 100, 164, 165, 11, 21, 58, 81, 114, 120, 76, 14, 23, 59, 95, 100, 132, 100,
    18, 20, 55, 75, 88, 89, 119, 21, 23, 51, 81, 147, 130, 143, 24, 25, 46, 95, 128, 101, 133,
    34, 27, 56, 82, 138, 117, 145, 43, 28, 57, 84, 130, 119, 159, 55, 39, 52, 91, 118, 128, 156,
    75, 56, 70, 87, 117, 144, 157, 96, 73, 77, 82, 103, 140, 151, 116, 104, 108, 103, 119, 119, 153,
    138, 122, 126, 127, 139, 141, 133, 161, 153, 157, 149, 156, 142, 163, 183, 176, 178, 177, 186, 177, 175,
    196, 184, 194, 206, 207, 205, 204, 209, 202, 209, 221, 218, 229, 215, 242, 241, 238, 236, 246, 239, 241,
    2, 35, 80, 124, 160, 175, 203, 6, 12, 77, 123, 155, 171, 197, 5, 17, 79, 122, 139, 157, 196,
    6, 23, 79, 65, 89, 128, 119, 5, 20, 53, 103, 158, 166, 128, 6, 25, 59, 96, 140, 206, 116,
    8, 15, 52, 83, 124, 118, 150, 11, 25, 71, 102, 122, 151, 164, 11, 23, 56, 77, 107, 133, 176,
    15, 29, 52, 85, 102, 125, 104, 16, 29, 69, 96, 108, 137, 174, 21, 34, 72, 96, 93, 154, 188,
    28, 38, 71, 86, 127, 155, 191, 39, 35, 69, 90, 122, 136, 164, 50, 45, 71, 93, 129, 135, 164,
    65, 56, 77, 101, 146, 119, 168, 82, 80, 79, 102, 126, 126, 162, 104, 99, 104, 111, 127, 135, 147,
    126, 131, 138, 137, 134, 145, 159, 149, 143, 160, 152, 147, 162, 165, 171, 174, 179, 179, 172, 182, 177,
    208, 206, 213, 200, 210, 203, 201, 224, 221, 228, 228, 228, 229, 221, 226, 233, 229, 236, 233, 230, 236,
    2, 21, 47, 79, 105, 166, 141, 4, 12, 45, 82, 104, 155, 123, 5, 19, 45, 83, 132, 181, 173,
    5, 17, 25, 65, 128, 118, 140, 5, 21, 46, 68, 97, 85, 137, 7, 17, 29, 72, 93, 113, 144,
    6, 20, 47, 116, 93, 125, 82, 8, 16, 46, 85, 128, 157, 160, 14, 24, 61, 112, 92, 124, 117,
    14, 20, 48, 101, 114, 158, 90, 19, 29, 54, 87, 107, 115, 157, 21, 27, 52, 78, 101, 156, 136,
    32, 30, 57, 77, 119, 161, 182, 41, 34, 55, 93, 109, 150, 137, 54, 43, 58, 96, 92, 137, 148,
    77, 58, 77, 88, 113, 141, 140, 94, 79, 85, 99, 104, 159, 151, 114, 102, 103, 111, 117, 155, 170,
    132, 128, 126, 125, 130, 151, 153, 155, 153, 149, 156, 162, 163, 169, 182, 174, 182, 186, 192, 192, 200,
    192, 195, 210, 211, 208, 200, 212, 211, 215, 215, 219, 218, 224, 228, 234, 226, 225, 233, 220, 222, 228,
};

typedef struct {
    int present;
    uint32_t gain, top, fill_low, fill_high, prediction, above;
    uint8_t *split;  /* [blocks]: 0, 1 or 2, for 1, 4 or 16 parts */
    int32_t *values; /* [blocks, 16 * top] */
} stream_waveform;

struct waveform {
    int last;
    uint32_t blocks, streams;
    stream_waveform *stream;
};

/* ---- the grid ---- */

uint32_t ncf_waveform_block(const ncf_info *info)
{
    uint64_t stride = info->chunk_stride, rate = info->sample_rate, best = 0, least = UINT64_MAX;
    for (uint64_t n = 1; n <= MAX_BLOCKS && 16 * n <= stride; n++) {
        uint64_t away = n * rate > 25 * stride ? n * rate - 25 * stride : 25 * stride - n * rate;
        if (stride % (16 * n) == 0 && away < least) {
            least = away;
            best = n;
        }
    }
    return best && 5 * stride <= best * rate ? (uint32_t)(stride / best) : 0;
}

int ncf_waveform_is_last(const waveform *w)
{
    return w->last;
}

/* ---- integers ---- */

static uint32_t even(range_decoder *d, int bits)
{
    uint32_t width = TOTAL >> bits, value = bits ? ncf_range_target(d) / width : 0;
    if (bits)
        ncf_range_take(d, value * width, width);
    return value;
}

/* What the decoder of a stream remembers. */
typedef struct {
    uint32_t count;      /* integers of a row */
    uint32_t sum_weight;
    int32_t *memory;     /* of all below */
    int32_t *own, *row, *before, *sum, *mean; /* [count + 2 * MARGIN], from MARGIN on */
    uint16_t *base;      /* [count]: first context of each integer's place */
    uint32_t frequencies[CONTEXTS][SYMBOLS];
    int32_t ends[CLASSES - 1];
} past;

static void make_frequencies(past *p)
{
    for (uint32_t k = 0; k < CONTEXTS; k++) {
        uint32_t rest = TOTAL;
        for (uint32_t d = 0; d <= DECISIONS; d++) {
            uint32_t least = 4 * (DECISIONS - d), more = 0, frequency;
            if (d < DECISIONS) {
                more = (uint32_t)((uint64_t)rest * shares[DECISIONS * k + d] >> 8);
                more = more > least ? more : least;
                more = more < rest - 4 ? more : rest - 4;
            }
            frequency = rest - more;
            rest = more;
            if (d == 0) {
                p->frequencies[k][0] = frequency;
                continue;
            }
            p->frequencies[k][2 * d - 1] = frequency / 2;
            p->frequencies[k][2 * d] = frequency - frequency / 2;
        }
    }
    p->ends[0] = 16;
    for (int k = 1; k < CLASSES - 1; k++)
        p->ends[k] = p->ends[k - 1] + p->ends[k - 1] * 3 / 8 + 1;
}

static int past_begin(past *p, const ncf_info *info, uint32_t block, uint32_t count)
{
    size_t width = (size_t)count + 2 * MARGIN;
    free(p->memory);
    free(p->base);
    p->count = count;
    p->sum_weight = 0;
    p->memory = calloc(5 * width, sizeof *p->memory);
    p->base = malloc((count + 1) * sizeof *p->base);
    if (!p->memory || !p->base)
        return 0;
    p->own = p->memory + MARGIN;
    p->row = p->own + width;
    p->before = p->row + width;
    p->sum = p->before + width;
    p->mean = p->sum + width;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t place = (uint64_t)i * info->sample_rate / (2 * (uint64_t)block) / 1800;
        place = place < PLACES - 1 ? place : PLACES - 1;
        p->base[i] = (uint16_t)((2 * place + i % 2) * CLASSES);
    }
    return 1;
}

static uint32_t context_of(const past *p, int32_t i)
{
    const int32_t *a = p->row + i, *b = p->before + i, *c = p->mean + i, *m = p->own + i;
    int32_t expected;
    uint32_t class = 0;
    if (i % 2 == 0)
        expected = 16 * (30 * a[0] + 31 * (a[-1] + a[1]) + 7 * (a[-2] + a[2]) +
                         8 * (a[-3] + a[3] + a[-4] + a[4]) + 7 * b[0] + 4 * (b[-1] + b[1])) +
                   53 * c[0] + 13 * (c[-1] + c[1]) + c[-2] + c[2];
    else
        expected = 16 * (24 * a[0] + 10 * (a[-1] + a[1]) + 4 * (a[-2] + a[2]) + 7 * b[0] +
                         2 * (b[-1] + b[1]) + 48 * (m[-1] + m[1]) + 12 * (m[-3] + m[3])) +
                   47 * c[0] + 8 * (c[-1] + c[1]);
    while (class < CLASSES - 1 && p->ends[class] <= expected)
        class++;
    return p->base[i] + class;
}

/* Half of a row: its integers with even (0) or odd (1) numbers. Returns 0 where they are none. */
static int decode_half(range_decoder *d, past *p, int parity, int32_t *values)
{
    for (int32_t i = parity; i < (int32_t)p->count; i += 2) {
        const uint32_t *frequencies = p->frequencies[context_of(p, i)];
        uint32_t target = ncf_range_target(d), left = 0, symbol = 0;
        while (symbol < SYMBOLS - 1 && left + frequencies[symbol] <= target)
            left += frequencies[symbol++];
        ncf_range_take(d, left, frequencies[symbol]);
        values[i] = symbol % 2 ? (int32_t)(symbol + 1) / 2 : -(int32_t)(symbol / 2);
    }
    for (int32_t i = parity; i < (int32_t)p->count; i += 2) {
        int32_t size = values[i] < 0 ? -values[i] : values[i];
        if (size == DECISIONS) {
            int bits = (int)even(d, 4);
            size += (1 << bits) - 1 + (int32_t)even(d, bits);
            values[i] = values[i] < 0 ? -size : size;
        }
        p->own[i] = size < LARGEST ? size : LARGEST;
    }
    return !ncf_range_lost(d);
}

static void end_row(past *p)
{
    int32_t *turned = p->before;
    p->before = p->row;
    p->row = p->own;
    p->own = turned;
    p->sum_weight += 64 - p->sum_weight / 8;
    for (uint32_t i = 0; i < p->count; i++) {
        p->own[i] = 0;
        p->sum[i] += 64 * p->row[i] - p->sum[i] / 8;
        p->mean[i] = 16 * p->sum[i] / (int32_t)p->sum_weight;
    }
}

/* One stream: 1, 0 where it is none, -1 without memory. */
static int decode_stream(
    range_decoder *d, const ncf_info *info, past *p, uint32_t block, uint32_t blocks,
    stream_waveform *s)
{
    s->gain = even(d, 10);
    s->top = even(d, 16);
    s->fill_low = even(d, 4);
    s->fill_high = even(d, 4);
    s->prediction = even(d, 4);
    s->above = even(d, 4);
    if (s->top < 1 || s->top > block / 16 || ncf_range_lost(d))
        return 0;
    uint32_t count = 16 * s->top;
    s->split = malloc(blocks);
    s->values = malloc((size_t)blocks * count * sizeof *s->values);
    if (!s->split || !s->values || !past_begin(p, info, block, count))
        return -1;
    for (uint32_t k = 0; k < blocks; k++) {
        s->split[k] = (uint8_t)even(d, 1);
        if (s->split[k] && k > 0 && k + 1 < blocks)
            s->split[k] = (uint8_t)(1 + even(d, 1));
    }
    for (uint32_t k = 0; k < blocks; k++) {
        int32_t *row = s->values + (size_t)k * count;
        if (!decode_half(d, p, 0, row) || !decode_half(d, p, 1, row))
            return 0;
        end_row(p);
    }
    return 1;
}

/* Rows that a layer may have beside one for each of its bytes. */
#define FREE_ROWS 8

int ncf_waveform_decode(
    const ncf_info *info, uint32_t frames, const uint8_t *bytes, size_t count, waveform **decoded)
{
    range_decoder d;
    uint32_t block = ncf_waveform_block(info);
    waveform *w = calloc(1, sizeof *w);
    past *p = calloc(1, sizeof *p);
    int good = w && p ? 1 : -1;
    if (good > 0) {
        w->streams = info->streams;
        w->stream = calloc(w->streams, sizeof *w->stream);
        good = w->stream ? 1 : -1;
        make_frequencies(p);
    }
    if (good > 0) {
        ncf_range_start(&d, bytes, count);
        w->last = (int)even(&d, 1);
        good = frames == info->chunk_frames || w->last;
        w->blocks = w->last ? (uint32_t)(((uint64_t)frames * info->hop + block - 1) / block)
                            : info->chunk_stride / block;
    }
    uint64_t rows = 0;
    for (uint32_t k = 0; good > 0 && k < w->streams; k++) {
        w->stream[k].present = (int)even(&d, 1);
        if (!w->stream[k].present)
            continue;
        rows += w->blocks;
        good = rows <= FREE_ROWS + (uint64_t)count;
        if (good > 0)
            good = decode_stream(&d, info, p, block, w->blocks, &w->stream[k]);
    }
    if (good > 0 && !ncf_range_is_whole(&d))
        good = 0;
    if (p) {
        free(p->memory);
        free(p->base);
    }
    free(p);
    if (good < 1) {
        ncf_waveform_free(w);
        w = NULL;
    }
    *decoded = w;
    return good;
}

void ncf_waveform_free(waveform *w)
{
    if (!w)
        return;
    for (uint32_t k = 0; w->stream && k < w->streams; k++) {
        free(w->stream[k].split);
        free(w->stream[k].values);
    }
    free(w->stream);
    free(w);
}

void ncf_waveform_numbers(const waveform *w, void (*take)(void *, int64_t), void *context)
{
    take(context, w->last);
    for (uint32_t k = 0; k < w->streams; k++) {
        const stream_waveform *s = &w->stream[k];
        take(context, s->present);
        if (!s->present)
            continue;
        const uint32_t numbers[6] = {
            s->gain, s->top, s->fill_low, s->fill_high, s->prediction, s->above};
        for (int i = 0; i < 6; i++)
            take(context, numbers[i]);
        for (uint32_t i = 0; i < w->blocks; i++)
            take(context, s->split[i]);
        for (size_t i = 0; i < (size_t)w->blocks * 16 * s->top; i++)
            take(context, s->values[i]);
    }
}

/* ---- the transform ---- */

struct waveform_tools {
    uint32_t block, rate;
    cosines *cosines[3]; /* of blocks of 1, 4 and 16 parts */
    float *room;         /* for two rows and the Fourier transforms' own use */
};

waveform_tools *ncf_waveform_tools_new(const ncf_info *info)
{
    waveform_tools *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->block = ncf_waveform_block(info);
    t->rate = info->sample_rate;
    t->room = malloc(8 * ((size_t)t->block + 16) * sizeof *t->room);
    int good = t->room != NULL;
    for (int kind = 0; kind < 3; kind++) {
        t->cosines[kind] = ncf_cosines_new(t->block >> 2 * kind);
        good &= t->cosines[kind] != NULL;
    }
    if (!good) {
        ncf_waveform_tools_free(t);
        return NULL;
    }
    return t;
}

void ncf_waveform_tools_free(waveform_tools *t)
{
    if (!t)
        return;
    for (int kind = 0; kind < 3; kind++)
        ncf_cosines_free(t->cosines[kind]);
    free(t->room);
    free(t);
}

/* Turns samples on either side of `at` into each other. */
static void turn(float *at, uint32_t slope, int backwards)
{
    slope -= slope % 2;
    for (uint32_t j = 0; j < slope / 2; j++) {
        double angle = PI / (2.0 * slope) * (slope / 2 + j + 0.5);
        float much = (float)sin(angle), little = (float)cos(angle);
        float after = at[j], *before = at - 1 - j;
        little = backwards ? -little : little;
        at[j] = much * after + little * *before;
        *before = much * *before - little * after;
    }
}

/* Makes all turns of a span, `start` being where its blocks begin. */
static void turn_all(
    const waveform_tools *t, const uint8_t *split, uint32_t blocks, const int opened[2],
    int backwards, float *start)
{
    for (uint32_t k = 0; k <= blocks; k++) {
        uint32_t own = k < blocks ? t->block >> 2 * split[k] : 0, slope;
        float *at = start + (size_t)k * t->block;
        if (k == 0 || k == blocks) {
            slope = opened[k > 0] ? t->block / 4 : 0;
        } else {
            uint32_t last = t->block >> 2 * split[k - 1];
            slope = last < own ? last : own;
        }
        turn(at, slope, backwards);
        for (uint32_t inner = own; own && inner < t->block; inner += own)
            turn(at + inner, own, backwards);
    }
}

/* Transforms a block into its row, or back: the parts of a block are side by side in time, and take
 * turns in a row. */
static void transform(const waveform_tools *t, int kind, const float *block, float *row)
{
    uint32_t parts = 1u << 2 * kind, size = t->block / parts;
    float *part = t->room, *work = t->room + size;
    for (uint32_t j = 0; j < parts; j++) {
        memcpy(part, block + (size_t)j * size, size * sizeof *part);
        ncf_cosines(t->cosines[kind], part, work);
        for (uint32_t k = 0; k < size; k++)
            row[(size_t)k * parts + j] = part[k];
    }
}

static void transform_back(const waveform_tools *t, int kind, const float *row, float *block)
{
    uint32_t parts = 1u << 2 * kind, size = t->block / parts;
    for (uint32_t j = 0; j < parts; j++) {
        float *part = block + (size_t)j * size;
        for (uint32_t k = 0; k < size; k++)
            part[k] = row[(size_t)k * parts + j];
        ncf_cosines(t->cosines[kind], part, t->room);
    }
}

/* ---- steps ---- */

/* Fills energies [16 * top] of a row, in its bands and halves of time, spread to bands beside. */
static void energies_of(const float *row, int kind, uint32_t top, float *energies)
{
    uint32_t grain = kind == 2 ? 16 : 4, halves = kind ? 2 : 1, one = grain / halves;
    uint32_t count = 16 * top / grain, least = kind == 2 ? 1 : 2, bands = 0;
    uint32_t edges[MAX_BANDS + 1] = {0};
    float means[MAX_BANDS];
    while (edges[bands] < count && bands < MAX_BANDS) {
        uint32_t edge = edges[bands], step = edge * 12 / 100 > least ? edge * 12 / 100 : least;
        edges[++bands] = edge + step < count ? edge + step : count;
    }
    for (uint32_t half = 0; half < halves; half++) {
        for (uint32_t band = 0; band < bands; band++) {
            float sum = 0;
            for (uint32_t i = edges[band]; i < edges[band + 1]; i++)
                for (uint32_t k = i * grain + half * one; k < i * grain + (half + 1) * one; k++)
                    sum += row[k] * row[k];
            means[band] = sum * ((float)halves / (float)grain) /
                          (float)(edges[band + 1] - edges[band]);
            if (band && means[band] < means[band - 1] * 0.16f)
                means[band] = means[band - 1] * 0.16f;
        }
        for (uint32_t band = bands - 1; band-- > 0;)
            if (means[band] < means[band + 1] * 0.01f)
                means[band] = means[band + 1] * 0.01f;
        for (uint32_t band = 0; band < bands; band++)
            for (uint32_t i = edges[band]; i < edges[band + 1]; i++)
                for (uint32_t k = i * grain + half * one; k < i * grain + (half + 1) * one; k++)
                    energies[k] = means[band];
    }
}

/* Turns a row of the codes' coefficients [block] into what the layer changes of them. */
static void change(
    const waveform_tools *t, const stream_waveform *s, const int32_t *values, int kind, float *row)
{
    float *energies = t->room;
    float gain = (float)pow(2.0, ((double)s->gain - 512) / 16);
    float prediction = (float)s->prediction / 15, above = (float)s->above / 15 - 1;
    uint32_t width = 16 * s->top;
    uint32_t predicted = (uint32_t)(4 * (800 * (uint64_t)t->block / (2 * (uint64_t)t->rate)));
    uint32_t low = (uint32_t)(4 * (2500 * (uint64_t)t->block / (2 * (uint64_t)t->rate)));
    float tilt = 1;
    energies_of(row, kind, s->top, energies);
    for (uint32_t i = 0; i < width; i++) {
        if (i % 4 == 0) {
            double hertz = (i / 4 + 0.5) * (2.0 * t->rate / t->block);
            tilt = (float)pow((hertz > 300 ? hertz : 300) / 1000, 0.2);
        }
        float energy = energies[i] > 1e-10f ? energies[i] : 1e-10f, own = row[i], now;
        float step = sqrtf(sqrtf(energy)) * tilt * gain;
        if (i < predicted) {
            now = (float)values[i] * step + own * prediction;
        } else if (values[i]) {
            now = (float)values[i] * step;
        } else {
            now = own > step / 2 ? step / 2 : own < -step / 2 ? -step / 2 : own;
            now *= (float)(i < low ? s->fill_low : s->fill_high) / 15;
        }
        row[i] = now - own;
    }
    for (uint32_t i = width; i < t->block; i++)
        row[i] *= above;
}

uint32_t ncf_waveform_blocks(const waveform *w)
{
    return w->blocks;
}

void ncf_waveform_change(
    const waveform_tools *t, const waveform *w, uint32_t stream, const int opened[2], float *span)
{
    const stream_waveform *s = &w->stream[stream];
    float *start = span + t->block / 8, *row = t->room + 4 * ((size_t)t->block + 16);
    if (!s->present) {
        memset(span, 0, ((size_t)w->blocks * t->block + t->block / 4) * sizeof *span);
        return;
    }
    turn_all(t, s->split, w->blocks, opened, 0, start);
    for (uint32_t k = 0; k < w->blocks; k++) {
        float *block = start + (size_t)k * t->block;
        transform(t, s->split[k], block, row);
        change(t, s, s->values + (size_t)k * 16 * s->top, s->split[k], row);
        transform_back(t, s->split[k], row, block);
    }
    memset(span, 0, t->block / 8 * sizeof *span);
    memset(start + (size_t)w->blocks * t->block, 0, t->block / 8 * sizeof *span);
    turn_all(t, s->split, w->blocks, opened, 1, start);
}
