/* The bytes of an .ncf: checksums, varints, header, chunks and trailer. See formats/NCF.md. */
#include "internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- checksums ---- */

static uint32_t crc_table[16][256];
static volatile int crc_ready;

static void crc_prepare(void)
{
    if (crc_ready)
        return;
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t state = byte;
        for (int bit = 0; bit < 8; bit++)
            state = state >> 1 ^ (state & 1 ? 0xEDB88320u : 0);
        crc_table[0][byte] = state;
    }
    for (uint32_t byte = 0; byte < 256; byte++)
        for (int row = 1; row < 16; row++) {
            uint32_t before = crc_table[row - 1][byte];
            crc_table[row][byte] = before >> 8 ^ crc_table[0][before & 255];
        }
    crc_ready = 1; /* several threads may come here at once; all of them write the same numbers */
}

uint32_t ncf_crc_register(uint32_t state, uint8_t byte)
{
    return state >> 8 ^ crc_table[0][(state ^ byte) & 255];
}

uint32_t ncf_crc32(uint32_t crc, const uint8_t *bytes, size_t count)
{
    uint32_t state = ~crc;
    crc_prepare();
    for (; count >= 16; bytes += 16, count -= 16) {
        uint32_t first = state ^ ncf_u32(bytes);
        state = crc_table[15][first & 255] ^ crc_table[14][first >> 8 & 255] ^
                crc_table[13][first >> 16 & 255] ^ crc_table[12][first >> 24];
        for (int k = 4; k < 16; k++)
            state ^= crc_table[15 - k][bytes[k]];
    }
    for (; count; bytes++, count--)
        state = ncf_crc_register(state, *bytes);
    return ~state;
}

/* Multiplies two polynomials modulo the CRC's, bits reflected: bit 31 is the power 0. */
static uint32_t crc_product(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (; a; a <<= 1) {
        if (a & 0x80000000u)
            product ^= b;
        b = b >> 1 ^ (b & 1 ? 0xEDB88320u : 0);
    }
    return product;
}

/* The CRC-32 of `length` bytes, from the registers before the first of them and after the last:
 * constant time, however long they are. See "Finding the way again" in NCF.md. */
uint32_t ncf_crc_of_slice(uint32_t before, uint32_t after, uint64_t length)
{
    uint32_t power = 0x00800000u, moved = before ^ 0xFFFFFFFFu; /* x^8: by one byte of zeros */
    for (; length; length >>= 1, power = crc_product(power, power))
        if (length & 1)
            moved = crc_product(power, moved);
    return after ^ moved ^ 0xFFFFFFFFu;
}

/* ---- numbers ---- */

uint32_t ncf_u32(const uint8_t *b)
{
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t ncf_u64(const uint8_t *b)
{
    return ncf_u32(b) | (uint64_t)ncf_u32(b + 4) << 32;
}

float ncf_f32(const uint8_t *b)
{
    uint32_t bits = ncf_u32(b);
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

parsed ncf_varint(const uint8_t *bytes, size_t count, size_t *at, uint64_t *value)
{
    uint64_t sum = 0;
    for (int k = 0; k < MAX_VARINT_BYTES; k++) {
        if (*at + (size_t)k >= count)
            return NEEDS_MORE;
        uint8_t byte = bytes[*at + (size_t)k];
        if (k == MAX_VARINT_BYTES - 1 && byte) /* 2^63 or more, or longer than ten bytes */
            return REFUSED;
        sum |= (uint64_t)(byte & 127) << 7 * (k < 9 ? k : 0);
        if (byte < 128) {
            *at += (size_t)k + 1;
            *value = sum;
            return PARSED;
        }
    }
    return REFUSED;
}

ncf_status ncf_fail(ncf_status status, char *why, const char *format, ...)
{
    if (why) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(why, NCF_MESSAGE, format, arguments);
        va_end(arguments);
    }
    return status;
}

/* ---- header ---- */

static int is_name(const uint8_t *text, size_t count)
{
    if (count < 1 || count > 64)
        return 0;
    for (size_t k = 0; k < count; k++) {
        uint8_t c = text[k];
        int plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (k == 0 || (c != '.' && c != '_' && c != '+' && c != '-')))
            return 0;
    }
    return 1;
}

