/* Payloads to codes: raw, range coded by adaptive frequencies, or by those of a model. See
 * "Payload" in formats/NCF.md. */
#include "internal.h"

/* ---- range coding ---- */

static uint32_t word_at(const range_decoder *d, size_t place)
{
    uint32_t word = 0;
    for (size_t k = 0; k < 4; k++) /* behind its end a payload reads as zeros */
        word = word << 8 | (place + k < d->length ? d->bytes[place + k] : 0u);
    return word;
}

void ncf_range_start(range_decoder *d, const uint8_t *bytes, size_t length)
{
    d->bytes = bytes;
    d->length = length;
    d->offset = (uint64_t)word_at(d, 0) << 32 | word_at(d, 4);
    d->span = UINT64_MAX;
    d->size = 8;
    d->lost = 0;
}

uint32_t ncf_range_target(range_decoder *d)
{
    uint64_t target = d->offset / (d->span >> TOTAL_BITS);
    if (target < TOTAL)
        return (uint32_t)target;
    d->lost = 1;
    return TOTAL - 1;
}

void ncf_range_take(range_decoder *d, uint32_t left, uint32_t width)
{
    uint64_t scale = d->span >> TOTAL_BITS;
    d->offset -= scale * left;
    d->span = scale * width;
    if (d->span >> 32)
        return;
    d->offset = d->offset << 32 | word_at(d, d->size);
    d->span <<= 32;
    d->size += 4;
}

/* Encoding gives all bytes of the interval's low end but the last eight. */
int ncf_range_lost(const range_decoder *d)
{
    return d->lost || d->size > d->length + 8;
}

/* Whether the payload is just what encoding gives: the shortest string of bytes whose value lies in
 * the final interval, and of those the smallest. */
int ncf_range_is_whole(const range_decoder *d)
{
    if (ncf_range_lost(d) || d->length > d->size)
        return 0;
    size_t left_out = d->size - d->length;
    uint64_t value = 0; /* of the payload, with zeros behind it, modulo 2^64 */
    for (size_t k = 0; k < 8; k++)
        value = value << 8 | (d->size - 8 + k < d->length ? d->bytes[d->size - 8 + k] : 0u);
    uint64_t low = value - d->offset;
    for (size_t spare = 8;; spare--) {
        /* From the interval's low end up to the next number that ends with so many zeros. */
        uint64_t gap = spare == 8 ? 0 - low : (0 - low) & ((UINT64_C(1) << 8 * spare) - 1);
        if (gap < d->span)
            return spare == left_out && gap == d->offset;
    }
}

/* ---- raw ---- */

static void unpack_raw(payload_job *job, uint32_t size, uint32_t bits)
{
    size_t count = (size_t)job->streams * job->codebooks * job->frames, at = 0;
    uint32_t held = 0, have = 0;
    for (size_t k = 0; k < count; k++) {
        for (; have < bits; have += 8)
            held = held << 8 | job->payload[at++];
        have -= bits;
        uint32_t code = held >> have & ((1u << bits) - 1);
        job->lost |= code >= size;
        job->codes[k] = (uint16_t)code;
    }
}

/* ---- adaptive frequencies ---- */

enum { PREDICTORS = 4, WEIGHT_BITS = 20 };
static const uint64_t supposed[PREDICTORS] = {10, 30, 100, 300};

/* What is known of one codebook of one stream. */
typedef struct {
    uint64_t weights[PREDICTORS + 1];
    uint32_t seen;          /* how many different codes have come */
    uint16_t *codes;        /* those, smallest first */
    uint16_t *times;        /* how often each has */
} adaptive;

