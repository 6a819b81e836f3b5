/* From chunks to audio: unpacks chunks, decodes them, and joins them where they overlap. See "From
 * chunks to audio" in formats/NCF.md. */
#include "reader.h"

#include <math.h>

enum {
    LANES = 32,   /* streams whose payloads an entropy model decodes in step */
    MAX_SLOTS = 16 /* chunks that are unpacked ahead for that */
};

/* One chunk, unpacked. */
typedef struct {
    int64_t index;
    uint32_t frames, codebooks, coded_streams;
    int lost, mid_side;
    uint8_t scales[255];
    uint8_t *payload;
    uint16_t *codes;      /* [streams with codes, codebooks, frames]; NULL where there are none */
    stream_layer *layers; /* [streams]; NULL where there are none */
    waveform *waveform;   /* NULL where there is none */
} slot;

struct decoding {
    const ncf_model *model;
    slot slots[MAX_SLOTS];
    uint32_t slot_count, slot_at, batch; /* batch: how many are unpacked at once */
    int64_t next;                        /* index of the chunk to be fetched next */
    ncf_chunk held;                      /* of a pipe, while a gap before it is filled */
    int holds, at_end, finished;
    uint32_t width, channels; /* of a whole decoded chunk */
    float *sum, *weight;      /* [channels, width], [width]: chunks added, from `base` on */
    float *joined;            /* [channels, room]: joined samples from `start` to `stop` */
    size_t room;
    int64_t base, start, stop;
    int64_t ready, wanted;    /* samples before `ready` may come out; the first that is wanted */
    int64_t end;              /* where the last chunk so far ends */
    waveform_tools *tools;    /* NULL where there are no waveform layers */
    slot waiting;             /* the chunk whose waveform layer waits for the one behind it */
    int has_waiting, is_open; /* is_open: whether the waiting one shares a slope with that before */
    float *window, *streams;  /* of a whole chunk; [2, width] */
    int64_t *lost;
    size_t lost_count, lost_room;
};

static void slot_free(slot *s, uint32_t streams)
{
    free(s->payload);
    free(s->codes);
    if (s->layers)
        ncf_layer_free(s->layers, streams);
    free(s->layers);
    ncf_waveform_free(s->waveform);
    memset(s, 0, sizeof *s);
}

void ncf_decoding_free(ncf *file)
{
    decoding *d = file->decoding;
    if (!d)
        return;
    for (uint32_t k = 0; k < MAX_SLOTS; k++)
        slot_free(&d->slots[k], file->info.streams);
    slot_free(&d->waiting, file->info.streams);
    ncf_waveform_tools_free(d->tools);
    free(d->joined);
    free(d->sum);
    free(d->weight);
    free(d->window);
    free(d->streams);
    free(d->lost);
    free(d);
    file->decoding = NULL;
}

/* ---- the model ---- */

static int fits(const ncf_info *h, const ncf_model *m)
{
    return h->sample_rate == m->sample_rate && h->hop == m->hop &&
           h->chunk_frames == m->chunk_frames && h->chunk_stride == m->chunk_stride &&
           h->overlap == m->overlap && h->codebook_size == m->codebook_size &&
           h->codebooks <= m->codebooks && h->streams == h->channels &&
           h->scale_kind == NCF_SCALES_LOG;
}

static void start_at(decoding *d, const ncf_info *info, int64_t chunk, int64_t sample)
{
    int64_t lead = ((int64_t)info->chunk_stride + info->overlap -
                    (int64_t)info->chunk_frames * info->hop) / 2;
    d->next = chunk;
    d->start = d->stop = d->ready = d->end = chunk * info->chunk_stride;
    d->base = d->start - lead;
    d->wanted = sample;
    d->slot_count = d->slot_at = 0;
    d->batch = 2;
    d->holds = d->at_end = d->finished = d->has_waiting = 0;
    d->is_open = chunk > 0;
    slot_free(&d->waiting, info->streams);
    memset(d->sum, 0, (size_t)d->channels * d->width * sizeof *d->sum);
    memset(d->weight, 0, d->width * sizeof *d->weight);
}

