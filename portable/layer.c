/* The layer of a chunk: a few coefficients of a lapped transform, to integers and to sound. See
 * "Layer" in formats/NCF.md. Other kinds of layers get files of their own. */
#include "internal.h"

#include <math.h>

enum { BAND = 16, MAX_BANDS = 1024, SIZES = 3, BITS = 16, CLASSES = 8 };
static const double PI = 3.14159265358979323846;

uint32_t ncf_layer_width(const ncf_info *info, uint32_t frames)
{
    return info->chunk_stride + info->overlap - (info->chunk_frames - frames) * info->hop;
}

/* How many coefficients a transform has. */
uint32_t ncf_layer_length(const ncf_info *info, uint32_t size)
{
    uint32_t most = info->sample_rate / 40 > 256 ? info->sample_rate / 40 : 256, longest = 256;
    while (2 * longest <= most)
        longest *= 2;
    return longest >> 2 * size;
}

/* ---- questions ---- */

typedef struct {
    uint8_t no, yes;
} context;

static int answer(range_decoder *d, uint32_t yes)
{
    uint64_t scale = d->span >> TOTAL_BITS;
    if (d->offset < scale * (TOTAL - yes)) {
        ncf_range_take(d, 0, TOTAL - yes);
        return 0;
    }
    if (d->offset >= scale << TOTAL_BITS) { /* a remainder in which no encoder ends */
        d->lost = 1;
        d->offset = (scale << TOTAL_BITS) - 1;
    }
    ncf_range_take(d, TOTAL - yes, yes);
    return 1;
}

static int ask(range_decoder *d, context *c)
{
    int yes = answer(d, TOTAL * c->yes / (c->no + c->yes));
    uint32_t no_count = c->no + (yes ? 0u : 2u), yes_count = c->yes + (yes ? 2u : 0u);
    if (no_count + yes_count > 128) {
        no_count = (no_count + 1) / 2;
        yes_count = (yes_count + 1) / 2;
    }
    c->no = (uint8_t)no_count;
    c->yes = (uint8_t)yes_count;
    return yes;
}

static uint32_t even(range_decoder *d, int bits)
{
    uint32_t value = 0;
    while (bits-- > 0)
        value = value << 1 | (uint32_t)answer(d, TOTAL / 2);
    return value;
}

/* ---- coefficients ---- */

typedef struct {
    context any[2], band[4], size[CLASSES][BITS], half[BITS + 1];
} contexts;

/* Sizes of the coefficients of two transforms, with two zeros on either side, and which bands have
 * anything. */
typedef struct {
    uint32_t *now, *before;
    uint8_t *bands, *bands_before;
} rows;

static int note(stream_layer *stream, uint32_t place, int32_t value)
{
    if (stream->count == stream->room) {
        uint32_t room = stream->room ? 2 * stream->room : 64;
        uint32_t *places = realloc(stream->places, room * sizeof *places);
        if (places)
            stream->places = places;
        int32_t *values = realloc(stream->values, room * sizeof *values);
        if (values)
            stream->values = values;
        if (!places || !values)
            return -1;
        stream->room = room;
    }
    stream->places[stream->count] = place;
    stream->values[stream->count++] = value;
    return 1;
}

/* A coefficient other than 0, whose class has asked whether it is one. */
static int32_t coefficient(range_decoder *d, context *sizes, context *half)
{
    int bits = 1;
    while (bits < BITS && ask(d, &sizes[bits]))
        bits++;
    uint32_t value = 1;
    if (bits > 1)
        value = 2 + (uint32_t)ask(d, &half[bits]);
    if (bits > 2)
        value = value << (bits - 2) | even(d, bits - 2);
    return even(d, 1) ? -(int32_t)value : (int32_t)value;
}

/* The bands of one transform that have anything: how many, at most `left`; 0 where that is wrong. */
static uint32_t decode_bands(range_decoder *d, contexts *c, rows *r, uint32_t bands, uint32_t left)
{
    uint32_t some = 0;
    int last = 0;
    for (uint32_t band = 0; band < bands; band++) {
        last = ask(d, &c->band[2 * last + r->bands_before[band]]);
        r->bands[band] = (uint8_t)last;
        some += (uint32_t)last;
    }
    return some <= left ? some : 0;
}

/* All coefficients of a band: 1, 0 where it has none although it is said to have, or -1. */
static int decode_band(
    range_decoder *d, contexts *c, rows *r, uint32_t first, uint32_t place, stream_layer *stream)
{
    int some = 0;
    for (uint32_t k = first; k < first + BAND; k++) {
        const uint32_t *now = r->now + 2 + k, *before = r->before + 2 + k;
        uint32_t near = now[-1] + now[-2] + 2 * before[0] + before[-1] + before[1];
        int class = 0;
        while (near && class < CLASSES - 1) {
            near >>= 1;
            class++;
        }
        if (!ask(d, &c->size[class][0]))
            continue;
        int32_t value = coefficient(d, c->size[class], c->half);
        r->now[2 + k] = (uint32_t)(value < 0 ? -value : value);
        some = 1;
        if (note(stream, place + k, value) < 0)
            return -1;
    }
    return some;
}

