/* For tests: reads many .ncf files from standard input and prints what integers are in each, to be
 * compared with another reader.
 *
 * A case is a byte (0: one pass as from a pipe, 1: one pass through a file, 2: chunks at random; 3, 4:
 * decode it from a pipe, from a file), a
 * u32 with a length and that many bytes, and a u32 with a number of frequencies and that many u32:
 * these stand for the entropy model, the same for every code; without them ARGUMENT's file of weights
 * is used. Of a whole decode the line has how many samples and channels there are and the lost chunks,
 * and the samples follow as f32; the first frequency then is how many there are to be at most, per
 * channel. Else a line tells whether the file was refused; else the chunk count, the samples, whether it
 * is complete and something follows, how many chunks are intact, and CRC-32s over the indices of
 * those, over those of chunks that cannot be unpacked, over all codes, and over all layers. */
#include "internal.h"

#include <stdio.h>

typedef struct {
    frequency_model face;
    const uint32_t *row;
} constant;

static void *begin(const frequency_model *model, uint32_t lanes, const uint32_t *books)
{
    (void)lanes;
    (void)books;
    return (void *)(uintptr_t)model;
}

static void do_nothing(void *state, const uint32_t *lanes, uint32_t count)
{
    (void)state;
    (void)lanes;
    (void)count;
}

static void rows(
    void *state, uint32_t book, const uint32_t *lanes, uint32_t count, uint32_t *frequencies)
{
    const constant *model = state;
    (void)book;
    (void)lanes;
    for (uint32_t k = 0; k < count; k++)
        memcpy(frequencies + (size_t)k * model->face.codebook_size, model->row,
               model->face.codebook_size * sizeof *model->row);
}

static void given(void *state, uint32_t book, uint32_t lane, uint32_t code)
{
    (void)state;
    (void)book;
    (void)lane;
    (void)code;
}

static void end(void *state)
{
    (void)state;
}

typedef struct {
    uint64_t intact;
    uint32_t indices, lost, codes, layers;
} sums;

static uint32_t sum_of(uint32_t crc, int64_t value)
{
    uint8_t bytes[8];
    for (int k = 0; k < 8; k++)
        bytes[k] = (uint8_t)((uint64_t)value >> 8 * k);
    return ncf_crc32(crc, bytes, 8);
}

static void take(void *context, int64_t number)
{
    sums *s = context;
    s->layers = sum_of(s->layers, number);
}

/* Unpacks a chunk and adds what it holds to the sums. */
static void add(
    const ncf_info *info, const frequency_model *model, const ncf_chunk *chunk, sums *s)
{
    uint32_t streams = info->streams, lost = 0;
    s->intact++;
    s->indices = sum_of(s->indices, chunk->index);
    if (chunk->scales && info->scale_kind == NCF_SCALES_LOG)
        for (uint32_t k = 0; k < info->streams; k++)
            streams -= !chunk->scales[k];
    size_t count = (size_t)streams * chunk->codebooks * chunk->frames;
    uint16_t *codes = calloc(count + 1, sizeof *codes);
    stream_layer *layers = calloc(info->streams, sizeof *layers);
    payload_job job = {chunk->payload, chunk->payload_length, chunk->codebooks, chunk->frames,
                       streams, chunk->raw, codes, 0};
    if (!codes || !layers)
        exit(9);
    if (chunk->codebooks && ncf_unpack(info, model, &job, 1))
        lost = 1;
    lost |= (uint32_t)job.lost;
    waveform *wave = NULL;
    const uint8_t *layer = chunk->layer;
    if (chunk->layer_length && info->layer == NCF_LAYER_WAVEFORM)
        lost |= ncf_waveform_decode(info, chunk->frames, layer, chunk->layer_length, &wave) < 1;
    else if (chunk->layer_length)
        lost |= ncf_layer_decode(info, chunk->frames, layer, chunk->layer_length, layers) < 1;
    if (lost)
        s->lost = sum_of(s->lost, chunk->index);
    for (size_t k = 0; chunk->codebooks && !lost && k < count; k++) {
        uint8_t two[2] = {(uint8_t)codes[k], (uint8_t)(codes[k] >> 8)};
        s->codes = ncf_crc32(s->codes, two, 2);
    }
    if (wave && !lost)
        ncf_waveform_numbers(wave, take, s);
    ncf_waveform_free(wave);
    for (uint32_t k = 0; chunk->layer_length && !lost && k < info->streams; k++) {
        if (info->layer == NCF_LAYER_WAVEFORM)
            break;
        s->layers = sum_of(s->layers, layers[k].present);
        if (layers[k].present)
            s->layers = sum_of(sum_of(s->layers, layers[k].size), layers[k].step);
        for (uint32_t i = 0; i < layers[k].count; i++)
            s->layers = sum_of(sum_of(s->layers, layers[k].places[i]), layers[k].values[i]);
    }
    ncf_layer_free(layers, info->streams);
    free(layers);
    free(codes);
}

