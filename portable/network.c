/* The decoder of the embedded codecs: codes to spectra by a network over frames, the phases that are
 * not coded from noise, and spectra to samples. See docs/portable.md. */
#include "internal.h"

#include <math.h>
#include <stdio.h>

enum {
    NOISE_FRAMES = 128, /* after so many frames the noise begins anew */
    FADE = 32,          /* bins over which the noise takes over from known directions */
    TAPS = 7,
    REFLECTED = 3 /* frames that are reflected at an end of the signal */
};
static const double PI = 3.14159265358979323846;

typedef struct {
    uint32_t inputs, outputs;
    float *panels, *bias; /* filled up with zeros to whole panels */
} dense;

typedef struct {
    float *taps, *tap_bias, *norm_gain, *norm_bias, *scale;
    dense expand, reduce;
} block;

struct neu {
    const kernels *kernels;
    uint32_t window, hop, stack, width, blocks, expansion, latent, codebooks, codebook_size, dim;
    uint32_t known_bins, bins, levels, bands, fade;
    float **entries; /* of each codebook, [codebook_size, dim] */
    dense *up, input, output;
    float *input_gain, *input_bias, *output_gain, *output_bias;
    block *block;
    float *noise;   /* [NOISE_FRAMES, 2, bins - known_bins + FADE]; NULL where all are known */
    float *spread;  /* [bins, 2]: how a bin's level comes of two neighbouring bands */
    uint32_t *band; /* [bins]: the lower one of those */
    float *hann;    /* [window] */
    float *rise;    /* [fade]: weights of a chunk's outermost spectra */
    fourier *plan;
};

/* ---- loading ---- */

static int load_dense(
    const weights *file, const char *part, uint32_t inputs, uint32_t outputs, dense *d)
{
    char name[80];
    uint32_t shape[2] = {outputs, inputs}, whole = (outputs + PANEL - 1) / PANEL * PANEL;
    snprintf(name, sizeof name, "%s.weight", part);
    float *weight = ncf_floats(file, name, 2, shape);
    snprintf(name, sizeof name, "%s.bias", part);
    float *bias = ncf_floats(file, name, 1, shape);
    d->inputs = inputs;
    d->outputs = outputs;
    d->panels = calloc((size_t)whole * inputs, sizeof *d->panels);
    d->bias = calloc(whole, sizeof *d->bias);
    int good = weight && bias && d->panels && d->bias;
    for (uint32_t j = 0; good && j < outputs; j++) {
        float *to = d->panels + (size_t)(j / PANEL) * PANEL * inputs + j % PANEL;
        const float *from = weight + (size_t)j * inputs;
        d->bias[j] = bias[j];
        for (uint32_t k = 0; k < inputs; k++)
            to[(size_t)k * PANEL] = from[k];
    }
    free(weight);
    free(bias);
    return good;
}

static float *vector_of(const weights *file, const char *part, const char *last, uint32_t count)
{
    char name[80];
    snprintf(name, sizeof name, "%s.%s", part, last);
    return ncf_floats(file, name, 1, &count);
}

static int load_block(const weights *file, const neu *n, uint32_t k, block *b)
{
    char part[48], name[80];
    uint32_t shape[3] = {n->width, 1, TAPS};
    snprintf(part, sizeof part, "decoder.blocks.%u", (unsigned)k);
    snprintf(name, sizeof name, "%s.depthwise.weight", part);
    float *taps = ncf_floats(file, name, 3, shape);
    b->taps = taps ? malloc(TAPS * (size_t)n->width * sizeof *b->taps) : NULL;
    for (uint32_t c = 0; b->taps && c < n->width; c++)
        for (uint32_t tap = 0; tap < TAPS; tap++)
            b->taps[(size_t)tap * n->width + c] = taps[(size_t)c * TAPS + tap];
    free(taps);
    b->tap_bias = vector_of(file, part, "depthwise.bias", n->width);
    b->norm_gain = vector_of(file, part, "norm.weight", n->width);
    b->norm_bias = vector_of(file, part, "norm.bias", n->width);
    b->scale = vector_of(file, part, "scale", n->width);
    snprintf(name, sizeof name, "%s.expand", part);
    int good = load_dense(file, name, n->width, n->expansion * n->width, &b->expand);
    snprintf(name, sizeof name, "%s.reduce", part);
    good = good && load_dense(file, name, n->expansion * n->width, n->width, &b->reduce);
    return good && b->taps && b->tap_bias && b->norm_gain && b->norm_bias && b->scale;
}