static uint32_t adaptive_decode(adaptive *a, range_decoder *d, uint64_t frames, uint64_t size)
{
    uint64_t step = 0;
    for (int k = 0; k < PREDICTORS; k++)
        step += a->weights[k] * (TOTAL - size) / (supposed[k] + frames);
    step >>= WEIGHT_BITS;
    uint64_t base = (TOTAL - step * frames) / size, spare = (TOTAL - step * frames) % size;
    uint64_t target = ncf_range_target(d), before = 0;
    uint32_t k = 0;
    /* Past those codes that have come and lie left of the target. */
    while (k < a->seen &&
           base * (a->codes[k] + UINT64_C(1)) + step * (before + a->times[k]) + spare <= target)
        before += a->times[k++];
    uint64_t limit = k < a->seen ? a->codes[k] : size - 1, left, code = 0;
    if (target >= step * before + spare)
        code = (target - step * before - spare) / base;
    code = code < limit ? code : limit;
    uint64_t times = k < a->seen && code == a->codes[k] ? a->times[k] : 0;
    left = base * code + step * before + (code ? spare : 0);
    ncf_range_take(d, (uint32_t)left, (uint32_t)(base + step * times + (code ? 0 : spare)));

    uint64_t share[PREDICTORS + 1], total = 0;
    for (int p = 0; p < PREDICTORS; p++) {
        uint64_t likelihood = ((supposed[p] + times * size) << TOTAL_BITS) /
                              ((supposed[p] + frames) * size);
        total += share[p] = a->weights[p] * likelihood;
    }
    total += share[PREDICTORS] = a->weights[PREDICTORS] * (TOTAL / size);
    for (int p = 0; p <= PREDICTORS; p++) {
        a->weights[p] = share[p] / ((total >> WEIGHT_BITS) + 1);
        a->weights[p] += !a->weights[p];
    }
    if (times) {
        a->times[k]++;
    } else {
        memmove(a->codes + k + 1, a->codes + k, (a->seen - k) * sizeof *a->codes);
        memmove(a->times + k + 1, a->times + k, (a->seen - k) * sizeof *a->times);
        a->codes[k] = (uint16_t)code;
        a->times[k] = 1;
        a->seen++;
    }
    return (uint32_t)code;
}

static ncf_status unpack_adaptive(payload_job *job, uint32_t size)
{
    static const uint64_t prior[PREDICTORS + 1] = {65536, 65536, 131072, 131072, 655360};
    size_t lanes = (size_t)job->streams * job->codebooks, count = lanes * job->frames;
    /* Few bytes must not stand for very many codes. */
    if (count > (1 << 10) + 32 * (uint64_t)job->payload_length) {
        job->lost = 1;
        return NCF_OK;
    }
    adaptive *state = calloc(lanes, sizeof *state);
    uint16_t *room = malloc(2 * count * sizeof *room);
    range_decoder d;
    if (!state || !room) {
        free(state);
        free(room);
        return NCF_ERROR_MEMORY;
    }
    for (size_t lane = 0; lane < lanes; lane++) {
        memcpy(state[lane].weights, prior, sizeof prior);
        state[lane].codes = room + 2 * lane * job->frames;
        state[lane].times = state[lane].codes + job->frames;
    }
    ncf_range_start(&d, job->payload, job->payload_length);
    for (uint32_t frame = 0; frame < job->frames && !ncf_range_lost(&d); frame++)
        for (uint32_t book = 0; book < job->codebooks; book++)
            for (uint32_t stream = 0; stream < job->streams; stream++) {
                size_t lane = (size_t)stream * job->codebooks + book;
                job->codes[lane * job->frames + frame] =
                    (uint16_t)adaptive_decode(&state[lane], &d, frame, size);
            }
    job->lost = !ncf_range_is_whole(&d);
    free(state);
    free(room);
    return NCF_OK;
}

/* ---- frequencies from a model: many chunks in step ---- */

/* Takes the next code of a lane, whose frequencies are given. */
static uint32_t decode_row(range_decoder *d, const uint32_t *frequencies, uint32_t size)
{
    uint32_t target = ncf_range_target(d), left = 0, code = 0;
    while (code + 1 < size && left + frequencies[code] <= target)
        left += frequencies[code++];
    ncf_range_take(d, left, frequencies[code]);
    return code;
}

typedef struct {
    payload_job *job;
    range_decoder decoder;
    uint32_t lane, frame; /* its first lane; frames that are decoded */
} member;