static int64_t lead_of(const ncf_info *h)
{
    return ((int64_t)h->chunk_stride + h->overlap - (int64_t)h->chunk_frames * h->hop) / 2;
}

ncf_status ncf_use_model(ncf *file, const ncf_model *model, char why[NCF_MESSAGE])
{
    const ncf_info *h = &file->info;
    int known = 0;
    for (uint32_t k = 0; k < model->fingerprint_count; k++)
        known |= !memcmp(model->fingerprints + 8 * (size_t)k, h->fingerprint, 8);
    if (!known)
        return ncf_fail(NCF_ERROR_MODEL, why, "made with other weights (%s) than those given (%s)",
                        h->codec, model->name);
    if (!fits(h, model))
        return ncf_fail(NCF_ERROR_MODEL, why, "its header does not fit %s", model->name);
    if (h->entropy == NCF_ENTROPY_MODEL &&
        (!model->entropy || strcmp(h->entropy_model, model->entropy_name) ||
         memcmp(h->entropy_fingerprint, model->entropy_fingerprint, 8) ||
         h->codebook_size != model->entropy->codebook_size ||
         h->chunk_frames > model->entropy->frames))
        return ncf_fail(NCF_ERROR_MODEL, why, "its codes need the entropy model %s, another one "
                        "than that of the weights given", h->entropy_model);
    ncf_decoding_free(file);
    decoding *d = file->decoding = calloc(1, sizeof *d);
    if (!d)
        return ncf_fail(NCF_ERROR_MEMORY, why, "no memory");
    d->model = model;
    d->channels = h->channels;
    d->width = ncf_neu_width(model->network, h->chunk_frames);
    d->room = d->width + (h->layer == NCF_LAYER_WAVEFORM ? 3 * (size_t)h->chunk_stride : 0);
    if (h->layer == NCF_LAYER_WAVEFORM)
        d->tools = ncf_waveform_tools_new(h);
    d->joined = malloc((size_t)d->channels * d->room * sizeof *d->joined);
    d->sum = malloc((size_t)d->channels * d->width * sizeof *d->sum);
    d->weight = malloc(d->width * sizeof *d->weight);
    d->window = malloc(d->width * sizeof *d->window);
    d->streams = malloc(2 * (size_t)d->width * sizeof *d->streams);
    if ((h->layer == NCF_LAYER_WAVEFORM && !d->tools) || !d->joined || !d->sum || !d->weight || !d->window || !d->streams ||
        ncf_neu_window(model->network, h->chunk_frames, d->window)) {
        ncf_decoding_free(file);
        return ncf_fail(NCF_ERROR_MEMORY, why, "no memory for %u channels", (unsigned)h->channels);
    }
    start_at(d, h, 0, 0);
    return NCF_OK;
}

/* ---- fetching and unpacking ---- */

/* Takes what decoding needs of a chunk, NULL for one that is lost, into a slot. */
static ncf_status fill_slot(const ncf *file, int64_t index, const ncf_chunk *chunk, slot *s)
{
    const ncf_info *h = &file->info;
    memset(s, 0, sizeof *s);
    s->index = index;
    s->frames = chunk ? chunk->frames : h->chunk_frames;
    s->lost = !chunk || (chunk->mid_side && (h->streams != h->channels || h->streams < 2));
    if (s->lost)
        return NCF_OK;
    s->codebooks = chunk->codebooks;
    s->mid_side = chunk->mid_side;
    if (chunk->layer_length && h->layer == NCF_LAYER_WAVEFORM) {
        int good = ncf_waveform_decode(
            h, s->frames, chunk->layer, chunk->layer_length, &s->waveform);
        s->lost = good < 1;
        if (s->lost)
            return good ? NCF_ERROR_MEMORY : NCF_OK;
    } else if (chunk->layer_length) {
        s->layers = malloc(h->streams * sizeof *s->layers);
        if (!s->layers)
            return NCF_ERROR_MEMORY;
        int good = ncf_layer_decode(h, s->frames, chunk->layer, chunk->layer_length, s->layers);
        if (good < 1) {
            free(s->layers);
            s->layers = NULL;
            s->lost = 1;
            return good ? NCF_ERROR_MEMORY : NCF_OK;
        }
    }
    if (!s->codebooks)
        return NCF_OK;
    memcpy(s->scales, chunk->scales, h->streams);
    for (uint32_t k = 0; k < h->streams; k++)
        s->coded_streams += s->scales[k] != 0;
    s->payload = malloc(chunk->payload_length + 1);
    s->codes = malloc((size_t)s->coded_streams * s->codebooks * s->frames * sizeof *s->codes);
    if (!s->payload || !s->codes)
        return NCF_ERROR_MEMORY;
    memcpy(s->payload, chunk->payload, chunk->payload_length);
    return NCF_OK;
}