/* The next character of UTF-8 text, or -1 where it is none: too long a form, or a surrogate. */
static int32_t next_character(const uint8_t *text, size_t count, size_t *at)
{
    uint8_t lead = text[(*at)++];
    int more = lead < 0x80 ? 0 : lead < 0xC2 ? -1 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    int32_t value = more <= 0 ? lead : lead & (0x3F >> more);
    static const int32_t least[4] = {0, 0x80, 0x800, 0x10000};
    if (more < 0 || lead > 0xF4 || count - *at < (size_t)more)
        return -1;
    for (int k = 0; k < more; k++) {
        uint8_t byte = text[(*at)++];
        if ((byte & 0xC0) != 0x80)
            return -1;
        value = value << 6 | (byte & 0x3F);
    }
    if (value < least[more] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
        return -1;
    return value;
}

static int is_utf8(const uint8_t *text, size_t count, int printable)
{
    for (size_t at = 0; at < count;) {
        int32_t c = next_character(text, count, &at);
        if (c < 0)
            return 0;
        if (printable && (c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x200B && c <= 0x200F) ||
                          (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) ||
                          c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFB)))
            return 0;
    }
    return 1;
}

/* Checks tags, counts them and, where `texts` is not NULL, copies them with their names in upper
 * case. Returns how many, or -1 where they are malformed. */
static long read_tags(const uint8_t *bytes, size_t count, const char **places, char *texts)
{
    long found = 0;
    for (size_t at = 0; at < count; found++) {
        uint64_t length;
        size_t name = 0;
        if (ncf_varint(bytes, count, &at, &length) != PARSED || length > count - at)
            return -1;
        const uint8_t *text = bytes + at;
        while (name < length && text[name] != '=')
            name++;
        if (name == 0 || name == length || !is_utf8(text, (size_t)length, 0))
            return -1;
        for (size_t k = 0; k < name; k++)
            if (text[k] < 0x20 || text[k] > 0x7D)
                return -1;
        if (texts) {
            places[found] = texts;
            memcpy(texts, text, (size_t)length);
            for (size_t k = 0; k < name; k++)
                if (texts[k] >= 'a' && texts[k] <= 'z')
                    texts[k] = (char)(texts[k] - 32);
            texts[length] = 0;
            texts += length + 1;
        }
        at += (size_t)length;
    }
    return found;
}

static ncf_status parse_tags(
    const uint8_t *bytes, size_t count, ncf_info *info, void **memory, char *why)
{
    long tags = read_tags(bytes, count, NULL, NULL);
    if (tags < 0)
        return ncf_fail(NCF_ERROR_HEADER, why, "header, field 6 (tags): not of the form NAME=text");
    if (!tags)
        return NCF_OK;
    size_t size = (size_t)tags * (sizeof(char *) + 1) + count;
    const char **places = malloc(size);
    if (!places)
        return ncf_fail(NCF_ERROR_MEMORY, why, "no memory for the tags");
    read_tags(bytes, count, places, (char *)(places + tags));
    *memory = (void *)places;
    info->tags = places;
    info->tag_count = (uint32_t)tags;
    return NCF_OK;
}

uint32_t ncf_code_bits(uint32_t codebook_size)
{
    uint32_t bits = 0;
    for (uint32_t last = codebook_size - 1; last; last >>= 1)
        bits++;
    return bits;
}

uint64_t ncf_raw_bytes(const ncf_info *info, uint64_t streams, uint64_t books, uint64_t frames)
{
    return (streams * books * frames * ncf_code_bits(info->codebook_size) + 7) / 8;
}

size_t ncf_scale_bytes(const ncf_info *info)
{
    static const size_t sizes[3] = {0, 1, 4};
    return sizes[info->scale_kind] * info->streams;
}

uint64_t ncf_largest_layer(const ncf_info *info)
{
    if (info->layer == NCF_LAYER_WAVEFORM)
        return info->streams * (UINT64_C(64) + info->chunk_stride / 8);
    return ncf_raw_bytes(info, info->streams, info->codebooks, info->chunk_frames);
}