static int load_layers(const weights *file, neu *n)
{
    char name[64];
    uint32_t entries[2] = {n->codebook_size, n->dim};
    for (uint32_t k = 0; k < n->codebooks; k++) {
        snprintf(name, sizeof name, "quantiser.codebooks.%u.entries", (unsigned)k);
        n->entries[k] = ncf_floats(file, name, 2, entries);
        snprintf(name, sizeof name, "quantiser.codebooks.%u.up", (unsigned)k);
        if (!n->entries[k] || !load_dense(file, name, n->dim, n->latent, &n->up[k]))
            return 0;
    }
    for (uint32_t k = 0; k < n->blocks; k++)
        if (!load_block(file, n, k, &n->block[k]))
            return 0;
    uint32_t outputs = n->stack * (n->levels + 2 * n->known_bins);
    n->input_gain = vector_of(file, "decoder.input_norm", "weight", n->width);
    n->input_bias = vector_of(file, "decoder.input_norm", "bias", n->width);
    n->output_gain = vector_of(file, "decoder.output_norm", "weight", n->width);
    n->output_bias = vector_of(file, "decoder.output_norm", "bias", n->width);
    return n->input_gain && n->input_bias && n->output_gain && n->output_bias &&
           load_dense(file, "decoder.input", n->latent, n->width, &n->input) &&
           load_dense(file, "decoder.output", n->width, outputs, &n->output);
}

/* ---- what is computed beforehand ---- */

/* The Mersenne Twister (M. Matsumoto, T. Nishimura, 1998, as mt19937ar.c), started by the seed 0. */
typedef struct {
    uint32_t state[624];
    int at;
} twister;

static void twister_start(twister *t)
{
    t->state[0] = 0;
    for (uint32_t k = 1; k < 624; k++)
        t->state[k] = 1812433253u * (t->state[k - 1] ^ t->state[k - 1] >> 30) + k;
    t->at = 624;
}

