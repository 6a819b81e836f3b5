/* What the files of the decoder share. Callers include ncf.h alone. */
#ifndef NCF_INTERNAL_H
#define NCF_INTERNAL_H

#include "ncf.h"

#include <stdlib.h>
#include <string.h>

/* ---- container.c: the bytes of header, chunks and trailer ------------------------------------ */

enum {
    CHUNK_RAW = 1 << 12,
    CHUNK_MID_SIDE = 1 << 13,
    CHUNK_SHORT = 1 << 14,
    CHUNK_END = 1 << 15,
    INDEX_MODULUS = 4096,
    SMALLEST_CHUNK = 7,
    MAX_CHUNKS = 1 << 22,
    MAX_VARINT_BYTES = 10,
    CRC_BYTES = 4,
    TAIL_BYTES = 12, /* of a trailer: crc, length, magic */
    SMALLEST_TRAILER = 2 + 1 + 2 + TAIL_BYTES
};
#define MAX_TRAILER_BODY ((UINT64_C(1) << 24) + (UINT64_C(1) << 20))
#define MAX_TRAILER_BYTES (2 + MAX_VARINT_BYTES + MAX_TRAILER_BODY + TAIL_BYTES)

/* The part of a chunk before its payload, and what follows from it. */
typedef struct {
    uint32_t number; /* index modulo 4096 */
    uint32_t word, codebooks, frames;
    uint32_t coded_streams; /* streams that have codes in the payload */
    int wrong_scales;       /* FLOAT scales that are out of range: the chunk is a damaged one */
    size_t scales_at, payload_at, payload_length, layer_at, layer_length, length;
} chunk_head;

typedef struct {
    uint64_t count, frames;
    size_t table_at, crc_at, length;
    int fits; /* whether the samples fit the chunks */
} trailer_head;

/* What parsing found: something, nothing, or that it takes `needed` bytes to tell. */
typedef enum { PARSED, REFUSED, NEEDS_MORE } parsed;

uint32_t ncf_crc32(uint32_t crc, const uint8_t *bytes, size_t count); /* as zlib's; begin with 0 */
uint32_t ncf_crc_register(uint32_t state, uint8_t byte);
uint32_t ncf_crc_of_slice(uint32_t before, uint32_t after, uint64_t length);
uint32_t ncf_u32(const uint8_t *bytes);
uint64_t ncf_u64(const uint8_t *bytes);
float ncf_f32(const uint8_t *bytes);
/* Reads a varint at `*at` of `count` bytes and moves `*at` behind it. */
parsed ncf_varint(const uint8_t *bytes, size_t count, size_t *at, uint64_t *value);
ncf_status ncf_fail(ncf_status status, char *why, const char *format, ...);

/* Header fields from the header's body. `*memory` keeps what `tags` point to. */
ncf_status ncf_parse_fields(
    const uint8_t *body, size_t count, ncf_info *info, void **memory, char *why);
uint32_t ncf_code_bits(uint32_t codebook_size);
uint64_t ncf_raw_bytes(const ncf_info *info, uint64_t streams, uint64_t books, uint64_t frames);
size_t ncf_scale_bytes(const ncf_info *info);
uint64_t ncf_largest_layer(const ncf_info *info); /* bytes */
parsed ncf_parse_chunk(
    const ncf_info *info, const uint8_t *bytes, size_t count, chunk_head *head, size_t *needed);
parsed ncf_parse_trailer(
    const ncf_info *info, const uint8_t *bytes, size_t count, trailer_head *head, size_t *needed);
int ncf_tail_fits(const trailer_head *head, const uint8_t *bytes); /* magic and length, no crc */

/* ---- reader.c: finding chunks ------------------------------------------------------------------ */

typedef struct {
    int64_t index;
    uint64_t offset;
    uint32_t length;
} chunk_entry;

/* ---- entropy.c: payloads to codes --------------------------------------------------------------- */

#define TOTAL_BITS 24
#define TOTAL (1u << TOTAL_BITS)

typedef struct {
    const uint8_t *bytes;
    size_t length, size; /* of the payload, and how many bytes have been taken */
    uint64_t offset, span;
    int lost; /* something that no encoder gives */
} range_decoder;

