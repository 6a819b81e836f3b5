/* Reads .ncf files and decodes them to samples: the whole interface.
 *
 * The format is formats/NCF.md, the entropy model's arithmetic models/lm/INTEGER.md, the network
 * and the file of weights docs/portable.md. Nothing is needed but the C library and libm.
 *
 *     ncf *file;
 *     ncf_model *model;
 *     char why[NCF_MESSAGE];
 *     if (ncf_open_file("in.ncf", &file, why)) puts(why);
 *     if (ncf_model_open_file("neu2-44khz.ncfw", &model, why)) puts(why);
 *     if (ncf_use_model(file, model, why)) puts(why);
 *     while ((n = ncf_read(file, samples, 4096)) > 0) ...
 *
 * Samples come at the rate of the codec's model, `ncf_info.sample_rate`. Resampling them to
 * `source_rate` is the caller's. A file is used by one thread at a time; a model may be shared by
 * many.
 */
#ifndef NCF_H
#define NCF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that an error's message takes, with the zero at its end. */
#define NCF_MESSAGE 256

typedef enum {
    NCF_OK = 0,
    NCF_ERROR_READ = -1,     /* the caller's file cannot be read or opened */
    NCF_ERROR_MEMORY = -2,   /* there is no memory */
    NCF_ERROR_NOT_NCF = -3,  /* no .ncf: another signature */
    NCF_ERROR_VERSION = -4,  /* a later version, or something that only a later version knows */
    NCF_ERROR_HEADER = -5,   /* the header is damaged or malformed */
    NCF_ERROR_LIMITS = -6,   /* the header asks for more than the format allows */
    NCF_ERROR_SEEK = -7,     /* only files that can seek can do that */
    NCF_ERROR_WEIGHTS = -8,  /* no file of weights, or a damaged one */
    NCF_ERROR_MODEL = -9,    /* another model than the file needs, or none */
    NCF_ERROR_ARGUMENT = -10 /* an argument is out of its range */
} ncf_status;

/* Where bytes come from. */
typedef struct {
    void *context;
    /* Reads up to `count` bytes; returns how many, 0 only at the end, and less than 0 on failure. */
    ptrdiff_t (*read)(void *context, void *bytes, size_t count);
    /* Moves to a place counted from where the .ncf begins; returns 0, or other on failure. NULL
     * where that is not possible, as with a pipe. */
    int (*seek)(void *context, uint64_t offset);
    /* Length of the .ncf and of all that follows it, in bytes; not used without `seek`. */
    uint64_t size;
    /* Called by ncf_close, and by ncf_open where that fails; may be NULL. */
    void (*close)(void *context);
} ncf_io;

enum { NCF_SCALES_NONE = 0, NCF_SCALES_LOG = 1, NCF_SCALES_FLOAT = 2 };
enum { NCF_ENTROPY_NONE = 0, NCF_ENTROPY_ADAPTIVE = 1, NCF_ENTROPY_MODEL = 2 };
enum { NCF_LAYER_NONE = 0, NCF_LAYER_MDCT = 1, NCF_LAYER_WAVEFORM = 2 };

/* What a file says of itself; see "Header" in NCF.md. Texts are UTF-8 and end with a zero. */
typedef struct {
    int major, minor;
    char codec[65];
    uint8_t fingerprint[8];
    uint32_t sample_rate, source_rate; /* Hz, of the codec's model and of the source */
    uint32_t channels, streams, codebooks, codebook_size;
    uint32_t hop, chunk_frames, chunk_stride, overlap; /* samples at sample_rate, but for frames */
    int scale_kind, entropy, layer;
    char entropy_model[65];
    uint8_t entropy_fingerprint[8];
    float gain_db;
    uint32_t channel_mask; /* as in WAVE_FORMAT_EXTENSIBLE; 0 for none */
    int64_t nominal_bitrate, average_bitrate; /* bit/s; 0 where unknown */
    int64_t frames;                           /* samples per channel of the source; -1: unknown */
    char encoder[256];
    uint32_t tag_count;
    const char *const *tags; /* "NAME=text", names in upper case, a name perhaps several times */
} ncf_info;