static uint32_t twister_next(twister *t)
{
    if (t->at == 624) {
        for (int k = 0; k < 624; k++) {
            uint32_t y = (t->state[k] & 0x80000000u) | (t->state[(k + 1) % 624] & 0x7FFFFFFFu);
            t->state[k] = t->state[(k + 397) % 624] ^ y >> 1 ^ (y & 1 ? 0x9908B0DFu : 0);
        }
        t->at = 0;
    }
    uint32_t y = t->state[t->at++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680u;
    y ^= y << 15 & 0xEFC60000u;
    return y ^ y >> 18;
}

static int make_noise(neu *n)
{
    uint32_t first = n->known_bins - FADE, made = n->bins - first;
    twister *t = malloc(sizeof *t);
    if (n->known_bins == n->bins) {
        free(t);
        return 1;
    }
    n->noise = malloc(2 * NOISE_FRAMES * (size_t)made * sizeof *n->noise);
    if (t && n->noise)
        twister_start(t);
    for (uint32_t frame = 0; t && n->noise && frame < NOISE_FRAMES; frame++) {
        float *real = n->noise + 2 * (size_t)frame * made, *imaginary = real + made;
        double angle = 0;
        for (uint32_t bin = 0; bin < n->bins; bin++) {
            uint32_t a = twister_next(t) >> 5, b = twister_next(t) >> 6;
            double drawn = (a * 67108864.0 + b) / 9007199254740992.0;
            angle += PI + 2.1 * (2 * drawn - 1);
            if (bin < first)
                continue;
            double turns = angle / (2 * PI), rest = (turns - floor(turns)) * (2 * PI);
            real[bin - first] = cosf((float)rest);
            imaginary[bin - first] = sinf((float)rest);
        }
    }
    int good = t && n->noise;
    free(t);
    return good;
}

/* Where the middles of the bands are: about bin a * sinh(k / a), with the a that puts the last band
 * at the last bin. Then for each bin the bands that it lies between. */
static int make_bands(neu *n)
{
    double low, high = 1e6, a = 0, *middles;
    uint32_t last = n->bins - 1, steps = n->bands - 1, k = 0;
    if (!n->bands)
        return 1;
    middles = malloc(n->bands * sizeof *middles);
    n->spread = malloc(2 * (size_t)n->bins * sizeof *n->spread);
    n->band = malloc(n->bins * sizeof *n->band);
    if (!middles || !n->spread || !n->band) {
        free(middles);
        return 0;
    }
    low = steps / 700.0;
    for (int turn = 0; turn < 200; turn++) {
        a = (low + high) / 2;
        if (a * sinh(steps / a) > last)
            low = a;
        else
            high = a;
    }
    for (uint32_t band = 0; band < n->bands; band++)
        middles[band] = a * sinh(band / a);
    double scale = last / middles[steps];
    for (uint32_t band = 0; band < n->bands; band++)
        middles[band] *= scale;
    for (uint32_t bin = 0; bin < n->bins; bin++) {
        while (k + 2 < n->bands && middles[k + 1] <= bin)
            k++;
        double place = (bin - middles[k]) / (middles[k + 1] - middles[k]);
        place = place < 0 ? 0 : place > 1 ? 1 : place;
        n->band[bin] = k;
        n->spread[2 * bin] = (float)(1 - place);
        n->spread[2 * bin + 1] = (float)place;
    }
    free(middles);
    return 1;
}

static int make_windows(neu *n)
{
    n->hann = malloc(n->window * sizeof *n->hann);
    n->rise = malloc((n->fade + 1) * sizeof *n->rise);
    n->plan = ncf_fourier_new(n->window / 2);
    if (!n->hann || !n->rise || !n->plan)
        return 0;
    for (uint32_t k = 0; k < n->window; k++)
        n->hann[k] = (float)(0.5 - 0.5 * cos(2 * PI * k / n->window));
    for (uint32_t k = 0; k < n->fade; k++) {
        double rise = sin((k + 0.5) / n->fade * PI / 2);
        n->rise[k] = (float)(rise * rise);
    }
    return 1;
}

static int read_numbers(const weights *file, neu *n, ncf_model *model)
{
    struct {
        const char *name;
        int64_t least, most;
        uint32_t *value;
    } numbers[] = {
        {"sample_rate", 1, INT32_MAX, &model->sample_rate},
        {"chunk_frames", 1, 4096, &model->chunk_frames},
        {"chunk_stride", 1, 1 << 24, &model->chunk_stride},
        {"neu.window", 16, 16384, &n->window}, {"neu.hop", 4, 4096, &n->hop},
        {"neu.stack", 1, 64, &n->stack}, {"neu.decoder_width", 1, 4096, &n->width},
        {"neu.decoder_blocks", 0, 256, &n->blocks}, {"neu.expansion", 1, 16, &n->expansion},
        {"neu.latent", 1, 4096, &n->latent}, {"neu.codebooks", 1, 255, &n->codebooks},
        {"neu.codebook_size", 2, 65536, &n->codebook_size}, {"neu.codebook_dim", 1, 1024, &n->dim},
        {"neu.decoder_phase_bins", 0, 8193, &n->known_bins}, {"neu.bands", 0, 8192, &n->bands},
        {"neu.fade_frames", 0, 64, &n->fade},
    };
    int64_t value;
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
        if (!ncf_integer(file, numbers[k].name, numbers[k].least, numbers[k].most, &value))
            return 0;
        *numbers[k].value = (uint32_t)value;
    }
    n->bins = n->window / 2 + 1;
    n->levels = n->bands ? n->bands : n->bins;
    n->known_bins = n->known_bins ? n->known_bins : n->bins;
    n->fade *= n->stack;
    model->hop = n->hop * n->stack;
    model->codebooks = n->codebooks;
    model->codebook_size = n->codebook_size;
    uint64_t whole = (uint64_t)model->chunk_frames * model->hop, beyond = n->window - n->hop;
    if (n->window != 4 * n->hop || n->known_bins > n->bins || n->known_bins < FADE ||
        n->bands == 1 || n->bands >= n->bins || model->chunk_stride > whole)
        return 0;
    model->overlap = (uint32_t)(whole - model->chunk_stride + beyond);
    return 1;
}

neu *ncf_neu_load(const weights *file, ncf_model *model)
{
    neu *n = calloc(1, sizeof *n);
    if (!n || !read_numbers(file, n, model)) {
        free(n);
        return NULL;
    }
    n->kernels = ncf_kernels();
    n->entries = calloc(n->codebooks, sizeof *n->entries);
    n->up = calloc(n->codebooks, sizeof *n->up);
    n->block = calloc(n->blocks + 1, sizeof *n->block);
    if (!n->entries || !n->up || !n->block || !load_layers(file, n) || !make_noise(n) ||
        !make_bands(n) || !make_windows(n)) {
        ncf_neu_free(n);
        return NULL;
    }
    return n;
}

