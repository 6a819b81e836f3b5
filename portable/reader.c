/* Opens .ncf files, and finds their chunks: by the trailer's table, in one pass, and behind damage.
 * See "Reading damaged files" in formats/NCF.md. */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include "reader.h"

#include <stdio.h>

enum {
    READ_AHEAD = 1 << 16,
    FIRST_STRETCH = 1 << 12, /* bytes that are searched at once: few after little damage */
    LARGEST_STRETCH = 1 << 18,
    PEEK_BYTES = 1 << 13, /* behind a chunk that far and so many chunks are looked at */
    PEEK_COUNT = 16,
    UNSEEN_CHUNKS = 60 /* that may have been lost without leaving a byte */
};

static const uint8_t SIGNATURE[8] = {0x89, 'N', 'C', 'F', '\r', '\n', 0x1A, '\n'};

/* ---- a window that slides over the stream ---- */

static size_t held(const window *w)
{
    return w->end - w->start;
}

static const uint8_t *at(const window *w)
{
    return w->bytes + w->start;
}

static ptrdiff_t read_some(ncf *file, uint64_t offset, uint8_t *bytes, size_t count)
{
    if (file->io.seek && file->position != offset) {
        if (file->io.seek(file->io.context, offset)) {
            file->failed = 1;
            return 0;
        }
        file->position = offset;
    }
    ptrdiff_t got = file->io.read(file->io.context, bytes, count);
    if (got < 0 || (size_t)got > count) {
        file->failed = 1;
        return 0;
    }
    file->position += (uint64_t)got;
    return got;
}

/* Holds `count` bytes or more, fewer only at the end of the stream; returns how many. */
static size_t fill(ncf *file, window *w, size_t count)
{
    while (held(w) < count && !w->ended) {
        size_t ahead = file->seekable ? READ_AHEAD : 0, wanted = count - held(w);
        wanted = wanted < ahead ? ahead : wanted;
        if (w->room - w->end < wanted && w->start) {
            memmove(w->bytes, at(w), held(w));
            w->end -= w->start;
            w->start = 0;
        }
        if (w->room - w->end < wanted) {
            /* At most twice what has come: what a length claims is not allocated beforehand. */
            size_t most = w->end > READ_AHEAD ? w->end : READ_AHEAD;
            size_t room = w->end + (wanted < most ? wanted : most);
            uint8_t *grown = realloc(w->bytes, room);
            if (!grown) {
                file->failed = w->ended = 1;
                break;
            }
            w->bytes = grown;
            w->room = room;
        }
        if (wanted > w->room - w->end)
            wanted = w->room - w->end;
        ptrdiff_t got = read_some(file, w->offset + held(w), w->bytes + w->end, wanted);
        w->ended = got == 0;
        w->end += (size_t)got;
    }
    return held(w);
}

static void drop(window *w, size_t count)
{
    w->start += count;
    w->offset += count;
}

/* ---- the search ---- */

static void survey_free(survey *s)
{
    free(s->intact);
    free(s->registers);
    memset(s, 0, sizeof *s);
}