static ncf_status check_limits(const ncf_info *h, char *why)
{
    const char *beyond = NULL;
    uint64_t whole = (uint64_t)h->chunk_frames * h->hop, stride = h->chunk_stride;
    uint64_t payload = ncf_raw_bytes(h, h->streams, h->codebooks, h->chunk_frames);
    uint64_t chunk = 3 + 2 * MAX_VARINT_BYTES + ncf_scale_bytes(h) + payload + CRC_BYTES;
    if (h->layer)
        chunk += MAX_VARINT_BYTES + ncf_largest_layer(h);
    if ((whole + h->overlap) * h->channels > UINT64_C(1) << 26)
        beyond = "2^26 samples over all channels";
    else if ((stride * h->source_rate + h->sample_rate - 1) / h->sample_rate * h->channels >
             UINT64_C(1) << 26)
        beyond = "2^26 samples over all channels at the source's rate";
    else if (chunk > UINT64_C(1) << 22)
        beyond = "2^22 bytes";
    else if (h->entropy && (uint64_t)h->codebooks * h->chunk_frames > 1 << 12)
        beyond = "2^12 codes of a stream under an entropy coder";
    else if (h->layer && (stride + h->overlap) * h->streams > UINT64_C(1) << 24)
        beyond = "2^24 samples over all streams with layers";
    if (beyond)
        return ncf_fail(NCF_ERROR_LIMITS, why, "chunks of more than %s: no .ncf may ask that", beyond);
    return NCF_OK;
}

static ncf_status check_fields(ncf_info *h, uint64_t stride, int named, int fingered, char *why)
{
    const char *wrong = NULL;
    if (stride > (uint64_t)h->chunk_frames * h->hop)
        wrong = "chunk_stride is longer than a chunk";
    else if (named != fingered || (h->entropy == NCF_ENTROPY_MODEL && !named))
        wrong = "an entropy model needs a name and a fingerprint";
    else if (h->entropy && h->codebook_size < 3)
        wrong = "entropy coding needs codebooks of 3 entries or more";
    else if (h->entropy == NCF_ENTROPY_ADAPTIVE && h->chunk_frames > 65536)
        wrong = "adaptive coding takes at most 65536 frames";
    if (!wrong && (uint64_t)h->chunk_frames * h->hop > UINT64_C(1) << 26)
        return ncf_fail(NCF_ERROR_LIMITS, why, "chunks of more than 2^26 samples");
    h->chunk_stride = (uint32_t)stride;
    if (!wrong && h->layer) {
        uint64_t reached = (uint64_t)h->chunk_frames * h->hop - stride;
        if (h->streams != h->channels || h->scale_kind != NCF_SCALES_LOG || h->codebooks > 127 ||
            h->sample_rate > 1u << 19 || h->overlap < reached || h->overlap > stride)
            wrong = "its layers do not fit its other fields";
        else if (h->layer == NCF_LAYER_WAVEFORM && !ncf_waveform_block(h))
            wrong = "no blocks of a waveform layer divide its chunk_stride";
    }
    if (wrong)
        return ncf_fail(NCF_ERROR_HEADER, why, "header: %s", wrong);
    return check_limits(h, why);
}

enum { INTEGER, NAME, EIGHT, REAL, TAGS, ENCODER, KIND };

typedef struct {
    uint64_t id;
    const char *name;
    int kind;
    uint64_t least, most;
} field;