/* Reads ahead in a pipe, so that the file's end is known before its last samples are given. */
static int peek(ncf *file, decoding *d)
{
    if (d->holds || d->at_end)
        return NCF_OK;
    int found = ncf_next_chunk(file, &d->held);
    d->holds = found > 0;
    d->at_end = found == 0;
    return found < 0 ? found : NCF_OK;
}

/* Fills the next slot: 1, 0 at the end, or an ncf_status. */
static int fetch(ncf *file, decoding *d, slot *s, payload_job *job)
{
    ncf_chunk *chunk = &d->held;
    int found = file->seekable ? NCF_OK : peek(file, d);
    if (found < 0)
        return found;
    if (!d->holds && d->next >= file->chunk_count)
        return 0;
    if (file->seekable) {
        found = ncf_read_chunk(file, d->next, chunk);
        if (found < 0)
            return found;
    } else {
        found = d->holds && chunk->index == d->next;
        d->holds = d->holds && !found;
    }
    ncf_status status = fill_slot(file, d->next++, found ? chunk : NULL, s);
    if (status)
        return status;
    memset(job, 0, sizeof *job);
    if (!s->lost && s->codebooks) {
        job->payload = s->payload;
        job->payload_length = chunk->payload_length;
        job->codebooks = s->codebooks;
        job->frames = s->frames;
        job->streams = s->coded_streams;
        job->raw = chunk->raw;
        job->codes = s->codes;
    }
    status = file->seekable ? NCF_OK : (ncf_status)peek(file, d);
    return status ? (int)status : 1;
}

static ncf_status unpack_ahead(ncf *file, decoding *d)
{
    payload_job jobs[MAX_SLOTS];
    slot *owners[MAX_SLOTS];
    uint32_t streams = file->info.streams, count = 0;
    uint32_t most = LANES / streams < MAX_SLOTS ? LANES / streams : MAX_SLOTS;
    if (file->info.entropy != NCF_ENTROPY_MODEL || !file->seekable || !most)
        most = 1;
    d->batch = d->batch < most ? d->batch : most;
    for (uint32_t k = 0; k < MAX_SLOTS; k++)
        slot_free(&d->slots[k], streams);
    d->slot_count = d->slot_at = 0;
    while (d->slot_count < d->batch) {
        int found = fetch(file, d, &d->slots[d->slot_count], &jobs[count]);
        if (found < 0)
            return (ncf_status)found;
        if (!found)
            break;
        owners[count] = &d->slots[d->slot_count];
        count += jobs[count].codes != NULL;
        d->slot_count++;
    }
    d->batch *= 2;
    ncf_status status = ncf_unpack(&file->info, d->model->entropy, jobs, count);
    for (uint32_t k = 0; k < count; k++)
        owners[k]->lost |= jobs[k].lost;
    return status;
}

/* ---- sound ---- */