void ncf_range_start(range_decoder *decoder, const uint8_t *bytes, size_t length);
/* Where the next symbol's interval is, from 0 to 2^24 - 1. */
uint32_t ncf_range_target(range_decoder *decoder);
void ncf_range_take(range_decoder *decoder, uint32_t left, uint32_t width);
int ncf_range_lost(const range_decoder *decoder);
int ncf_range_is_whole(const range_decoder *decoder);

/* Chunks whose payloads are decoded together. */
typedef struct {
    const uint8_t *payload;
    size_t payload_length;
    uint32_t codebooks, frames, streams; /* streams: those with codes */
    int raw;
    uint16_t *codes; /* [streams, codebooks, frames], to be filled */
    int lost;        /* set where the payload does not stand for codes */
} payload_job;

/* What foresees codes for NCF_ENTROPY_MODEL: each lane is one stream of one chunk. */
typedef struct frequency_model {
    uint32_t codebooks, codebook_size, frames;
    /* Begins with `lanes` lanes, that many codebooks each. NULL where there is no memory. */
    void *(*start)(const struct frequency_model *, uint32_t lanes, const uint32_t *books);
    /* Begins a frame of these lanes, whose codes of the frame before have been given. */
    void (*frame)(void *state, const uint32_t *lanes, uint32_t count);
    /* Gives frequencies [count, codebook_size] of a codebook's codes. */
    void (*rows)(
        void *state, uint32_t book, const uint32_t *lanes, uint32_t count, uint32_t *frequencies);
    /* Takes what the codes turned out to be. */
    void (*given)(void *state, uint32_t book, uint32_t lane, uint32_t code);
    void (*stop)(void *state);
} frequency_model;

ncf_status ncf_unpack(
    const ncf_info *info, const frequency_model *model, payload_job *jobs, size_t count);

/* ---- layer.c: what is added to the sound of codes ------------------------------------------------ */

/* Coefficients of one stream; those that are not there are 0. */
typedef struct {
    int present;
    uint32_t size, step; /* number of the transform's length, and its scale byte */
    uint32_t count, room;
    uint32_t *places; /* transform * length + number of the coefficient */
    int32_t *values;
} stream_layer;

/* Decodes a layer into `streams` [info->streams]: 1, 0 where it is none, -1 without memory. */
int ncf_layer_decode(
    const ncf_info *info, uint32_t frames, const uint8_t *bytes, size_t count,
    stream_layer *streams);
void ncf_layer_free(stream_layer *streams, uint32_t count);
uint32_t ncf_layer_width(const ncf_info *info, uint32_t frames);
uint32_t ncf_layer_length(const ncf_info *info, uint32_t size);
/* Adds a stream's sound, times `weight`, to `samples`, [ncf_layer_width] each. */
ncf_status ncf_layer_add(
    const ncf_info *info, uint32_t frames, const stream_layer *stream, const float *weight,
    float *samples);

/* ---- waveform.c: the waveform layer ------------------------------------------------------------ */

typedef struct waveform waveform;
uint32_t ncf_waveform_block(const ncf_info *info); /* samples of a block; 0: no grid fits */
/* Decodes a waveform layer: 1, 0 where it is none, -1 without memory. */
int ncf_waveform_decode(
    const ncf_info *info, uint32_t frames, const uint8_t *bytes, size_t count, waveform **decoded);
void ncf_waveform_free(waveform *layer);
int ncf_waveform_is_last(const waveform *layer);
uint32_t ncf_waveform_blocks(const waveform *layer);
/* Gives all integers that a layer holds, one after the other. */
void ncf_waveform_numbers(
    const waveform *layer, void (*take)(void *context, int64_t number), void *context);
typedef struct waveform_tools waveform_tools;
waveform_tools *ncf_waveform_tools_new(const ncf_info *info);
void ncf_waveform_tools_free(waveform_tools *tools);
/* Turns the sound of the codes in the layer's blocks, and an eighth of one on either side, into what
 * the layer adds to it. `opened`: whether the chunk before and the one behind share a slope. */
void ncf_waveform_change(
    const waveform_tools *tools, const waveform *layer, uint32_t stream, const int opened[2],
    float *span);

/* ---- weights.c: files of weights ------------------------------------------------------------------ */

enum { TENSOR_F32 = 1, TENSOR_F16 = 2, TENSOR_I8 = 3, TENSOR_I32 = 4, TENSOR_BYTES = 5 };