static void dense_free(dense *d)
{
    free(d->panels);
    free(d->bias);
}

void ncf_neu_free(neu *n)
{
    if (!n)
        return;
    for (uint32_t k = 0; k < n->codebooks && n->entries && n->up; k++) {
        free(n->entries[k]);
        dense_free(&n->up[k]);
    }
    for (uint32_t k = 0; k < n->blocks && n->block; k++) {
        block *b = &n->block[k];
        free(b->taps);
        free(b->tap_bias);
        free(b->norm_gain);
        free(b->norm_bias);
        free(b->scale);
        dense_free(&b->expand);
        dense_free(&b->reduce);
    }
    dense_free(&n->input);
    dense_free(&n->output);
    free(n->entries);
    free(n->up);
    free(n->block);
    free(n->input_gain);
    free(n->input_bias);
    free(n->output_gain);
    free(n->output_bias);
    free(n->noise);
    free(n->spread);
    free(n->band);
    free(n->hann);
    free(n->rise);
    ncf_fourier_free(n->plan);
    free(n);
}

/* ---- decoding ---- */

static float *room_for(size_t rows, size_t width)
{
    return malloc((rows * width + 16) * sizeof(float));
}

/* Runs the network: codes [codebooks, frames] to what its last layer gives, [frames, outputs]. */
static float *run(const neu *n, const uint16_t *codes, uint32_t codebooks, uint32_t frames)
{
    const kernels *k = n->kernels;
    uint32_t inner = n->expansion * n->width, widest = n->latent > n->width ? n->latent : n->width;
    widest = inner > widest ? inner : widest;
    float *x = room_for(frames, widest), *y = room_for(frames, widest), *z = room_for(frames, widest);
    float *spare = room_for(MAX_ROWS, widest), *points = room_for(frames, n->dim);
    float *out = room_for(frames, n->output.outputs);
    if (x && y && z && spare && points && out) {
        memset(x, 0, (size_t)frames * n->latent * sizeof *x);
        for (uint32_t book = 0; book < codebooks; book++) {
            for (uint32_t frame = 0; frame < frames; frame++)
                memcpy(points + (size_t)frame * n->dim,
                       n->entries[book] + (size_t)codes[book * frames + frame] * n->dim,
                       n->dim * sizeof *points);
            k->product(points, frames, n->dim, n->up[book].panels, n->up[book].bias, n->latent, y,
                       spare);
            for (size_t i = 0; i < (size_t)frames * n->latent; i++)
                x[i] += y[i];
        }
        k->product(x, frames, n->latent, n->input.panels, n->input.bias, n->width, y, spare);
        k->normalise(y, frames, n->width, n->input_gain, n->input_bias, x);
        for (uint32_t i = 0; i < n->blocks; i++) {
            const block *b = &n->block[i];
            k->convolve(x, frames, n->width, b->taps, TAPS, b->tap_bias, y);
            k->normalise(y, frames, n->width, b->norm_gain, b->norm_bias, y);
            k->product(y, frames, n->width, b->expand.panels, b->expand.bias, inner, z, spare);
            k->gelu(z, (size_t)frames * inner);
            k->product(z, frames, inner, b->reduce.panels, b->reduce.bias, n->width, y, spare);
            k->add_scaled(x, y, frames, n->width, b->scale);
        }
        k->normalise(x, frames, n->width, n->output_gain, n->output_bias, y);
        k->product(y, frames, n->width, n->output.panels, n->output.bias, n->output.outputs, out,
                   spare);
    } else {
        free(out);
        out = NULL;
    }
    free(x);
    free(y);
    free(z);
    free(spare);
    free(points);
    return out;
}

/* The weight of spectrum `place` of `count` where chunks are added together. */
static float weight_of(const neu *n, uint32_t place, uint32_t count)
{
    float weight = 1;
    if (place < n->fade)
        weight *= n->rise[place];
    if (count - 1 - place < n->fade)
        weight *= n->rise[count - 1 - place];
    return weight;
}

/* Makes one spectrum [bins] of complex numbers out of what the network gives for it: logarithms of
 * magnitudes, then the two parts of the lowest bins' directions. `size`, `x` and `y` are room for a
 * number for each bin. */