/* Gives one stream of a chunk, at its level and with its layer: [width of so many frames]. */
static ncf_status decode_stream(
    const ncf *file, const decoding *d, const slot *s, uint32_t stream, uint32_t width,
    const float *window, float *samples)
{
    uint32_t before = 0;
    ncf_status status = NCF_OK;
    if (s->codebooks && s->scales[stream]) {
        for (uint32_t k = 0; k < stream; k++)
            before += s->scales[k] != 0;
        const uint16_t *codes = s->codes + (size_t)before * s->codebooks * s->frames;
        float level = (float)pow(2.0, ((double)s->scales[stream] - 160) / 6);
        status = ncf_neu_decode(d->model->network, codes, s->codebooks, s->frames, s->index == 0,
                                s->frames < file->info.chunk_frames, samples);
        for (uint32_t k = 0; k < width && !status; k++)
            samples[k] *= level;
    } else {
        memset(samples, 0, width * sizeof *samples);
    }
    if (!status && s->layers)
        status = ncf_layer_add(&file->info, s->frames, &s->layers[stream], window, samples);
    return status;
}

static void add_to(float *sum, const float *samples, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++)
        sum[k] += samples[k];
}

static ncf_status add_streams(
    const ncf *file, decoding *d, const slot *s, uint32_t width, const float *window)
{
    float *one = d->streams, *two = d->streams + d->width;
    ncf_status status = NCF_OK;
    uint32_t stream = 0;
    if (s->mid_side) {
        status = decode_stream(file, d, s, 0, width, window, one);
        if (!status)
            status = decode_stream(file, d, s, 1, width, window, two);
        for (uint32_t k = 0; k < width && !status; k++) {
            d->sum[k] += one[k] + two[k];
            d->sum[d->width + k] += one[k] - two[k];
        }
        stream = 2;
    }
    for (; stream < d->channels && !status; stream++) {
        status = decode_stream(file, d, s, stream, width, window, one);
        if (!status)
            add_to(d->sum + (size_t)stream * d->width, one, width);
    }
    return status;
}

static ncf_status note_lost(decoding *d, int64_t index)
{
    if (d->lost_count && index <= d->lost[d->lost_count - 1]) /* read again after seeking */
        for (size_t k = 0; k < d->lost_count; k++)
            if (d->lost[k] == index)
                return NCF_OK;
    if (d->lost_count == d->lost_room) {
        size_t room = d->lost_room ? 2 * d->lost_room : 16;
        int64_t *grown = realloc(d->lost, room * sizeof *grown);
        if (!grown)
            return NCF_ERROR_MEMORY;
        d->lost = grown;
        d->lost_room = room;
    }
    d->lost[d->lost_count++] = index;
    return NCF_OK;
}

/* Drops the samples that have come out, and takes those before `until` from the sums, divided by
 * their weights. */
static void join(decoding *d, int64_t until)
{
    size_t gone = (size_t)(d->ready - d->start), kept = (size_t)(d->stop - d->ready);
    int64_t from = d->base > d->stop ? d->base : d->stop;
    size_t skip = (size_t)(from - d->base), count = until > from ? (size_t)(until - from) : 0;
    size_t passed = until > d->base ? (size_t)(until - d->base) : 0;
    for (uint32_t c = 0; c < d->channels; c++) {
        float *to = d->joined + c * d->room, *sum = d->sum + (size_t)c * d->width;
        memmove(to, to + gone, kept * sizeof *to);
        for (size_t k = 0; k < count; k++) {
            float weight = d->weight[skip + k];
            to[kept + k] = sum[skip + k] / (weight > 1e-3f ? weight : 1e-3f);
        }
        if (count) {
            memmove(sum, sum + passed, (d->width - passed) * sizeof *sum);
            memset(sum + d->width - passed, 0, passed * sizeof *sum);
        }
    }
    d->start = d->ready;
    d->stop += (int64_t)count;
    if (!count)
        return;
    memmove(d->weight, d->weight + passed, (d->width - passed) * sizeof *d->weight);
    memset(d->weight + d->width - passed, 0, passed * sizeof *d->weight);
    d->base = until;
}

/* Reads a sample of a joined channel, mirrored at `end` unless that is below 0; zero where there is
 * none. */
static float joined_at(const decoding *d, uint32_t channel, int64_t first, int64_t at, int64_t end)
{
    if (end >= 0) {
        int64_t size = end - first > 1 ? end - first : 1, turn = (at - first) % (2 * size);
        at = first + (turn < size ? turn : 2 * size - 1 - turn);
    }
    if (at < d->start || at >= d->stop)
        return 0;
    return d->joined[channel * d->room + (size_t)(at - d->start)];
}