/* One chunk of a file, as it is stored. */
typedef struct {
    int64_t index;
    uint64_t offset, length; /* bytes, counted from where the .ncf begins */
    uint32_t codebooks, frames;
    int raw, mid_side;
    const uint8_t *scales; /* `streams` bytes or little-endian f32, by scale_kind; else NULL */
    const uint8_t *payload;
    size_t payload_length;
    const uint8_t *layer;
    size_t layer_length;
} ncf_chunk;

typedef struct ncf ncf;
typedef struct ncf_model ncf_model;

/* Opens a file and reads its header, and its trailer where it can seek. Returns NCF_OK, or why not,
 * with a line about it in `why` unless that is NULL. What ncf_open_memory is given must stay until
 * ncf_close. "-" is standard input. */
ncf_status ncf_open(ncf_io io, ncf **opened, char why[NCF_MESSAGE]);
ncf_status ncf_open_file(const char *path, ncf **opened, char why[NCF_MESSAGE]);
ncf_status ncf_open_memory(const void *bytes, size_t count, ncf **opened, char why[NCF_MESSAGE]);
void ncf_close(ncf *file);

const ncf_info *ncf_get_info(const ncf *file);

/* Opens a file of weights, made by `neucodec export --portable`, and checks its checksums. What
 * ncf_model_open_memory is given must stay until ncf_model_close. */
ncf_status ncf_model_open_file(const char *path, ncf_model **opened, char why[NCF_MESSAGE]);
ncf_status ncf_model_open_memory(
    const void *bytes, size_t count, ncf_model **opened, char why[NCF_MESSAGE]);
void ncf_model_close(ncf_model *model);
const char *ncf_model_name(const ncf_model *model);

/* Says which weights decode the file; they must stay until ncf_close. NCF_ERROR_MODEL where they
 * are not those that the file names. */
ncf_status ncf_use_model(ncf *file, const ncf_model *model, char why[NCF_MESSAGE]);

/* Gives the next samples, interleaved [count, channels], from -1 to 1 for what a WAV file can hold.
 * Returns how many samples per channel, 0 at the end, and an ncf_status below 0 on failure. Damaged
 * chunks are silent. */
int64_t ncf_read(ncf *file, float *samples, int64_t count);

/* Goes to a sample, counted per channel at sample_rate; beyond the end is the end. */
ncf_status ncf_seek(ncf *file, int64_t sample);
int64_t ncf_tell(const ncf *file);

/* Samples per channel at sample_rate; -1 while the end of the file is not known. */
int64_t ncf_length(const ncf *file);
/* Samples per channel of the source, from the trailer, or else the header's hint; -1 if unknown. */
int64_t ncf_source_frames(const ncf *file);
/* Whether an intact trailer was found; of a pipe that is known at its end. */
int ncf_is_complete(const ncf *file);
/* Whether bytes follow the end of the .ncf, which are no part of it; known where the end is. */
int ncf_has_surplus(ncf *file);
/* Chunks that were written, by the trailer or else by the last chunk found; -1 while unknown. */
int64_t ncf_chunk_count(ncf *file);
/* Chunks that ncf_read found lost so far: how many, and the index of each. */
size_t ncf_lost_count(const ncf *file);
int64_t ncf_lost_chunk(const ncf *file, size_t at);

/* Below ncf_read: the chunks themselves, whose bytes are good until the next call.
 *
 * ncf_next_chunk gives the intact chunks in the order of the file, reading in one pass: 1, or 0 at
 * the end. ncf_rewind begins anew where the file can seek. ncf_read_chunk gives one chunk: 1, or 0
 * where it is damaged or missing. Do not mix ncf_next_chunk and ncf_read on a pipe. */
int ncf_next_chunk(ncf *file, ncf_chunk *chunk);
ncf_status ncf_rewind(ncf *file);
int ncf_read_chunk(ncf *file, int64_t index, ncf_chunk *chunk);

#ifdef __cplusplus
}
#endif
#endif