/* Where in the list the first place is that is not before `offset`. */
static size_t place_of(const survey *s, uint64_t offset)
{
    size_t low = s->first, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->intact[middle] < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Whether something intact starts where the window does: 1, 0, or -1 if that was not searched. */
static int verdict(const survey *s, const window *w)
{
    size_t k = place_of(s, w->offset);
    if (k < s->count && s->intact[k] == w->offset)
        return 1;
    return w->offset < s->until ? 0 : -1;
}

/* Computes registers up to before the byte at `until`, which the window holds. */
static int cover(survey *s, const window *w, uint64_t until)
{
    if (!s->covered || s->base + s->covered - 1 < w->offset) {
        s->base = w->offset;
        s->covered = 0;
    } else if (w->offset - s->base > s->covered / 2) { /* no slice will start there any more */
        size_t passed = (size_t)(w->offset - s->base);
        memmove(s->registers, s->registers + passed, (s->covered - passed) * 4);
        s->covered -= passed;
        s->base = w->offset;
    }
    size_t needed = (size_t)(until - s->base) + 1;
    if (needed > s->register_room) {
        uint32_t *grown = realloc(s->registers, 2 * needed * sizeof *grown);
        if (!grown)
            return 0;
        s->registers = grown;
        s->register_room = 2 * needed;
    }
    if (!s->covered)
        s->registers[s->covered++] = 0xFFFFFFFFu;
    for (; s->covered < needed; s->covered++) {
        uint64_t byte = s->base + s->covered - 1;
        s->registers[s->covered] =
            ncf_crc_register(s->registers[s->covered - 1], at(w)[byte - w->offset]);
    }
    return 1;
}

/* Whether an intact chunk or trailer starts `from` bytes behind the window's start. */
static int is_intact(ncf *file, survey *s, window *w, size_t from)
{
    size_t needed = 1, crc_at;
    parsed state = NEEDS_MORE;
    chunk_head chunk;
    trailer_head trailer;
    int is_trailer = 0;
    while (state == NEEDS_MORE) {
        if (fill(file, w, from + needed) < from + needed)
            return 0;
        const uint8_t *bytes = at(w) + from;
        size_t count = held(w) - from;
        is_trailer = count > 1 && bytes[1] & 0x80;
        state = is_trailer ? ncf_parse_trailer(&file->info, bytes, count, &trailer, &needed)
                           : ncf_parse_chunk(&file->info, bytes, count, &chunk, &needed);
    }
    if (state == REFUSED)
        return 0;
    size_t length = is_trailer ? trailer.length : chunk.length;
    if (fill(file, w, from + length) < from + length)
        return 0;
    const uint8_t *bytes = at(w) + from;
    if (is_trailer && !ncf_tail_fits(&trailer, bytes))
        return 0;
    crc_at = is_trailer ? trailer.crc_at : chunk.length - CRC_BYTES;
    uint64_t offset = w->offset + from;
    if (!cover(s, w, offset + crc_at)) {
        file->failed = 1;
        return 0;
    }
    uint32_t before = s->registers[offset - s->base];
    uint32_t after = s->registers[offset - s->base + crc_at];
    return ncf_crc_of_slice(before, after, crc_at) == ncf_u32(bytes + crc_at);
}

static int note_intact(survey *s, uint64_t offset)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        uint64_t *grown = realloc(s->intact, room * sizeof *grown);
        if (!grown)
            return 0;
        s->intact = grown;
        s->room = room;
    }
    s->intact[s->count++] = offset;
    return 1;
}

/* Searches one more stretch; returns 0 at the end of the stream. */
static int extend(ncf *file, survey *s, window *w, size_t stretch)
{
    size_t base = s->until > w->offset ? (size_t)(s->until - w->offset) : 0;
    size_t there = fill(file, w, base + stretch);
    if (there <= base)
        return 0;
    size_t starts = there - base < stretch ? there - base : stretch;
    /* What the window has left behind is no longer asked for. */
    size_t gone = place_of(s, w->offset);
    if (gone)
        memmove(s->intact, s->intact + gone, (s->count - gone) * sizeof *s->intact);
    s->count -= gone;
    for (size_t k = base; k < base + starts; k++)
        if (is_intact(file, s, w, k) && !note_intact(s, w->offset + k)) {
            file->failed = 1;
            return 0;
        }
    s->until = w->offset + base + starts;
    return 1;
}

/* Moves the window past its first byte to where something intact starts, or to the end. */
static void skip(ncf *file, pass *p)
{
    survey *s = &p->survey;
    size_t stretch = FIRST_STRETCH;
    int known;
    drop(&p->window, 1);
    while ((known = verdict(s, &p->window)) != 1) {
        if (known < 0) {
            if (file->failed || !extend(file, s, &p->window, stretch)) {
                drop(&p->window, held(&p->window));
                return;
            }
            stretch = stretch < LARGEST_STRETCH ? 2 * stretch : stretch;
            continue;
        }
        size_t k = place_of(s, p->window.offset);
        uint64_t target = k < s->count ? s->intact[k] : s->until;
        drop(&p->window, (size_t)(target - p->window.offset));
    }
}