/* Adds the waveform layer of the chunk that waits, `behind` being the next one or NULL. */
static ncf_status add_waiting(const ncf *file, decoding *d, const slot *behind)
{
    const ncf_info *h = &file->info;
    const slot *s = &d->waiting;
    const waveform *w = s->waveform;
    int last = w && ncf_waveform_is_last(w);
    /* Of a lost chunk nothing is known, and most chunks have a layer. */
    int opens = (w || s->lost) && behind && (behind->waveform || behind->lost) && !last;
    int opened[2] = {d->is_open, opens};
    d->is_open = opens;
    if (!w || s->lost)
        return NCF_OK;
    uint32_t block = ncf_waveform_block(h);
    size_t count = (size_t)ncf_waveform_blocks(w) * block + block / 4;
    int64_t own = s->index * h->chunk_stride, first = own - block / 8;
    int64_t end = last ? own + (int64_t)s->frames * h->hop : -1;
    float *spans = malloc(2 * count * sizeof *spans), *one = spans, *two = spans + count;
    if (!spans)
        return NCF_ERROR_MEMORY;
    for (uint32_t c = 0; c < d->channels; c++) {
        int pair = s->mid_side && c == 0;
        for (size_t k = 0; k < count; k++) {
            one[k] = joined_at(d, c, first, first + (int64_t)k, end);
            if (pair) {
                float left = one[k], right = joined_at(d, 1, first, first + (int64_t)k, end);
                one[k] = (left + right) / 2;
                two[k] = (left - right) / 2;
            }
        }
        ncf_waveform_change(d->tools, w, c, opened, one);
        if (pair)
            ncf_waveform_change(d->tools, w, 1, opened, two);
        for (size_t k = 0; k < count; k++) {
            int64_t at = first + (int64_t)k;
            if (at < d->start || at >= d->stop)
                continue;
            float *to = d->joined + c * d->room + (size_t)(at - d->start);
            *to += pair ? one[k] + two[k] : one[k];
            if (pair)
                to[d->room] += one[k] - two[k];
        }
        c += (uint32_t)pair;
    }
    free(spans);
    return NCF_OK;
}

/* Adds the next chunk to the sums. `*added` is that, or NULL at the end. */
static ncf_status add_next(ncf *file, decoding *d, slot **added)
{
    const ncf_info *h = &file->info;
    ncf_status status = NCF_OK;
    *added = NULL;
    if (d->slot_at == d->slot_count && (status = unpack_ahead(file, d)))
        return status;
    if (d->slot_at == d->slot_count) {
        d->finished = 1;
        return NCF_OK;
    }
    slot *s = &d->slots[d->slot_at++];
    uint32_t width = ncf_neu_width(d->model->network, s->frames);
    float *window = d->window, *own = NULL;
    if (s->frames != h->chunk_frames) {
        window = own = malloc(width * sizeof *own);
        status = own ? ncf_neu_window(d->model->network, s->frames, own) : NCF_ERROR_MEMORY;
    }
    if (!status && s->lost)
        status = note_lost(d, s->index);
    else if (!status && (s->codebooks || s->layers))
        status = add_streams(file, d, s, width, window);
    if (!status)
        add_to(d->weight, window, width);
    free(own);
    d->end = s->index * h->chunk_stride + (int64_t)s->frames * h->hop;
    *added = s;
    return status;
}

/* Adds the next chunk, or finishes, so that more samples are ready. */
static ncf_status advance(ncf *file, decoding *d)
{
    const ncf_info *h = &file->info;
    slot *s;
    ncf_status status = add_next(file, d, &s);
    if (status)
        return status;
    /* Nothing follows a short chunk; else the next chunk begins a little before its own samples. */
    int64_t until = d->end;
    if (s && s->frames == h->chunk_frames)
        until = (s->index + 1) * h->chunk_stride - lead_of(h);
    join(d, until);
    d->ready = d->stop;
    if (!d->tools)
        return NCF_OK;
    if (d->has_waiting)
        status = add_waiting(file, d, s);
    slot_free(&d->waiting, h->streams);
    d->has_waiting = s != NULL;
    if (!s)
        return status;
    d->waiting = *s;
    memset(s, 0, sizeof *s);
    /* The layer of this chunk reaches into the one before, and is added with the next one. */
    int64_t reached = d->waiting.index * h->chunk_stride - ncf_waveform_block(h) / 8;
    d->ready = reached > d->start ? reached < d->stop ? reached : d->stop : d->start;
    return status;
}