static const field fields[] = {
    {1, "codec", NAME, 0, 0}, {3, "fingerprint", EIGHT, 0, 0},
    {5, "sample_rate", INTEGER, 1, 0xFFFFFFFFu}, {7, "source_rate", INTEGER, 1, 0xFFFFFFFFu},
    {9, "channels", INTEGER, 1, 255}, {11, "streams", INTEGER, 1, 255},
    {13, "codebooks", INTEGER, 1, 255}, {15, "codebook_size", INTEGER, 2, 65536},
    {17, "hop", INTEGER, 1, 1 << 26}, {19, "chunk_frames", INTEGER, 1, 1 << 26},
    {21, "chunk_stride", INTEGER, 1, UINT64_C(1) << 52}, {23, "overlap", INTEGER, 0, 1 << 26},
    {25, "scale_kind", KIND, 0, 2}, {27, "entropy", KIND, 0, 2}, {29, "entropy_model", NAME, 0, 0},
    {31, "entropy_fingerprint", EIGHT, 0, 0}, {33, "gain_db", REAL, 0, 0}, {35, "layer", KIND, 0, 2},
    {2, "nominal_bitrate", INTEGER, 1, INT64_MAX}, {4, "frames", INTEGER, 0, INT64_MAX},
    {6, "tags", TAGS, 0, 0}, {8, "encoder", ENCODER, 0, 0},
    {10, "average_bitrate", INTEGER, 1, INT64_MAX}, {12, "channel_mask", INTEGER, 0, 0xFFFFFFFFu},
};
enum { FIELDS = sizeof fields / sizeof *fields };

/* Reads the value of a field whose kind is not TAGS into `number`, `info` and `text`. */
static ncf_status parse_value(
    const field *f, const uint8_t *value, size_t size, uint64_t *number, ncf_info *info, char *why)
{
    size_t at = 0;
    int good = 0;
    switch (f->kind) {
    case INTEGER:
    case KIND:
        good = ncf_varint(value, size, &at, number) == PARSED && at == size;
        if (good && f->kind == KIND && *number > f->most)
            return ncf_fail(NCF_ERROR_VERSION, why, "%s %llu is not known here: a later version's",
                            f->name, (unsigned long long)*number);
        good = good && *number >= f->least && *number <= f->most;
        break;
    case NAME:
        good = is_name(value, size);
        if (good)
            memcpy(f->id == 1 ? info->codec : info->entropy_model, value, size);
        break;
    case EIGHT:
        good = size == 8;
        if (good)
            memcpy(f->id == 3 ? info->fingerprint : info->entropy_fingerprint, value, 8);
        break;
    case REAL:
        good = size == 4 && fabsf(ncf_f32(value)) <= 200;
        if (good)
            info->gain_db = ncf_f32(value);
        break;
    case ENCODER:
        good = size <= 255 && is_utf8(value, size, 1);
        if (good)
            memcpy(info->encoder, value, size);
        break;
    }
    if (!good)
        return ncf_fail(NCF_ERROR_HEADER, why, "header, field %d (%s): its value is not possible",
                        (int)f->id, f->name);
    return NCF_OK;
}

ncf_status ncf_parse_fields(
    const uint8_t *body, size_t count, ncf_info *info, void **memory, char *why)
{
    static const uint32_t masks[8] = {0x4, 0x3, 0x7, 0x33, 0x37, 0x3F, 0x70F, 0x63F};
    uint64_t values[FIELDS] = {0}, id, length;
    int there[FIELDS] = {0};
    ncf_status status;
    for (size_t at = 0, k; at < count; at += (size_t)length) {
        if (ncf_varint(body, count, &at, &id) != PARSED ||
            ncf_varint(body, count, &at, &length) != PARSED || length > count - at)
            return ncf_fail(NCF_ERROR_HEADER, why, "header: its last field is cut off");
        for (k = 0; k < FIELDS && fields[k].id != id; k++)
            ;
        if (k == FIELDS && id % 2)
            return ncf_fail(NCF_ERROR_VERSION, why,
                            "this .ncf (version %d.%d) depends on field %llu, which this reader "
                            "(version 1.4) does not know", info->major, info->minor,
                            (unsigned long long)id);
        if (k == FIELDS)
            continue;
        if (there[k]++)
            return ncf_fail(NCF_ERROR_HEADER, why, "header: field %d (%s) comes twice",
                            (int)id, fields[k].name);
        status = fields[k].kind == TAGS
                     ? parse_tags(body + at, (size_t)length, info, memory, why)
                     : parse_value(&fields[k], body + at, (size_t)length, &values[k], info, why);
        if (status)
            return status;
    }
    static const int required[] = {0, 1, 2, 6, 7, 8, 9, 10};
    for (size_t k = 0; k < sizeof required / sizeof *required; k++)
        if (!there[required[k]])
            return ncf_fail(NCF_ERROR_HEADER, why, "header: field %d (%s) is missing",
                            (int)fields[required[k]].id, fields[required[k]].name);
    info->sample_rate = (uint32_t)values[2];
    info->source_rate = there[3] ? (uint32_t)values[3] : info->sample_rate;
    info->channels = there[4] ? (uint32_t)values[4] : 1;
    info->streams = there[5] ? (uint32_t)values[5] : info->channels;
    info->codebooks = (uint32_t)values[6];
    info->codebook_size = (uint32_t)values[7];
    info->hop = (uint32_t)values[8];
    info->chunk_frames = (uint32_t)values[9];
    info->overlap = (uint32_t)values[11];
    info->scale_kind = (int)values[12];
    info->entropy = (int)values[13];
    info->layer = (int)values[17];
    info->nominal_bitrate = (int64_t)values[18];
    info->frames = there[19] ? (int64_t)values[19] : -1;
    info->average_bitrate = (int64_t)values[22];
    info->channel_mask = there[23] ? (uint32_t)values[23]
                         : info->channels <= 8 ? masks[info->channels - 1] : 0;
    return check_fields(info, values[10], there[14], there[15], why);
}