/* How far ahead of what is expected the next few chunks are that stand `length` bytes further. */
static int distances_behind(ncf *file, pass *p, size_t length, uint32_t distances[PEEK_COUNT])
{
    survey *s = &p->survey;
    uint64_t start = p->window.offset + length;
    int found = 0, seen = 0;
    while (s->until < start + PEEK_BYTES && !file->failed &&
           extend(file, s, &p->window, FIRST_STRETCH))
        ;
    for (size_t k = place_of(s, start);
         k < s->count && s->intact[k] < start + PEEK_BYTES && seen < PEEK_COUNT; k++, seen++) {
        const uint8_t *bytes = at(&p->window) + (s->intact[k] - p->window.offset);
        uint32_t word = bytes[0] | (uint32_t)bytes[1] << 8;
        if (!(word & CHUNK_END))
            distances[found++] = (word - (uint32_t)p->expected) % INDEX_MODULUS;
    }
    return found;
}

/* ---- one pass ---- */

static int longest_ascent(const uint32_t *values, int count, uint32_t above)
{
    uint32_t lowest[PEEK_COUNT]; /* last values of ascents, by their length */
    int longest = 0;
    for (int k = 0; k < count; k++) {
        int row = 0;
        if (values[k] <= above)
            continue;
        while (row < longest && lowest[row] < values[k])
            row++;
        lowest[row] = values[k];
        longest += row == longest;
    }
    return longest;
}

/* Whether the chunk at the window's start may follow a gap of `ahead` chunks. */
static int may_jump(ncf *file, pass *p, uint32_t ahead, size_t length)
{
    uint64_t end = p->window.offset + length - file->first;
    if ((uint64_t)p->expected + ahead >= end / SMALLEST_CHUNK + UNSEEN_CHUNKS)
        return 0;
    uint64_t lost = p->window.offset - p->resumed;
    uint64_t chunks = p->accepted ? p->accepted : 1;
    uint64_t bytes = p->accepted ? p->accepted_bytes : SMALLEST_CHUNK;
    if (ahead >= INDEX_MODULUS / 2 && 2 * lost * chunks < ahead * bytes)
        return 0;
    /* It may also have strayed in from elsewhere: go the way on which more follow. */
    uint32_t behind[PEEK_COUNT];
    int count = distances_behind(file, p, length, behind), all = 0;
    uint32_t raised[PEEK_COUNT];
    for (int k = 0; k < count; k++)
        raised[k] = behind[k] + 1; /* so that 0 is above 0, too */
    all = longest_ascent(raised, count, 0);
    return 1 + longest_ascent(behind, count, ahead) >= all;
}