int64_t ncf_length(const ncf *file)
{
    int64_t frames = ncf_source_frames(file);
    uint64_t rate = file->info.sample_rate, source = file->info.source_rate;
    if (frames < 0)
        return -1;
    /* frames * rate may not fit into 64 bits */
    uint64_t whole = (uint64_t)frames / source, rest = (uint64_t)frames % source;
    if (whole > INT64_MAX / rate - 1)
        return INT64_MAX;
    return (int64_t)(whole * rate + (rest * rate + source - 1) / source);
}

/* Makes the decoder ready where the file's end must be known first. */
static ncf_status prepare(ncf *file)
{
    if (!file->decoding)
        return NCF_ERROR_MODEL;
    return file->seekable ? ncf_locate(file) : NCF_OK;
}

int64_t ncf_read(ncf *file, float *samples, int64_t count)
{
    int64_t done = 0;
    ncf_status status = file && (samples || !count) && count >= 0 ? prepare(file)
                                                                  : NCF_ERROR_ARGUMENT;
    decoding *d = file ? file->decoding : NULL;
    float gain = file && file->info.gain_db != 0
                     ? (float)pow(10.0, -(double)file->info.gain_db / 20) : 1.0f;
    while (!status && done < count) {
        int64_t total = ncf_length(file), wanted = count - done;
        if (total >= 0 && d->wanted >= total)
            break;
        if (total >= 0 && wanted > total - d->wanted)
            wanted = total - d->wanted;
        if (d->wanted < d->ready) {
            size_t from = (size_t)(d->wanted - d->start);
            wanted = wanted < d->ready - d->wanted ? wanted : d->ready - d->wanted;
            for (uint32_t c = 0; c < d->channels; c++)
                for (int64_t k = 0; k < wanted; k++)
                    samples[(done + k) * d->channels + c] =
                        d->joined[c * d->room + from + (size_t)k] * gain;
        } else if (d->finished) { /* lost at the very end */
            if (total < 0 || !file->complete)
                break;
            memset(samples + done * d->channels, 0, (size_t)wanted * d->channels * sizeof *samples);
        } else {
            status = advance(file, d);
            continue;
        }
        d->wanted += wanted;
        done += wanted;
    }
    return status && !done ? (int64_t)status : done;
}

ncf_status ncf_seek(ncf *file, int64_t sample)
{
    if (!file || sample < 0)
        return NCF_ERROR_ARGUMENT;
    if (!file->seekable)
        return NCF_ERROR_SEEK;
    ncf_status status = prepare(file);
    if (status)
        return status;
    const ncf_info *h = &file->info;
    int64_t total = ncf_length(file), place;
    if (total >= 0 && sample > total)
        sample = total;
    /* Where samples are wanted, the first chunk must have taken over from the one before. */
    place = sample - h->overlap + lead_of(h);
    place = place > 0 ? place / h->chunk_stride : 0;
    if (h->layer == NCF_LAYER_WAVEFORM) /* whose first block begins within the chunk before */
        place = sample / h->chunk_stride > 1 ? sample / h->chunk_stride - 1 : 0;
    if (place > file->chunk_count)
        place = file->chunk_count;
    start_at(file->decoding, h, place, sample);
    return NCF_OK;
}

int64_t ncf_tell(const ncf *file)
{
    return file->decoding ? file->decoding->wanted : 0;
}

size_t ncf_lost_count(const ncf *file)
{
    return file->decoding ? file->decoding->lost_count : 0;
}

int64_t ncf_lost_chunk(const ncf *file, size_t at)
{
    return at < ncf_lost_count(file) ? file->decoding->lost[at] : -1;
}
