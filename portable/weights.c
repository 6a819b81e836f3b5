/* Files of weights: reading, checking, and the model that they make. The layout is in
 * docs/portable.md. */
#define _POSIX_C_SOURCE 200809L
#include "internal.h"

#include <stdio.h>

#if !defined(NCF_NO_FILES) && (defined(__unix__) || defined(__APPLE__))
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#define HAS_MMAP 1
#else
#define HAS_MMAP 0
#endif

enum { HEAD_BYTES = 32, ENTRY_BYTES = 96, NAME_BYTES = 56, MAX_TENSORS = 4096 };
static const uint8_t SIGNATURE[8] = {0x89, 'N', 'C', 'W', '\r', '\n', 0x1A, '\n'};

struct weights {
    const uint8_t *bytes;
    size_t size;
    uint32_t count;
    int mapped, owned;
};

static const uint8_t *entry_of(const weights *file, uint32_t k)
{
    return file->bytes + HEAD_BYTES + (size_t)k * ENTRY_BYTES;
}

/* Checks one entry of the directory and the checksum of its data. */
static int is_sound(const weights *file, const uint8_t *entry)
{
    static const uint8_t sizes[6] = {0, 4, 2, 1, 4, 1};
    uint32_t kind = entry[NAME_BYTES], dims = entry[NAME_BYTES + 1];
    uint64_t offset = ncf_u64(entry + 80), bytes;
    if (entry[NAME_BYTES - 1] || kind < 1 || kind > 5 || dims > 4)
        return 0;
    bytes = sizes[kind];
    for (uint32_t k = 0; k < dims; k++) {
        uint32_t extent = ncf_u32(entry + 60 + 4 * k);
        if (extent && bytes > UINT64_C(0xFFFFFFFF) / extent)
            return 0;
        bytes *= extent;
    }
    if (offset % 64 || offset > file->size || bytes > file->size - offset)
        return 0;
    return ncf_crc32(0, file->bytes + offset, (size_t)bytes) == ncf_u32(entry + 76);
}

static ncf_status check(weights *file, char *why)
{
    const uint8_t *head = file->bytes;
    if (file->size < HEAD_BYTES || memcmp(head, SIGNATURE, 8))
        return ncf_fail(NCF_ERROR_WEIGHTS, why, "not a file of weights (.ncfw)");
    if (ncf_u32(head + 8) != 1)
        return ncf_fail(NCF_ERROR_WEIGHTS, why, "weights of version %u, this reader knows 1",
                        (unsigned)ncf_u32(head + 8));
    file->count = ncf_u32(head + 12);
    size_t end = HEAD_BYTES + (size_t)file->count * ENTRY_BYTES;
    if (file->count > MAX_TENSORS || ncf_u64(head + 16) != file->size || end + 4 > file->size ||
        ncf_crc32(0, head, end) != ncf_u32(head + end))
        return ncf_fail(NCF_ERROR_WEIGHTS, why, "the file of weights is cut off or damaged");
    for (uint32_t k = 0; k < file->count; k++)
        if (!is_sound(file, entry_of(file, k)))
            return ncf_fail(NCF_ERROR_WEIGHTS, why, "the file of weights is damaged at %.40s",
                            (const char *)entry_of(file, k));
    return NCF_OK;
}

int ncf_find(const weights *file, const char *name, int kind, uint32_t dims, const uint32_t *shape,
             tensor *found)
{
    for (uint32_t k = 0; k < file->count; k++) {
        const uint8_t *entry = entry_of(file, k);
        if (strcmp((const char *)entry, name))
            continue;
        found->kind = entry[NAME_BYTES];
        found->dims = entry[NAME_BYTES + 1];
        found->count = 1;
        if ((kind && found->kind != kind) || found->dims != dims)
            return 0;
        for (uint32_t d = 0; d < dims; d++) {
            found->shape[d] = ncf_u32(entry + 60 + 4 * d);
            found->count *= found->shape[d];
            if (shape && shape[d] && shape[d] != found->shape[d])
                return 0;
        }
        found->data = file->bytes + ncf_u64(entry + 80);
        return 1;
    }
    return 0;
}

/* Turns a float16 into a float, by moving its bits and multiplying by 2^112, which is exact and right
 * for the smallest numbers, too; infinities become more than 65504. */
static float from_half(uint32_t half)
{
    uint32_t bits = (half & 0x8000) << 16 | (half & 0x7FFF) << 13;
    float value;
    memcpy(&value, &bits, 4);
    return value * 5192296858534827628530496329220096.0f;
}

static uint32_t half_at(const uint8_t *bytes)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint16_t half; /* which compilers load many at a time */
    memcpy(&half, bytes, 2);
    return half;
#else
    return bytes[0] | (uint32_t)bytes[1] << 8;
#endif
}

float *ncf_floats(const weights *file, const char *name, uint32_t dims, const uint32_t *shape)
{
    tensor found;
    if (!ncf_find(file, name, 0, dims, shape, &found) ||
        (found.kind != TENSOR_F16 && found.kind != TENSOR_F32))
        return NULL;
    float *values = malloc((found.count + 1) * sizeof *values);
    float most = found.kind == TENSOR_F16 ? 65504.0f : 1e30f;
    int good = 1;
    if (!values)
        return NULL;
    if (found.kind == TENSOR_F16)
        for (size_t k = 0; k < found.count; k++)
            values[k] = from_half(half_at(found.data + 2 * k));
    else
        for (size_t k = 0; k < found.count; k++)
            values[k] = ncf_f32(found.data + 4 * k);
    for (size_t k = 0; k < found.count; k++)
        good &= values[k] <= most && values[k] >= -most;
    if (!good) { /* infinite, or no numbers at all */
        free(values);
        return NULL;
    }
    return values;
}