typedef struct {
    int kind;
    uint32_t dims, shape[4];
    size_t count; /* of values */
    const uint8_t *data;
} tensor;

typedef struct weights weights;
/* Finds a tensor of this kind and shape; a dimension of 0 fits any. 0 where there is none. */
int ncf_find(const weights *file, const char *name, int kind, uint32_t dims, const uint32_t *shape,
             tensor *found);
/* Values as floats in memory of their own, which the caller frees; NULL where there is none. */
float *ncf_floats(const weights *file, const char *name, uint32_t dims, const uint32_t *shape);
int ncf_integer(const weights *file, const char *name, int64_t least, int64_t most, int64_t *value);

struct ncf_model {
    weights *file;
    struct neu *network;
    frequency_model *entropy;
    char name[65], entropy_name[65];
    const uint8_t *fingerprints; /* [count, 8]: weights whose codes this decodes */
    uint32_t fingerprint_count;
    uint8_t entropy_fingerprint[8];
    uint32_t sample_rate, hop, codebooks, codebook_size, chunk_frames, chunk_stride, overlap;
};

/* ---- transformer.c: the entropy model in integers ------------------------------------------------- */

frequency_model *ncf_transformer_load(const weights *file); /* NULL where it does not fit */
void ncf_transformer_free(frequency_model *model);

/* ---- network.c: codes to sound ---------------------------------------------------------------------- */

typedef struct neu neu;
neu *ncf_neu_load(const weights *file, ncf_model *model); /* NULL where it does not fit */
void ncf_neu_free(neu *network);
uint32_t ncf_neu_width(const neu *network, uint32_t frames); /* samples of a decoded chunk */
/* The weight of each of those samples where chunks overlap. */
ncf_status ncf_neu_window(const neu *network, uint32_t frames, float *weight);
/* Decodes codes [codebooks, frames] of a chunk to samples [ncf_neu_width], weighted. `first` and
 * `last` say at which ends of the signal it stands. */
ncf_status ncf_neu_decode(
    const neu *network, const uint16_t *codes, uint32_t codebooks, uint32_t frames, int first,
    int last, float *samples);

/* ---- fourier.c ---------------------------------------------------------------------------------------- */

typedef struct fourier fourier;
fourier *ncf_fourier_new(uint32_t size); /* of complex numbers */
void ncf_fourier_free(fourier *plan);
/* Transforms complex numbers [size] by exp(-2 pi i / size), or by its conjugate; `work` is as long. */
void ncf_fourier(const fourier *plan, int inverse, float *numbers, float *work);
/* Real signal [2 * size] of a spectrum [size + 1], not scaled; overwrites the spectrum. */
void ncf_fourier_real(const fourier *plan, float *spectrum, float *signal, float *work);

typedef struct cosines cosines;
cosines *ncf_cosines_new(uint32_t length);
void ncf_cosines_free(cosines *plan);
/* Computes the orthonormal cosine transform of the fourth type of `row` [length], which is its own
 * inverse; `work` has room for 2 * length. */
void ncf_cosines(const cosines *plan, float *row, float *work);

/* ---- kernels.c ---------------------------------------------------------------------------------------- */

enum {
    PANEL = 16,       /* columns of a weight that lie side by side, see ncf_panels */
    MAX_ROWS = 12,    /* rows that the product works on at once */
    MAX_INPUTS = 4096 /* of integer products */
};

typedef struct {
    void (*product)(
        const float *x, size_t rows, size_t inputs, const float *panels, const float *bias,
        size_t outputs, float *y, float *spare);
    void (*integer_product)(
        const int16_t *x, size_t rows, size_t inputs, const int8_t *weights, size_t outputs,
        int32_t *sums);
    void (*exponential)(float *x, size_t count);
    void (*gelu)(float *x, size_t count);
    void (*normalise)(
        const float *x, size_t count, size_t width, const float *gain, const float *bias, float *y);
    void (*convolve)(
        const float *x, size_t count, size_t width, const float *weight, size_t taps,
        const float *bias, float *y);
    void (*add_scaled)(float *x, const float *y, size_t count, size_t width, const float *scale);
    void (*unit)(float *x, float *y, size_t count);
} kernels;

const kernels *ncf_kernels(void);

#endif