static void spectrum_of(
    const neu *n, const float *given, uint32_t noise_frame, float weight, float *size, float *x,
    float *y, float *spectrum)
{
    const float *direction_x = given + n->levels, *direction_y = direction_x + n->known_bins;
    uint32_t first = n->known_bins - FADE, made = n->bins - first;
    for (uint32_t bin = 0; bin < n->bins; bin++) {
        float level = given[n->bands ? n->band[bin] : bin];
        if (n->bands)
            level = level * n->spread[2 * bin] + given[n->band[bin] + 1] * n->spread[2 * bin + 1];
        level *= 3;
        size[bin] = level < 7 ? level : 7;
    }
    n->kernels->exponential(size, n->bins);
    memcpy(x, direction_x, n->known_bins * sizeof *x);
    memcpy(y, direction_y, n->known_bins * sizeof *y);
    n->kernels->unit(x, y, n->known_bins);
    if (n->noise) {
        const float *real = n->noise + 2 * (size_t)noise_frame * made, *imaginary = real + made;
        for (uint32_t k = 0; k < FADE; k++) {
            float known = (float)(FADE - k) / (FADE + 1);
            x[first + k] = x[first + k] * known + real[k] * (1 - known);
            y[first + k] = y[first + k] * known + imaginary[k] * (1 - known);
        }
        n->kernels->unit(x + first, y + first, FADE);
        memcpy(x + n->known_bins, real + FADE, (made - FADE) * sizeof *x);
        memcpy(y + n->known_bins, imaginary + FADE, (made - FADE) * sizeof *y);
    }
    for (uint32_t bin = 0; bin < n->bins; bin++) {
        float scale = size[bin] * weight;
        spectrum[2 * bin] = x[bin] * scale;
        spectrum[2 * bin + 1] = y[bin] * scale;
    }
}

