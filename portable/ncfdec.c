/* ncfdec: decodes an .ncf to a WAV file. */
#define _POSIX_C_SOURCE 200809L
#include "ncf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#include <process.h>
#define getpid _getpid
#define SEPARATOR '\\'
#else
#include <unistd.h>
#define SEPARATOR '/'
#endif

enum { BLOCK = 4096, DONE = 0, FAILED = 1, WRONG_USE = 2 };

static const char HELP[] =
    "Usage: ncfdec [OPTIONS] INPUT.ncf OUTPUT.wav\n"
    "\n"
    "Decode an .ncf to a WAV file at the sample rate of its codec. - is standard input or output.\n"
    "\n"
    "  -m FILE    the codec's weights, made by `neucodec export --portable`. Else CODEC.ncfw is\n"
    "             looked for in the folders of the variable NCF_WEIGHTS (one), of INPUT, of the\n"
    "             program, and here.\n"
    "  -f         write 32-bit floats instead of 16-bit integers\n"
    "  -s SECONDS start there\n"
    "  -e SECONDS end there\n"
    "  -i         print what the file says of itself, and decode nothing\n"
    "  -h         print this\n"
    "\n"
    "Exit status: 0 done, 1 not done, 2 wrong use, 3 done, but parts were damaged and are silent.\n";

typedef struct {
    const char *weights, *input, *output, *program;
    int floats, info;
    double start, end;
} options;

static int fail(const char *input, const char *why)
{
    fprintf(stderr, "ncfdec: %s: %s\n", input, why);
    return FAILED;
}

/* ---- WAV ---- */

static void put(uint8_t **at, uint32_t value, int bytes)
{
    for (; bytes > 0; bytes--, value >>= 8)
        *(*at)++ = (uint8_t)value;
}

static int write_header(FILE *out, const ncf_info *info, int64_t samples, int floats)
{
    uint8_t head[80], *at = head;
    uint32_t bytes = floats ? 4 : 2, align = bytes * info->channels;
    uint64_t data = samples < 0 ? UINT32_MAX : (uint64_t)samples * align;
    uint32_t size = data > UINT32_MAX - 72 ? UINT32_MAX : (uint32_t)data;
    memcpy(at, "RIFF", 4);
    at += 4;
    put(&at, size == UINT32_MAX ? size : size + 60 + (size & 1), 4);
    memcpy(at, "WAVEfmt ", 8);
    at += 8;
    put(&at, 40, 4);
    put(&at, 0xFFFE, 2); /* WAVE_FORMAT_EXTENSIBLE */
    put(&at, info->channels, 2);
    put(&at, info->sample_rate, 4);
    put(&at, info->sample_rate * align, 4);
    put(&at, align, 2);
    put(&at, 8 * bytes, 2);
    put(&at, 22, 2);
    put(&at, 8 * bytes, 2);
    put(&at, info->channel_mask, 4);
    put(&at, floats ? 3 : 1, 2);
    memcpy(at, "\x00\x00\x00\x00\x10\x00\x80\x00\x00\xAA\x00\x38\x9B\x71", 14);
    at += 14;
    memcpy(at, "data", 4);
    at += 4;
    put(&at, size, 4);
    return fwrite(head, 1, (size_t)(at - head), out) == (size_t)(at - head);
}

static int write_samples(FILE *out, const float *samples, size_t count, int floats, uint8_t *room)
{
    uint8_t *at = room;
    for (size_t k = 0; k < count; k++) {
        if (floats) {
            uint32_t bits;
            memcpy(&bits, &samples[k], 4);
            put(&at, bits, 4);
        } else {
            float value = samples[k] * 32768.0f;
            value = value < -32768.0f ? -32768.0f : value > 32767.0f ? 32767.0f : value;
            put(&at, (uint32_t)(int32_t)floorf(value + 0.5f), 2);
        }
    }
    return fwrite(room, 1, (size_t)(at - room), out) == (size_t)(at - room);
}

/* ---- weights ---- */