/* ---- chunks ---- */

/* Sets *needed and says that more bytes are needed; for the ends of functions that parse. */
static parsed more(size_t *needed, size_t bytes)
{
    *needed = bytes;
    return NEEDS_MORE;
}

/* Whether a chunk, read so far, breaks a rule beyond the grammar. */
static int breaks_a_rule(const ncf_info *info, const chunk_head *head, int layered)
{
    int mid_side = (head->word & CHUNK_MID_SIDE) != 0, raw = (head->word & CHUNK_RAW) != 0;
    if (head->codebooks > info->codebooks || (mid_side && info->streams < 2))
        return 1;
    if (!head->codebooks)
        return raw || (mid_side && !layered);
    if ((raw && !info->entropy) || !head->coded_streams)
        return 1;
    uint64_t most = ncf_raw_bytes(info, head->coded_streams, head->codebooks, head->frames);
    return raw || !info->entropy ? head->payload_length != most : head->payload_length > most;
}

static void read_scales(const ncf_info *info, const uint8_t *scales, chunk_head *head)
{
    head->coded_streams = info->streams;
    if (info->scale_kind == NCF_SCALES_LOG) {
        for (uint32_t k = 0; k < info->streams; k++)
            head->coded_streams -= !scales[k];
    } else if (info->scale_kind == NCF_SCALES_FLOAT) {
        for (uint32_t k = 0; k < info->streams; k++) {
            float scale = ncf_f32(scales + 4 * k);
            head->wrong_scales |= !(scale >= 0 && scale <= 4294967296.0f);
        }
    }
}

parsed ncf_parse_chunk(
    const ncf_info *info, const uint8_t *bytes, size_t count, chunk_head *head, size_t *needed)
{
    uint64_t value;
    size_t at = 3;
    parsed state;
    if (count < SMALLEST_CHUNK)
        return more(needed, SMALLEST_CHUNK);
    memset(head, 0, sizeof *head);
    head->word = bytes[0] | (uint32_t)bytes[1] << 8;
    head->number = head->word % INDEX_MODULUS;
    int layered = bytes[2] >= 128 && info->layer;
    head->codebooks = layered ? bytes[2] - 128u : bytes[2];
    if (head->word & CHUNK_END || head->codebooks > info->codebooks)
        return REFUSED;
    head->frames = info->chunk_frames;
    if (head->word & CHUNK_SHORT) {
        if ((state = ncf_varint(bytes, count, &at, &value)) != PARSED)
            return state == REFUSED ? REFUSED : more(needed, count + 1);
        if (value < 1 || value >= info->chunk_frames)
            return REFUSED;
        head->frames = (uint32_t)value;
    }
    head->scales_at = head->payload_at = at;
    if (head->codebooks) {
        size_t scales = ncf_scale_bytes(info);
        if (count - at < scales)
            return more(needed, at + scales);
        read_scales(info, bytes + at, head);
        at += scales;
        if ((state = ncf_varint(bytes, count, &at, &value)) != PARSED)
            return state == REFUSED ? REFUSED : more(needed, count + 1);
        if (value > UINT64_C(1) << 22) /* more than any chunk has */
            return REFUSED;
        head->payload_at = at;
        head->payload_length = (size_t)value;
    }
    if (breaks_a_rule(info, head, layered))
        return REFUSED;
    head->layer_at = head->payload_at + head->payload_length;
    if (layered) {
        at = head->layer_at;
        if (count <= at)
            return more(needed, at + 1);
        if ((state = ncf_varint(bytes, count, &at, &value)) != PARSED)
            return state == REFUSED ? REFUSED : more(needed, count + 1);
        if (value < 1 || value > ncf_largest_layer(info))
            return REFUSED;
        head->layer_at = at;
        head->layer_length = (size_t)value;
    }
    head->length = head->layer_at + head->layer_length + CRC_BYTES;
    return PARSED;
}