/* Decodes a codebook of one frame, of all chunks that have it. */
static void decode_book(
    const frequency_model *model, void *state, member *members, size_t count, uint32_t frame,
    uint32_t book, uint32_t *lanes, uint32_t *rows)
{
    uint32_t size = model->codebook_size, active = 0, row = 0;
    for (size_t m = 0; m < count; m++)
        if (members[m].job->frames > frame && members[m].job->codebooks > book &&
            !members[m].job->lost)
            for (uint32_t stream = 0; stream < members[m].job->streams; stream++)
                lanes[active++] = members[m].lane + stream;
    if (!active)
        return;
    model->rows(state, book, lanes, active, rows);
    for (size_t m = 0; m < count; m++) {
        payload_job *job = members[m].job;
        if (job->frames <= frame || job->codebooks <= book || job->lost)
            continue;
        for (uint32_t stream = 0; stream < job->streams; stream++, row++) {
            const uint32_t *frequencies = rows + (size_t)row * size;
            uint32_t code = decode_row(&members[m].decoder, frequencies, size);
            job->codes[((size_t)stream * job->codebooks + book) * job->frames + frame] =
                (uint16_t)code;
            model->given(state, book, members[m].lane + stream, code);
        }
    }
}

static void decode_members(
    const frequency_model *model, void *state, member *members, size_t count, uint32_t *lanes,
    uint32_t *rows)
{
    for (uint32_t frame = 0;; frame++) {
        uint32_t active = 0, books = 0;
        for (size_t m = 0; m < count; m++) {
            payload_job *job = members[m].job;
            if (job->frames <= frame || job->lost)
                continue;
            if (ncf_range_lost(&members[m].decoder)) {
                job->lost = 1;
                continue;
            }
            books = job->codebooks > books ? job->codebooks : books;
            for (uint32_t stream = 0; stream < job->streams; stream++)
                lanes[active++] = members[m].lane + stream;
        }
        if (!active)
            return;
        model->frame(state, lanes, active);
        for (uint32_t book = 0; book < books; book++)
            decode_book(model, state, members, count, frame, book, lanes, rows);
    }
}

static ncf_status unpack_by_model(
    const frequency_model *model, uint32_t chunk_frames, payload_job *jobs, size_t count)
{
    size_t kept = 0, lane_count = 0;
    member *members = malloc(count * sizeof *members);
    for (size_t k = 0; members && k < count; k++) {
        if (jobs[k].raw)
            continue;
        if (jobs[k].codebooks > model->codebooks || chunk_frames > model->frames) {
            jobs[k].lost = 1;
            continue;
        }
        members[kept].job = &jobs[k];
        members[kept].lane = (uint32_t)lane_count;
        ncf_range_start(&members[kept].decoder, jobs[k].payload, jobs[k].payload_length);
        lane_count += jobs[k].streams;
        kept++;
    }
    if (members && !kept) {
        free(members);
        return NCF_OK;
    }
    uint32_t *lanes = malloc((lane_count + 1) * 2 * sizeof *lanes);
    uint32_t *rows = malloc((lane_count + 1) * (size_t)model->codebook_size * sizeof *rows);
    void *state = NULL;
    if (members && lanes && rows) {
        uint32_t *books = lanes + lane_count + 1;
        for (size_t m = 0; m < kept; m++)
            for (uint32_t stream = 0; stream < members[m].job->streams; stream++)
                books[members[m].lane + stream] = members[m].job->codebooks;
        state = model->start(model, (uint32_t)lane_count, books);
    }
    if (state) {
        decode_members(model, state, members, kept, lanes, rows);
        for (size_t m = 0; m < kept; m++)
            members[m].job->lost |= !ncf_range_is_whole(&members[m].decoder);
        model->stop(state);
    }
    free(members);
    free(lanes);
    free(rows);
    return state ? NCF_OK : NCF_ERROR_MEMORY;
}

ncf_status ncf_unpack(
    const ncf_info *info, const frequency_model *model, payload_job *jobs, size_t count)
{
    ncf_status status = NCF_OK;
    for (size_t k = 0; k < count && !status; k++) {
        if (jobs[k].raw || !info->entropy)
            unpack_raw(&jobs[k], info->codebook_size, ncf_code_bits(info->codebook_size));
        else if (info->entropy == NCF_ENTROPY_ADAPTIVE)
            status = unpack_adaptive(&jobs[k], info->codebook_size);
    }
    if (status || info->entropy != NCF_ENTROPY_MODEL)
        return status;
    if (!model || model->codebook_size != info->codebook_size)
        return NCF_ERROR_MODEL;
    return unpack_by_model(model, info->chunk_frames, jobs, count);
}