/* Opens the weights of the file's codec: those that were named, or the first that are found. */
static ncf_status open_weights(
    const options *o, const ncf_info *info, ncf_model **model, char why[NCF_MESSAGE])
{
    const char *folders[4] = {getenv("NCF_WEIGHTS"), o->input, o->program, "."};
    char path[4096];
    if (o->weights)
        return ncf_model_open_file(o->weights, model, why);
    for (int k = 0; k < 4; k++) {
        const char *last = k == 1 || k == 2 ? strrchr(folders[k], SEPARATOR) : NULL;
        int length = last ? (int)(last - folders[k]) : folders[k] ? (int)strlen(folders[k]) : 0;
        if (!folders[k] || ((k == 1 || k == 2) && !last))
            continue;
        int size = snprintf(path, sizeof path, "%.*s%c%s.ncfw", length, folders[k], SEPARATOR,
                            info->codec);
        if (size < 0 || (size_t)size >= sizeof path)
            continue;
        ncf_status status = ncf_model_open_file(path, model, why);
        if (status != NCF_ERROR_READ)
            return status;
    }
    snprintf(why, NCF_MESSAGE, "its codec's weights, %s.ncfw, are not there: make them by "
             "`neucodec export --portable %s`, and name them by -m", info->codec, info->codec);
    return NCF_ERROR_READ;
}

/* ---- commands ---- */

static void print_text(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < 32 || *text == 127 ? '?' : *text);
    putchar('\n');
}

static int print_info(ncf *file)
{
    const ncf_info *info = ncf_get_info(file);
    int64_t chunks = ncf_chunk_count(file), frames = ncf_source_frames(file);
    printf("codec       %s, %u codebooks of %u\n", info->codec, (unsigned)info->codebooks,
           (unsigned)info->codebook_size);
    printf("sample rate %u Hz, of the source %u Hz\n", (unsigned)info->sample_rate,
           (unsigned)info->source_rate);
    printf("channels    %u\n", (unsigned)info->channels);
    if (frames >= 0)
        printf("length      %.3f s\n", (double)frames / info->source_rate);
    if (chunks >= 0)
        printf("chunks      %lld, %s\n", (long long)chunks,
               ncf_is_complete(file) ? "complete" : "the end is missing");
    printf("encoder     ");
    print_text(info->encoder);
    for (uint32_t k = 0; k < info->tag_count; k++) {
        printf("tag         ");
        print_text(info->tags[k]);
    }
    return ferror(stdout) || fflush(stdout) ? FAILED : DONE;
}

/* Decodes to an opened WAV file. */
static int copy(const options *o, ncf *file, FILE *out)
{
    const ncf_info *info = ncf_get_info(file);
    int64_t got = 0, from = (int64_t)(o->start * info->sample_rate + 0.5), done = 0;
    int64_t most = o->end < 0 ? INT64_MAX : (int64_t)(o->end * info->sample_rate + 0.5) - from;
    size_t room = (size_t)BLOCK * info->channels;
    float *samples = malloc(room * sizeof *samples);
    uint8_t *bytes = malloc(room * 4);
    ncf_status status = samples && bytes ? NCF_OK : NCF_ERROR_MEMORY;
    if (!status && from)
        status = ncf_seek(file, from);
    /* The first read finds the end of a file that can seek. */
    got = status ? status : ncf_read(file, samples, most < BLOCK ? most : BLOCK);
    int64_t length = ncf_length(file);
    length = length < 0 ? length : length > from ? length - from : 0;
    int good = write_header(out, info, length > most ? most : length, o->floats);
    while (got > 0 && good) {
        good = write_samples(out, samples, (size_t)got * info->channels, o->floats, bytes);
        done += got;
        got = most > done ? ncf_read(file, samples, most - done < BLOCK ? most - done : BLOCK) : 0;
    }
    free(samples);
    free(bytes);
    if (got == NCF_ERROR_SEEK)
        return fail(o->input, "-s needs a file that can seek");
    if (got < 0)
        return fail(o->input, got == NCF_ERROR_MEMORY ? "there is no memory" : "cannot be read");
    return good && !fflush(out) ? DONE : fail(o->output, "cannot be written");
}