static const chunk_entry *entry_at(const ncf *file, uint64_t offset)
{
    size_t low = 0, high = file->table_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (file->table[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < file->table_count && file->table[low].offset == offset ? &file->table[low] : NULL;
}

int ncf_has_trailer_table(const ncf *file)
{
    return file->table != NULL;
}

/* The full index of the chunk at the window's start; -1 if it has no place. */
static int64_t index_of(ncf *file, pass *p, const chunk_head *head)
{
    uint32_t ahead = (head->number - (uint32_t)p->expected) % INDEX_MODULUS;
    int64_t index = p->expected + ahead, last = MAX_CHUNKS - 1;
    const chunk_entry *known = NULL;
    if (file->table) {
        last = (int64_t)file->table_count - 1;
        known = entry_at(file, p->window.offset);
    }
    if (known && known->index >= p->expected && known->index % INDEX_MODULUS == head->number)
        index = known->index;
    else if (ahead && !may_jump(file, p, ahead, head->length))
        return -1;
    if (p->was_short || index > last)
        return -1;
    int is_short = head->frames != file->info.chunk_frames;
    return is_short && file->table && index != last ? -1 : index;
}

/* Whether an intact chunk with a place starts the window. */
static int chunk_here(ncf *file, pass *p)
{
    size_t needed = 1;
    parsed state = NEEDS_MORE;
    int known = verdict(&p->survey, &p->window);
    if (!known)
        return 0;
    while (state == NEEDS_MORE) {
        if (fill(file, &p->window, needed) < needed)
            return 0;
        state = ncf_parse_chunk(
            &file->info, at(&p->window), held(&p->window), &p->head, &needed);
    }
    size_t length = p->head.length;
    if (state == REFUSED || p->head.wrong_scales || fill(file, &p->window, length) < length)
        return 0;
    const uint8_t *bytes = at(&p->window);
    if (known < 0 && ncf_crc32(0, bytes, length - CRC_BYTES) != ncf_u32(bytes + length - CRC_BYTES))
        return 0;
    p->index = index_of(file, p, &p->head);
    return p->index >= 0;
}

/* Whether an intact trailer that fits the chunks starts the window. */
static int trailer_here(ncf *file, pass *p, trailer_head *head)
{
    size_t needed = 1;
    parsed state = NEEDS_MORE;
    int known = verdict(&p->survey, &p->window);
    if (!known)
        return 0;
    while (state == NEEDS_MORE) {
        if (fill(file, &p->window, needed) < needed)
            return 0;
        state = ncf_parse_trailer(&file->info, at(&p->window), held(&p->window), head, &needed);
    }
    if (state == REFUSED || !head->fits)
        return 0;
    const uint8_t *bytes = at(&p->window);
    if (!ncf_tail_fits(head, bytes) ||
        (known < 0 && ncf_crc32(0, bytes, head->crc_at) != ncf_u32(bytes + head->crc_at)))
        return 0;
    if (file->table) {
        const chunk_entry *last = file->table_count ? &file->table[file->table_count - 1] : NULL;
        return p->window.offset == (last ? last->offset + last->length : file->first);
    }
    if (head->count < (uint64_t)p->expected)
        return 0;
    uint64_t missing = head->count - (uint64_t)p->expected;
    if (!missing)
        return 1;
    if (p->was_short)
        return 0;
    /* Where chunks that it counts as lost still follow, it strayed in from the end. */
    uint32_t behind[PEEK_COUNT];
    int count = distances_behind(file, p, head->length, behind);
    for (int k = 0; k < count; k++)
        if (behind[k] < missing)
            return 0;
    return 1;
}

static void take_trailer(ncf *file, const trailer_head *head, uint64_t end)
{
    file->complete = file->has_end = 1;
    file->chunk_count = (int64_t)head->count;
    file->trailer_frames = (int64_t)head->frames;
    file->end = end;
}

static void pass_begin(ncf *file)
{
    pass *p = &file->pass;
    survey_free(&p->survey);
    free(p->window.bytes);
    memset(p, 0, sizeof *p);
    p->window.offset = p->resumed = p->survey.until = file->first;
}

static void pass_end(ncf *file, const trailer_head *trailer)
{
    pass *p = &file->pass;
    p->ended = 1;
    if (trailer)
        take_trailer(file, trailer, p->window.offset + trailer->length);
    if (!file->complete)
        file->chunk_count = p->expected;
    if (trailer && !file->seekable)
        drop(&p->window, trailer->length);
}

/* Finds the next chunk, which then is at the window's start: 1, or 0 at the end. */
static int pass_next(ncf *file)
{
    pass *p = &file->pass;
    trailer_head trailer;
    if (p->ended)
        return 0;
    if (p->holds_chunk) {
        drop(&p->window, p->head.length);
        p->holds_chunk = 0;
        p->resumed = p->window.offset;
    }
    while (fill(file, &p->window, 1)) {
        if (chunk_here(file, p)) {
            p->expected = p->index + 1;
            p->was_short = p->head.frames != file->info.chunk_frames;
            p->accepted++;
            p->accepted_bytes += p->head.length;
            p->holds_chunk = 1;
            return 1;
        }
        if (trailer_here(file, p, &trailer)) {
            pass_end(file, &trailer);
            return 0;
        }
        skip(file, p);
    }
    pass_end(file, NULL);
    return 0;
}

/* ---- chunks as callers get them ---- */

static void describe(
    const ncf *file, const chunk_head *head, const uint8_t *bytes, int64_t index, uint64_t offset,
    ncf_chunk *chunk)
{
    chunk->index = index;
    chunk->offset = offset;
    chunk->length = head->length;
    chunk->codebooks = head->codebooks;
    chunk->frames = head->frames;
    chunk->raw = (head->word & CHUNK_RAW) != 0;
    chunk->mid_side = (head->word & CHUNK_MID_SIDE) != 0;
    chunk->scales = head->codebooks && file->info.scale_kind ? bytes + head->scales_at : NULL;
    chunk->payload = bytes + head->payload_at;
    chunk->payload_length = head->payload_length;
    chunk->layer = bytes + head->layer_at;
    chunk->layer_length = head->layer_length;
}

int ncf_next_chunk(ncf *file, ncf_chunk *chunk)
{
    if (!file || !chunk)
        return NCF_ERROR_ARGUMENT;
    if (!pass_next(file))
        return file->failed ? NCF_ERROR_READ : 0;
    const pass *p = &file->pass;
    describe(file, &p->head, at(&p->window), p->index, p->window.offset, chunk);
    return 1;
}

ncf_status ncf_rewind(ncf *file)
{
    if (!file || !file->seekable)
        return NCF_ERROR_SEEK;
    pass_begin(file);
    return NCF_OK;
}

/* Makes the table of all intact chunks by searching the whole file, once. */
static ncf_status scan(ncf *file)
{
    size_t room = 0;
    if (file->was_scanned)
        return NCF_OK;
    pass kept = file->pass; /* ncf_next_chunk goes on where it was */
    memset(&file->pass, 0, sizeof file->pass);
    pass_begin(file);
    while (pass_next(file)) {
        if (file->scanned_count == room) {
            room = room ? 2 * room : 256;
            chunk_entry *grown = realloc(file->scanned, room * sizeof *grown);
            if (!grown)
                return NCF_ERROR_MEMORY;
            file->scanned = grown;
        }
        const pass *p = &file->pass;
        chunk_entry entry = {p->index, p->window.offset, (uint32_t)p->head.length};
        file->scanned[file->scanned_count++] = entry;
    }
    survey_free(&file->pass.survey);
    free(file->pass.window.bytes);
    file->pass = kept;
    file->was_scanned = 1;
    return file->failed ? NCF_ERROR_READ : NCF_OK;
}

ncf_status ncf_locate(ncf *file)
{
    if (!file->seekable)
        return NCF_ERROR_SEEK;
    return file->table ? NCF_OK : scan(file);
}

int64_t ncf_chunk_count(ncf *file)
{
    if (file->chunk_count < 0 && file->seekable)
        ncf_locate(file);
    return file->chunk_count;
}

static int read_at(ncf *file, uint64_t offset, size_t length)
{
    if (length > file->held_room) {
        uint8_t *grown = realloc(file->held, length);
        if (!grown)
            return 0;
        file->held = grown;
        file->held_room = length;
    }
    for (size_t have = 0; have < length;) {
        ptrdiff_t got = read_some(file, offset + have, file->held + have, length - have);
        if (got <= 0)
            return 0;
        have += (size_t)got;
    }
    return 1;
}

static int read_entry(ncf *file, const chunk_entry *entry, ncf_chunk *chunk)
{
    chunk_head head;
    size_t needed, length = entry->length;
    if (!read_at(file, entry->offset, length))
        return 0;
    const uint8_t *bytes = file->held;
    if (ncf_crc32(0, bytes, length - CRC_BYTES) != ncf_u32(bytes + length - CRC_BYTES) ||
        ncf_parse_chunk(&file->info, bytes, length, &head, &needed) != PARSED ||
        head.length != length || head.wrong_scales || head.number != entry->index % INDEX_MODULUS)
        return 0;
    if (head.frames != file->info.chunk_frames && entry->index + 1 != file->chunk_count)
        return 0;
    describe(file, &head, bytes, entry->index, entry->offset, chunk);
    return 1;
}

int ncf_read_chunk(ncf *file, int64_t index, ncf_chunk *chunk)
{
    if (!file || !chunk || !file->seekable)
        return file && chunk ? NCF_ERROR_SEEK : NCF_ERROR_ARGUMENT;
    if (file->table) {
        if (index < 0 || (uint64_t)index >= file->table_count)
            return 0;
        if (read_entry(file, &file->table[index], chunk))
            return 1;
    }
    /* The table may be right about the file's length and wrong about what stands where. */
    ncf_status status = scan(file);
    if (status)
        return status;
    size_t low = 0, high = file->scanned_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (file->scanned[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == file->scanned_count || file->scanned[low].index != index)
        return 0;
    return read_entry(file, &file->scanned[low], chunk);
}

/* ---- opening ---- */

static ncf_status cut_off(ncf *file, char *why)
{
    if (file->failed)
        return ncf_fail(NCF_ERROR_READ, why, "the file cannot be read");
    return ncf_fail(NCF_ERROR_HEADER, why, "the .ncf header is cut off");
}

static ncf_status read_header(ncf *file, char *why)
{
    window *w = &file->pass.window;
    size_t have = fill(file, w, 8);
    if (have == 0 || memcmp(at(w), SIGNATURE, have < 8 ? have : 8)) {
        if (file->failed)
            return cut_off(file, why);
        return ncf_fail(NCF_ERROR_NOT_NCF, why, have ? "not an .ncf file" : "not an .ncf: empty");
    }
    if (fill(file, w, 14) < 14)
        return cut_off(file, why);
    file->info.major = at(w)[8];
    file->info.minor = at(w)[9];
    if (file->info.major != 1)
        return ncf_fail(NCF_ERROR_VERSION, why, "an .ncf of version %d.x, this reader knows 1.x",
                        file->info.major);
    size_t length = ncf_u32(at(w) + 10);
    if (length > 1 << 20)
        return ncf_fail(NCF_ERROR_HEADER, why, "the .ncf header is damaged: it is too long");
    if (fill(file, w, length + 18) < length + 18)
        return cut_off(file, why);
    if (ncf_crc32(0, at(w), length + 14) != ncf_u32(at(w) + length + 14))
        return ncf_fail(NCF_ERROR_HEADER, why, "the .ncf header is damaged: its checksum differs");
    ncf_status status = ncf_parse_fields(at(w) + 14, length, &file->info, &file->tags, why);
    drop(w, length + 18);
    file->first = w->offset;
    return status;
}

/* Makes the table that the trailer's bytes hold; 0 where it is malformed or does not fit. */
static int make_table(ncf *file, const trailer_head *head, const uint8_t *bytes, uint64_t start)
{
    size_t place = head->table_at;
    int64_t length = 0;
    uint64_t offset = file->first, value;
    chunk_entry *table = malloc((size_t)(head->count ? head->count : 1) * sizeof *table);
    if (!table)
        return 0;
    for (uint64_t k = 0; k < head->count; k++) {
        if (ncf_varint(bytes, head->crc_at, &place, &value) != PARSED)
            break;
        int64_t step = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
        length += step;
        if (step > 1 << 22 || step < -(1 << 22) || length < SMALLEST_CHUNK || length > UINT32_MAX)
            break;
        chunk_entry entry = {(int64_t)k, offset, (uint32_t)length};
        table[k] = entry;
        offset += (uint64_t)length;
        if (k + 1 == head->count && offset == start) {
            file->table = table;
            file->table_count = (size_t)head->count;
            return 1;
        }
    }
    if (!head->count && offset == start) {
        file->table = table;
        return 1;
    }
    free(table);
    return 0;
}

/* Uses the trailer at the very end of the file, if it is intact. */
static void read_trailer(ncf *file)
{
    trailer_head head;
    size_t needed;
    uint64_t size = file->io.size;
    if (size < file->first + 8 || !read_at(file, size - 8, 8) || memcmp(file->held + 4, "NCFE", 4))
        return;
    uint64_t length = ncf_u32(file->held);
    if (length < SMALLEST_TRAILER || length > MAX_TRAILER_BYTES || length > size - file->first ||
        !read_at(file, size - length, (size_t)length))
        return;
    const uint8_t *bytes = file->held;
    if (ncf_parse_trailer(&file->info, bytes, (size_t)length, &head, &needed) != PARSED ||
        !head.fits || head.length != length || !ncf_tail_fits(&head, bytes) ||
        ncf_crc32(0, bytes, head.crc_at) != ncf_u32(bytes + head.crc_at))
        return;
    if (make_table(file, &head, bytes, size - length))
        take_trailer(file, &head, size);
}

ncf_status ncf_open(ncf_io io, ncf **opened, char why[NCF_MESSAGE])
{
    ncf *file = opened && io.read ? calloc(1, sizeof *file) : NULL;
    if (!file) {
        if (io.close)
            io.close(io.context);
        return ncf_fail(opened && io.read ? NCF_ERROR_MEMORY : NCF_ERROR_ARGUMENT, why, "no memory");
    }
    file->io = io;
    file->seekable = io.seek != NULL;
    file->chunk_count = file->trailer_frames = -1;
    ncf_status status = read_header(file, why);
    if (!status && file->seekable) {
        read_trailer(file);
        pass_begin(file);
    } else {
        file->pass.resumed = file->pass.survey.until = file->first;
    }
    if (!status && file->failed)
        status = cut_off(file, why);
    if (status) {
        ncf_close(file);
        file = NULL;
    }
    *opened = file;
    return status;
}

void ncf_close(ncf *file)
{
    if (!file)
        return;
    ncf_decoding_free(file);
    survey_free(&file->pass.survey);
    free(file->pass.window.bytes);
    free(file->table);
    free(file->scanned);
    free(file->held);
    free(file->tags);
    if (file->io.close)
        file->io.close(file->io.context);
    free(file);
}

const ncf_info *ncf_get_info(const ncf *file)
{
    return &file->info;
}

int64_t ncf_source_frames(const ncf *file)
{
    return file->complete ? file->trailer_frames : file->info.frames;
}

int ncf_is_complete(const ncf *file)
{
    return file->complete;
}

int ncf_has_surplus(ncf *file)
{
    if (!file->has_end)
        return 0;
    if (file->seekable)
        return file->end < file->io.size;
    return fill(file, &file->pass.window, 1) > 0;
}

/* ---- files and memory ---- */

#ifndef NCF_NO_FILES

static ptrdiff_t read_file(void *context, void *bytes, size_t count)
{
    size_t got = fread(bytes, 1, count, context);
    return got || !ferror((FILE *)context) ? (ptrdiff_t)got : -1;
}

#ifdef _WIN32
#define fseeko _fseeki64
#define ftello _ftelli64
#endif

static int seek_file(void *context, uint64_t offset)
{
    return fseeko(context, (int64_t)offset, SEEK_SET);
}

static void close_file(void *context)
{
    if (context != stdin)
        fclose(context);
}

ncf_status ncf_open_file(const char *path, ncf **opened, char why[NCF_MESSAGE])
{
    int is_pipe = !strcmp(path, "-");
    FILE *file = is_pipe ? stdin : fopen(path, "rb");
    if (!file)
        return ncf_fail(NCF_ERROR_READ, why, "%.200s cannot be opened", path);
    ncf_io io = {file, read_file, NULL, 0, close_file};
    if (!is_pipe && !fseeko(file, 0, SEEK_END)) {
        int64_t size = (int64_t)ftello(file);
        if (size >= 0 && !fseeko(file, 0, SEEK_SET)) {
            io.seek = seek_file;
            io.size = (uint64_t)size;
        }
    }
    return ncf_open(io, opened, why);
}

#endif

typedef struct {
    const uint8_t *bytes;
    size_t count, at;
} memory_file;

static ptrdiff_t read_memory(void *context, void *bytes, size_t count)
{
    memory_file *file = context;
    size_t left = file->count - file->at;
    count = count < left ? count : left;
    if (count)
        memcpy(bytes, file->bytes + file->at, count);
    file->at += count;
    return (ptrdiff_t)count;
}

static int seek_memory(void *context, uint64_t offset)
{
    memory_file *file = context;
    file->at = offset < file->count ? (size_t)offset : file->count;
    return 0;
}

ncf_status ncf_open_memory(const void *bytes, size_t count, ncf **opened, char why[NCF_MESSAGE])
{
    memory_file *file = malloc(sizeof *file);
    if (!file)
        return ncf_fail(NCF_ERROR_MEMORY, why, "no memory");
    file->bytes = bytes;
    file->count = count;
    file->at = 0;
    ncf_io io = {file, read_memory, seek_memory, count, free};
    return ncf_open(io, opened, why);
}
