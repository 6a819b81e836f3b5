/* An opened .ncf, as reader.c and decoder.c share it. */
#ifndef NCF_READER_H
#define NCF_READER_H

#include "internal.h"

/* The bytes of a stream from `offset` on, as far as they have been asked for. */
typedef struct {
    uint8_t *bytes;
    size_t start, end, room; /* bytes[start] to bytes[end - 1] are held */
    uint64_t offset;         /* of bytes[start] in the stream */
    int ended;
} window;

/* Searches a damaged stretch for places where something intact starts. */
typedef struct {
    uint64_t until;    /* all that starts before here is known */
    uint64_t *intact;  /* where something intact starts, in order */
    size_t first, count, room;
    uint32_t *registers; /* CRC registers before each byte from `base` on */
    uint64_t base;
    size_t covered, register_room;
} survey;

/* Reads chunks in one pass. */
typedef struct {
    window window;
    survey survey;
    int64_t expected;
    uint64_t resumed; /* where the last intact chunk ended */
    uint64_t accepted, accepted_bytes;
    int was_short, ended;
    chunk_head head; /* of the chunk that was found last, which is at the window's start */
    int64_t index;
    int holds_chunk;
} pass;

typedef struct decoding decoding;

struct ncf {
    ncf_info info;
    ncf_io io;
    void *tags;
    uint64_t position; /* of `io` */
    uint64_t first;    /* where the first chunk starts */
    int seekable, failed; /* failed: the caller's file could not be read */
    int complete, has_end;
    uint64_t end; /* of the trailer */
    int64_t chunk_count, trailer_frames;
    chunk_entry *table, *scanned; /* by the trailer; by a search */
    size_t table_count, scanned_count;
    int was_scanned, surplus;
    pass pass;
    uint8_t *held; /* bytes of the chunk that was read last at random */
    size_t held_room;
    decoding *decoding;
};

int ncf_has_trailer_table(const ncf *file);
/* Finds where chunks stand: by the trailer, or else by a search. */
ncf_status ncf_locate(ncf *file);
void ncf_decoding_free(ncf *file); /* decoder.c */

#endif