/* Turns what the network gives into samples [(spectra + 3) * hop], by overlap-add. */
static int synthesise(
    const neu *n, const float *given, uint32_t spectra, uint32_t noise_frame, float *samples)
{
    size_t one = n->levels + 2 * (size_t)n->known_bins;
    float *room = room_for(10, n->bins);
    float scale = (float)(1 / sqrt((double)n->window));
    if (!room)
        return 0;
    float *spectrum = room + 3 * (size_t)n->bins, *signal = spectrum + 2 * (size_t)n->bins;
    float *work = signal + 2 * (size_t)n->bins;
    memset(samples, 0, (size_t)(spectra + 3) * n->hop * sizeof *samples);
    for (uint32_t k = 0; k < spectra; k++) {
        spectrum_of(n, given + k * one, (noise_frame + k) % NOISE_FRAMES, weight_of(n, k, spectra),
                    room, room + n->bins, room + 2 * (size_t)n->bins, spectrum);
        ncf_fourier_real(n->plan, spectrum, signal, work);
        float *to = samples + (size_t)k * n->hop;
        for (uint32_t i = 0; i < n->window; i++)
            to[i] += signal[i] * scale * (n->hann[i] / 1.5f);
    }
    free(room);
    return 1;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Turns down the loudest hops to one level, so that the mean square becomes about 1.25: chunks are
 * at unit level, and a louder one is an artefact. */
static int limit(const neu *n, float *samples, uint32_t hops)
{
    float *energy = malloc(2 * (size_t)hops * sizeof *energy), *rising = energy + hops;
    float level = 0, before = 0;
    if (!energy)
        return 0;
    for (uint32_t k = 0; k < hops; k++) {
        const float *hop = samples + (size_t)k * n->hop;
        float sum = 0;
        for (uint32_t i = 0; i < n->hop; i++)
            sum += hop[i] * hop[i];
        energy[k] = rising[k] = sum / (float)n->hop;
    }
    qsort(rising, hops, sizeof *rising, compare_floats);
    for (uint32_t k = 0; k < hops; k++) {
        /* If all hops but the k quietest come down to one level, this is left for each of them. */
        float left = (1.25f * (float)hops - before) / (float)(hops - k);
        level = k == 0 || left > level ? left : level;
        before += rising[k];
    }
    for (uint32_t k = 0; k < hops; k++) {
        float ratio = level / (energy[k] > 1e-12f ? energy[k] : 1e-12f);
        rising[k] = sqrtf(ratio < 1 ? ratio : 1) - 1;
    }
    for (uint32_t k = 0; k < hops; k++) {
        float here = rising[k], last = rising[k ? k - 1 : 0], next = rising[k + 1 < hops ? k + 1 : k];
        float *hop = samples + (size_t)k * n->hop;
        for (uint32_t i = 0; i < n->hop && (here < 0 || last < 0 || next < 0); i++) {
            float place = ((float)i + 0.5f) / (float)n->hop - 0.5f;
            hop[i] *= 1 + (here + (place < 0 ? here - last : next - here) * place);
        }
    }
    free(energy);
    return 1;
}

uint32_t ncf_neu_width(const neu *n, uint32_t frames)
{
    return (frames * n->stack + 3) * n->hop;
}

ncf_status ncf_neu_window(const neu *n, uint32_t frames, float *weight)
{
    uint32_t spectra = frames * n->stack;
    float *each = malloc(n->window * sizeof *each), sum = 0;
    if (!each)
        return NCF_ERROR_MEMORY;
    for (uint32_t k = 0; k < n->window; k++)
        sum += each[k] = n->hann[k] * n->hann[k];
    memset(weight, 0, ncf_neu_width(n, frames) * sizeof *weight);
    for (uint32_t k = 0; k < spectra; k++)
        for (uint32_t i = 0; i < n->window; i++)
            weight[(size_t)k * n->hop + i] +=
                weight_of(n, k, spectra) * (each[i] * ((float)n->hop / sum));
    free(each);
    return NCF_OK;
}

/* Cuts a chunk's own samples out of those of more frames, and weights them as if there had been no
 * others. */
static ncf_status cut(
    const neu *n, uint32_t decoded, uint32_t before, uint32_t frames, const float *audio,
    float *samples)
{
    uint32_t width = ncf_neu_width(n, frames);
    size_t start = (size_t)before * n->stack * n->hop;
    float *own = malloc(width * sizeof *own);
    float *whole = malloc(ncf_neu_width(n, decoded) * sizeof *whole);
    ncf_status status = own && whole ? ncf_neu_window(n, frames, own) : NCF_ERROR_MEMORY;
    if (!status)
        status = ncf_neu_window(n, decoded, whole);
    for (uint32_t k = 0; !status && k < width; k++) {
        float weight = whole[start + k];
        samples[k] = audio[start + k];
        if (weight != own[k])
            samples[k] *= own[k] / (weight > 1e-6f ? weight : 1e-6f);
    }
    free(own);
    free(whole);
    return status;
}

ncf_status ncf_neu_decode(
    const neu *n, const uint16_t *codes, uint32_t codebooks, uint32_t frames, int first, int last,
    float *samples)
{
    uint32_t reach = frames - 1 < REFLECTED ? frames - 1 : REFLECTED;
    uint32_t before = first ? reach : 0, after = last ? reach : 0, all = before + frames + after;
    uint32_t begin = 0, spectra = all * n->stack;
    uint16_t *reflected = malloc((size_t)codebooks * all * sizeof *reflected);
    float *audio = malloc(ncf_neu_width(n, all) * sizeof *audio), *given = NULL;
    ncf_status status = NCF_ERROR_MEMORY;
    for (uint32_t frame = 0; frame < frames; frame++) /* where in the noise the chunk begins */
        begin += codes[frame];
    begin = (begin + NOISE_FRAMES * before * n->stack - before * n->stack) % NOISE_FRAMES;
    for (uint32_t book = 0; reflected && book < codebooks; book++) {
        const uint16_t *from = codes + (size_t)book * frames;
        uint16_t *to = reflected + (size_t)book * all;
        for (uint32_t k = 0; k < before; k++)
            to[k] = from[before - k];
        memcpy(to + before, from, frames * sizeof *to);
        for (uint32_t k = 0; k < after; k++)
            to[before + frames + k] = from[frames - 2 - k];
    }
    if (reflected && audio)
        given = run(n, reflected, codebooks, all);
    if (given && synthesise(n, given, spectra, begin, audio) && limit(n, audio, spectra + 3))
        status = NCF_OK;
    if (!status && all == frames)
        memcpy(samples, audio, ncf_neu_width(n, frames) * sizeof *samples);
    else if (!status)
        status = cut(n, all, before, frames, audio, samples);
    free(reflected);
    free(audio);
    free(given);
    return status;
}
