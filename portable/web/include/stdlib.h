#ifndef WEB_STDLIB_H
#define WEB_STDLIB_H
#include <stddef.h>
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *old, size_t size);
void free(void *old);
void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *));
#endif