static int decode_stream(
    range_decoder *d, uint32_t length, uint32_t transforms, uint32_t left, rows *r,
    stream_layer *stream)
{
    contexts c;
    memset(&c, 1, sizeof c); /* every count of answers begins with 1 */
    uint32_t bands = length / BAND;
    int any = 0;
    for (uint32_t t = 0; t < transforms; t++) {
        if (ncf_range_lost(d))
            return 0;
        any = ask(d, &c.any[any]);
        memset(r->now, 0, (length + 4) * sizeof *r->now);
        memset(r->bands, 0, bands);
        if (any) {
            uint32_t some = decode_bands(d, &c, r, bands, left);
            if (!some)
                return 0;
            left -= some;
            for (uint32_t band = 0; band < bands; band++) {
                int found = r->bands[band]
                                ? decode_band(d, &c, r, band * BAND, t * length, stream) : 1;
                if (found < 1)
                    return found;
            }
        }
        rows turned = {r->before, r->now, r->bands_before, r->bands};
        *r = turned;
    }
    return 1;
}

int ncf_layer_decode(
    const ncf_info *info, uint32_t frames, const uint8_t *bytes, size_t count,
    stream_layer *streams)
{
    range_decoder d;
    uint32_t width = ncf_layer_width(info, frames), longest = ncf_layer_length(info, 0);
    uint32_t most = (width + BAND - 1) / BAND < MAX_BANDS ? (width + BAND - 1) / BAND : MAX_BANDS;
    uint32_t *memory = malloc((longest + 4) * (2 * sizeof *memory + 2));
    int good = memory ? 1 : -1;
    ncf_range_start(&d, bytes, count);
    memset(streams, 0, info->streams * sizeof *streams);
    for (uint32_t k = 0; k < info->streams && good > 0; k++) {
        stream_layer *stream = &streams[k];
        stream->present = (int)even(&d, 1);
        if (!stream->present)
            continue;
        stream->size = even(&d, 2);
        stream->step = even(&d, 8);
        if (stream->size >= SIZES || !stream->step) {
            good = 0;
            break;
        }
        uint32_t length = ncf_layer_length(info, stream->size);
        memset(memory, 0, (longest + 4) * (2 * sizeof *memory + 2));
        uint8_t *flags = (uint8_t *)(memory + 2 * (longest + 4));
        rows r = {memory, memory + longest + 4, flags, flags + longest + 4};
        good = decode_stream(&d, length, (width + length - 1) / length + 1, most, &r, stream);
    }
    free(memory);
    if (good > 0 && !ncf_range_is_whole(&d))
        good = 0;
    if (good < 1)
        ncf_layer_free(streams, info->streams);
    return good;
}

void ncf_layer_free(stream_layer *streams, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++) {
        free(streams[k].places);
        free(streams[k].values);
        memset(&streams[k], 0, sizeof streams[k]);
    }
}

/* ---- sound ---- */

/* Adds the 2 * length samples of one transform, which start at `start` of a chunk. */
static void add_transform(
    uint32_t length, const float *rise, const float *folded, int64_t start, uint32_t width,
    const float *weight, float *samples)
{
    uint32_t half = length / 2;
    for (uint32_t n = 0; n < 2 * length; n++) {
        int64_t place = start + n;
        if (place < 0 || place >= width)
            continue;
        float value;
        if (n < half)
            value = folded[half + n] * rise[n];
        else if (n < length)
            value = -folded[length + half - 1 - n] * rise[n];
        else if (n < length + half)
            value = -folded[length + half - 1 - n] * rise[2 * length - 1 - n];
        else
            value = -folded[n - length - half] * rise[2 * length - 1 - n];
        samples[place] += value * weight[place];
    }
}

ncf_status ncf_layer_add(
    const ncf_info *info, uint32_t frames, const stream_layer *stream, const float *weight,
    float *samples)
{
    if (!stream->present || !stream->count)
        return NCF_OK;
    uint32_t length = ncf_layer_length(info, stream->size), width = ncf_layer_width(info, frames);
    float step = (float)pow(2.0, ((double)stream->step - 160) / 6);
    cosines *plan = ncf_cosines_new(length);
    float *memory = malloc(4 * (size_t)length * sizeof *memory);
    if (plan && memory) {
        float *row = memory, *work = memory + length, *rise = memory + 3 * (size_t)length;
        for (uint32_t k = 0; k < length; k++)
            rise[k] = (float)sin(PI * (k + 0.5) / (2.0 * length));
        for (uint32_t k = 0; k < stream->count;) {
            uint32_t transform = stream->places[k] / length;
            memset(row, 0, length * sizeof *row);
            for (; k < stream->count && stream->places[k] / length == transform; k++)
                row[stream->places[k] % length] = (float)stream->values[k] * step;
            ncf_cosines(plan, row, work);
            int64_t start = ((int64_t)transform - 1) * length;
            add_transform(length, rise, row, start, width, weight, samples);
        }
    }
    ncf_status status = plan && memory ? NCF_OK : NCF_ERROR_MEMORY;
    ncf_cosines_free(plan);
    free(memory);
    return status;
}