/* ---- trailer ---- */

typedef struct {
    uint64_t high, low;
} wide; /* an integer of 128 bits */

static wide product(uint64_t a, uint64_t b)
{
    uint64_t a0 = a & 0xFFFFFFFFu, a1 = a >> 32, b0 = b & 0xFFFFFFFFu, b1 = b >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (middle & 0xFFFFFFFFu);
    wide result = {a1 * b1 + (middle >> 32) + (other >> 32), other << 32 | (low & 0xFFFFFFFFu)};
    return result;
}

static wide sum(wide a, wide b)
{
    wide result = {a.high + b.high + (a.low + b.low < a.low), a.low + b.low};
    return result;
}

static int is_less(wide a, wide b)
{
    return a.high < b.high || (a.high == b.high && a.low < b.low);
}

/* Whether so many samples of the source take just `count` chunks. */
static int frames_fit(const ncf_info *info, uint64_t count, uint64_t frames)
{
    if (!count || !frames)
        return count == frames;
    wide slack = {0, 2 * ((uint64_t)info->source_rate + info->sample_rate)};
    wide samples = product(frames, info->sample_rate);
    wide least = product((count - 1) * info->chunk_stride, info->source_rate);
    wide most = product(count * info->chunk_stride + info->overlap, info->source_rate);
    return is_less(least, sum(samples, slack)) && !is_less(sum(most, slack), samples);
}

parsed ncf_parse_trailer(
    const ncf_info *info, const uint8_t *bytes, size_t count, trailer_head *head, size_t *needed)
{
    uint64_t length;
    size_t at = 2;
    if (count < SMALLEST_TRAILER)
        return more(needed, SMALLEST_TRAILER);
    uint32_t word = bytes[0] | (uint32_t)bytes[1] << 8;
    if ((word & ~(INDEX_MODULUS - 1u)) != CHUNK_END)
        return REFUSED;
    if (ncf_varint(bytes, count, &at, &length) != PARSED || length < 2 || length > MAX_TRAILER_BODY)
        return REFUSED;
    head->crc_at = at + (size_t)length;
    head->length = head->crc_at + TAIL_BYTES;
    if (count < head->length)
        return more(needed, head->length);
    if (ncf_varint(bytes, head->crc_at, &at, &head->count) != PARSED ||
        ncf_varint(bytes, head->crc_at, &at, &head->frames) != PARSED)
        return REFUSED;
    head->table_at = at;
    if (head->count > MAX_CHUNKS || head->count > head->crc_at - at ||
        word % INDEX_MODULUS != head->count % INDEX_MODULUS)
        return REFUSED;
    head->fits = frames_fit(info, head->count, head->frames);
    return PARSED;
}

int ncf_tail_fits(const trailer_head *head, const uint8_t *bytes)
{
    const uint8_t *tail = bytes + head->crc_at;
    return ncf_u32(tail + 4) == head->length && !memcmp(tail + 8, "NCFE", 4);
}