typedef struct {
    const uint8_t *bytes;
    size_t count, at;
} pipe_end;

static ptrdiff_t read_pipe(void *context, void *bytes, size_t count)
{
    pipe_end *p = context;
    size_t left = p->count - p->at;
    count = count < 61 ? count : 61;
    count = count < left ? count : left;
    memcpy(bytes, p->bytes + p->at, count);
    p->at += count;
    return (ptrdiff_t)count;
}

static void dump(int how, const uint8_t *bytes, size_t length, const frequency_model *model)
{
    ncf *file;
    ncf_chunk chunk;
    sums s = {0, 0, 0, 0, 0};
    pipe_end p = {bytes, length, 0};
    ncf_io io = {&p, read_pipe, NULL, 0, NULL};
    ncf_status status = how ? ncf_open_memory(bytes, length, &file, NULL) : ncf_open(io, &file, NULL);
    if (status) {
        printf("refused\n");
        return;
    }
    const ncf_info *info = ncf_get_info(file);
    if (how < 2)
        while (ncf_next_chunk(file, &chunk) == 1)
            add(info, model, &chunk, &s);
    for (int64_t k = 0; how == 2 && k < ncf_chunk_count(file); k++)
        if (ncf_read_chunk(file, k, &chunk) == 1)
            add(info, model, &chunk, &s);
    printf("%lld %lld %d %d %llu %08x %08x %08x %08x\n", (long long)ncf_chunk_count(file),
           (long long)ncf_source_frames(file), ncf_is_complete(file), ncf_has_surplus(file),
           (unsigned long long)s.intact, (unsigned)s.indices, (unsigned)s.lost, (unsigned)s.codes,
           (unsigned)s.layers);
    ncf_close(file);
}

/* Decodes a file and prints which chunks are lost, and its samples. */
static void decode(
    int from_file, const uint8_t *bytes, size_t length, const ncf_model *model, uint32_t most)
{
    ncf *file;
    pipe_end p = {bytes, length, 0};
    ncf_io io = {&p, read_pipe, NULL, 0, NULL};
    ncf_status status = from_file ? ncf_open_memory(bytes, length, &file, NULL)
                                  : ncf_open(io, &file, NULL);
    if (!status && ncf_use_model(file, model, NULL)) {
        ncf_close(file);
        status = NCF_ERROR_MODEL;
    }
    if (status) {
        printf("refused\n");
        return;
    }
    uint32_t channels = ncf_get_info(file)->channels, done = 0;
    float *samples = malloc(((size_t)most + 1) * channels * sizeof *samples);
    int64_t got = samples ? 1 : 0;
    while (got > 0 && done < most) { /* in pieces of odd lengths */
        uint32_t wanted = most - done < 7777 ? most - done : 7777;
        got = ncf_read(file, samples + (size_t)done * channels, wanted);
        done += got > 0 ? (uint32_t)got : 0;
    }
    printf("%d %u %u", got < 0 ? (int)got : 0, (unsigned)done, (unsigned)channels);
    for (size_t k = 0; k < ncf_lost_count(file); k++)
        printf(" %lld", (long long)ncf_lost_chunk(file, k));
    printf("\n");
    fwrite(samples, sizeof *samples * channels, done, stdout);
    free(samples);
    ncf_close(file);
}

static uint32_t read_u32(void)
{
    uint8_t bytes[4] = {0};
    if (fread(bytes, 1, 4, stdin) != 4)
        exit(8);
    return ncf_u32(bytes);
}

int main(int count, char **arguments)
{
    ncf_model *model = NULL;
    char why[NCF_MESSAGE];
    int how;
    if (count > 1 && ncf_model_open_file(arguments[1], &model, why)) {
        fprintf(stderr, "dump: %s\n", why);
        return 1;
    }
    while ((how = getchar()) != EOF) {
        uint32_t length = read_u32();
        uint8_t *bytes = malloc(length + 1u);
        if (!bytes || fread(bytes, 1, length, stdin) != length)
            return 8;
        uint32_t size = read_u32();
        uint32_t *row = malloc((size + 1) * sizeof *row);
        if (!row)
            return 9;
        row[0] = 0;
        for (uint32_t k = 0; k < size; k++)
            row[k] = read_u32();
        constant stand_in = {{63, size, 1u << 26, begin, do_nothing, rows, given, end}, row};
        if (how > 2 && model)
            decode(how - 3, bytes, length, model, row[0]);
        else
            dump(how, bytes, length, size ? &stand_in.face : model ? model->entropy : NULL);
        fflush(stdout);
        free(bytes);
        free(row);
    }
    ncf_model_close(model);
    return 0;
}