/* Says what was damaged; returns the exit status. */
static int report(const options *o, ncf *file)
{
    const ncf_info *info = ncf_get_info(file);
    double stride = (double)info->chunk_stride / info->sample_rate;
    size_t count = ncf_lost_count(file);
    for (size_t k = 0; k < count; k++) {
        int64_t first = ncf_lost_chunk(file, k), last = first;
        while (k + 1 < count && ncf_lost_chunk(file, k + 1) == last + 1) {
            last++;
            k++;
        }
        fprintf(stderr, "ncfdec: %s: damaged from %.1f to %.1f s, which is silent\n", o->input,
                (double)first * stride, (double)(last + 1) * stride);
    }
    if (o->end < 0 && !ncf_is_complete(file)) {
        fprintf(stderr, "ncfdec: %s: its end is missing\n", o->input);
        count++;
    }
    if (ncf_has_surplus(file))
        fprintf(stderr, "ncfdec: %s: other bytes follow, which are no part of it\n", o->input);
    if (info->source_rate != info->sample_rate)
        fprintf(stderr, "ncfdec: %s: was of %u Hz, is written at %u Hz\n", o->input,
                (unsigned)info->source_rate, (unsigned)info->sample_rate);
    return count ? 3 : DONE;
}

static int decode(const options *o, ncf *file)
{
    char why[NCF_MESSAGE], temporary[4096];
    ncf_model *model = NULL;
    int to_pipe = !strcmp(o->output, "-"), status;
    if (open_weights(o, ncf_get_info(file), &model, why) || ncf_use_model(file, model, why)) {
        ncf_model_close(model);
        return fail(o->input, why);
    }
    int size = snprintf(temporary, sizeof temporary, "%s.%ld.part", o->output, (long)getpid());
    FILE *out = to_pipe ? stdout
                : size > 0 && (size_t)size < sizeof temporary ? fopen(temporary, "wb") : NULL;
#ifdef _WIN32
    if (to_pipe)
        _setmode(_fileno(stdout), _O_BINARY);
#endif
    status = out ? copy(o, file, out) : fail(o->output, "cannot be written");
    if (out && !to_pipe) {
        if (fclose(out) && status == DONE)
            status = fail(o->output, "cannot be written");
        if (status == DONE) {
#ifdef _WIN32
            remove(o->output);
#endif
            if (rename(temporary, o->output))
                status = fail(o->output, "cannot be written");
        }
        if (status != DONE)
            remove(temporary);
    }
    if (status == DONE)
        status = report(o, file);
    ncf_close(file);
    ncf_model_close(model);
    return status;
}

static int wrong(const char *what)
{
    fprintf(stderr, "ncfdec: %s; ncfdec -h tells how to use it\n", what);
    return WRONG_USE;
}

/* A time in seconds; -1 where the text is none. */
static double seconds(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    return *text && !*end && value >= 0 && value <= 1e9 ? value : -1;
}

int main(int count, char **arguments)
{
    options o = {NULL, NULL, NULL, arguments[0], 0, 0, 0, -1};
    char why[NCF_MESSAGE];
    ncf *file;
    for (int k = 1; k < count; k++) {
        const char *given = arguments[k];
        if (given[0] == '-' && given[1] && !given[2] && strchr("mse", given[1])) {
            if (++k == count)
                return wrong("an option lacks its value");
            if (given[1] == 'm')
                o.weights = arguments[k];
            else if (seconds(arguments[k]) < 0)
                return wrong("times are in seconds, 0 or more");
            else if (given[1] == 's')
                o.start = seconds(arguments[k]);
            else
                o.end = seconds(arguments[k]);
        } else if (!strcmp(given, "-f")) {
            o.floats = 1;
        } else if (!strcmp(given, "-i")) {
            o.info = 1;
        } else if (!strcmp(given, "-h") || !strcmp(given, "--help")) {
            return fputs(HELP, stdout) < 0 ? FAILED : DONE;
        } else if (given[0] == '-' && given[1]) {
            return wrong("there is no such option");
        } else if (!o.input) {
            o.input = given;
        } else if (!o.output) {
            o.output = given;
        } else {
            return wrong("one input and one output are possible");
        }
    }
    if (!o.input || (!o.output && !o.info))
        return wrong(o.input ? "give an output" : "give an input and an output");
    if (o.end >= 0 && o.end <= o.start)
        return wrong("the end is not after the start");
#ifdef _WIN32
    _setmode(_fileno(stdin), _O_BINARY);
#endif
    if (ncf_open_file(o.input, &file, why))
        return fail(o.input, why);
    if (!o.info)
        return decode(&o, file);
    int status = print_info(file);
    ncf_close(file);
    return status;
}