int ncf_integer(const weights *file, const char *name, int64_t least, int64_t most, int64_t *value)
{
    tensor found;
    if (!ncf_find(file, name, TENSOR_I32, 0, NULL, &found))
        return 0;
    *value = (int32_t)ncf_u32(found.data);
    return *value >= least && *value <= most;
}

/* ---- the model ---- */

static int name_of(const weights *file, const char *field, char name[65])
{
    tensor found;
    if (!ncf_find(file, field, TENSOR_BYTES, 1, NULL, &found) || found.count > 64)
        return 0;
    memcpy(name, found.data, found.count);
    name[found.count] = 0;
    return 1;
}

static ncf_status build(ncf_model *model, char *why)
{
    const weights *file = model->file;
    static const uint32_t eights[2] = {0, 8}, eight[1] = {8};
    tensor found;
    if (!name_of(file, "name", model->name) ||
        !ncf_find(file, "fingerprints", TENSOR_BYTES, 2, eights, &found))
        return ncf_fail(NCF_ERROR_WEIGHTS, why, "the file of weights lacks a name or fingerprints");
    model->fingerprints = found.data;
    model->fingerprint_count = found.shape[0];
    model->network = ncf_neu_load(file, model);
    if (!model->network)
        return ncf_fail(NCF_ERROR_WEIGHTS, why, "the weights of %s are no network that is known here",
                        model->name);
    if (!ncf_find(file, "entropy.fingerprint", TENSOR_BYTES, 1, eight, &found))
        return NCF_OK;
    memcpy(model->entropy_fingerprint, found.data, 8);
    model->entropy = name_of(file, "entropy.name", model->entropy_name)
                         ? ncf_transformer_load(file) : NULL;
    if (!model->entropy)
        return ncf_fail(NCF_ERROR_WEIGHTS, why, "the entropy model of %s is none that is known here",
                        model->name);
    return NCF_OK;
}

static ncf_status open_model(weights *file, ncf_model **opened, char *why)
{
    ncf_model *model = calloc(1, sizeof *model);
    ncf_status status = model ? check(file, why) : NCF_ERROR_MEMORY;
    *opened = NULL;
    if (!model) {
        free(file);
        return ncf_fail(status, why, "no memory");
    }
    model->file = file;
    if (!status)
        status = build(model, why);
    if (status)
        ncf_model_close(model);
    else
        *opened = model;
    return status;
}

ncf_status ncf_model_open_memory(
    const void *bytes, size_t count, ncf_model **opened, char why[NCF_MESSAGE])
{
    weights *file = calloc(1, sizeof *file);
    if (!file)
        return ncf_fail(NCF_ERROR_MEMORY, why, "no memory");
    file->bytes = bytes;
    file->size = count;
    return open_model(file, opened, why);
}

#ifndef NCF_NO_FILES

/* Brings a file's bytes into memory, by mapping it where that is possible. */
static int load(const char *path, weights *file)
{
#if HAS_MMAP
    struct stat about;
    int number = open(path, O_RDONLY);
    if (number < 0 || fstat(number, &about) || about.st_size <= 0) {
        if (number >= 0)
            close(number);
        return 0;
    }
    file->size = (size_t)about.st_size;
    void *mapped = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, number, 0);
    close(number);
    if (mapped == MAP_FAILED)
        return 0;
    file->bytes = mapped;
    file->mapped = 1;
    return 1;
#else
    FILE *opened = fopen(path, "rb");
    long size = opened && !fseek(opened, 0, SEEK_END) ? ftell(opened) : 0;
    uint8_t *bytes = size > 0 && !fseek(opened, 0, SEEK_SET) ? malloc((size_t)size) : NULL;
    int good = bytes && fread(bytes, 1, (size_t)size, opened) == (size_t)size;
    if (opened)
        fclose(opened);
    if (!good) {
        free(bytes);
        return 0;
    }
    file->bytes = bytes;
    file->size = (size_t)size;
    file->owned = 1;
    return 1;
#endif
}

ncf_status ncf_model_open_file(const char *path, ncf_model **opened, char why[NCF_MESSAGE])
{
    weights *file = calloc(1, sizeof *file);
    if (!file || !load(path, file)) {
        free(file);
        return ncf_fail(NCF_ERROR_READ, why, "%.200s cannot be opened", path);
    }
    return open_model(file, opened, why);
}

#endif

void ncf_model_close(ncf_model *model)
{
    if (!model)
        return;
    ncf_neu_free(model->network);
    ncf_transformer_free(model->entropy);
#if HAS_MMAP
    if (model->file->mapped)
        munmap((void *)(uintptr_t)model->file->bytes, model->file->size);
#endif
    if (model->file->owned)
        free((void *)(uintptr_t)model->file->bytes);
    free(model->file);
    free(model);
}

const char *ncf_model_name(const ncf_model *model)
{
    return model->name;
}
