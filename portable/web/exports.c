/* The decoder as a browser sees it: numbers and places in memory. */
#include "../ncf.h"

#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(#name)))

static char why[NCF_MESSAGE];

EXPORT(allocate) void *web_allocate(size_t size)
{
    return malloc(size);
}

EXPORT(release) void web_release(void *memory)
{
    free(memory);
}

/* The line that tells why the last call failed. */
EXPORT(reason) const char *web_reason(void)
{
    return why;
}

/* Opens the bytes of a file, which must stay; 0 on failure. */
EXPORT(open_file) ncf *web_open_file(const void *bytes, size_t count)
{
    ncf *file = NULL;
    ncf_open_memory(bytes, count, &file, why);
    return file;
}

EXPORT(open_weights) ncf_model *web_open_weights(const void *bytes, size_t count)
{
    ncf_model *model = NULL;
    ncf_model_open_memory(bytes, count, &model, why);
    return model;
}

EXPORT(use_weights) int web_use_weights(ncf *file, const ncf_model *model)
{
    return ncf_use_model(file, model, why);
}

EXPORT(close_file) void web_close_file(ncf *file)
{
    ncf_close(file);
}

EXPORT(codec) const char *web_codec(const ncf *file)
{
    return ncf_get_info(file)->codec;
}

EXPORT(encoder) const char *web_encoder(const ncf *file)
{
    return ncf_get_info(file)->encoder;
}

/* A tag as "NAME=text", 0 behind the last one. */
EXPORT(tag) const char *web_tag(const ncf *file, uint32_t number)
{
    const ncf_info *info = ncf_get_info(file);
    return number < info->tag_count ? info->tags[number] : NULL;
}

EXPORT(rate) uint32_t web_rate(const ncf *file)
{
    return ncf_get_info(file)->sample_rate;
}

EXPORT(channels) uint32_t web_channels(const ncf *file)
{
    return ncf_get_info(file)->channels;
}

EXPORT(chunk_stride) uint32_t web_chunk_stride(const ncf *file)
{
    return ncf_get_info(file)->chunk_stride;
}

EXPORT(chunks) int32_t web_chunks(ncf *file)
{
    return (int32_t)ncf_chunk_count(file);
}

/* Bytes of a chunk; 0 where it is damaged or missing. */
EXPORT(chunk_bytes) uint32_t web_chunk_bytes(ncf *file, int32_t index)
{
    ncf_chunk chunk;
    return ncf_read_chunk(file, index, &chunk) == 1 ? (uint32_t)chunk.length : 0;
}

/* Samples per channel; below 0 while that is not known. */
EXPORT(samples) double web_samples(const ncf *file)
{
    return (double)ncf_length(file);
}

EXPORT(is_complete) int web_is_complete(const ncf *file)
{
    return ncf_is_complete(file);
}

EXPORT(seek) int web_seek(ncf *file, double sample)
{
    return ncf_seek(file, (int64_t)sample);
}

/* Gives samples [count, channels]; returns how many, 0 at the end, less than 0 on failure. */
EXPORT(read) int32_t web_read(ncf *file, float *samples, int32_t count)
{
    return (int32_t)ncf_read(file, samples, count);
}

EXPORT(lost) uint32_t web_lost(const ncf *file)
{
    return (uint32_t)ncf_lost_count(file);
}
