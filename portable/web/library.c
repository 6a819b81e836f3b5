/* What the decoder needs of a C library, for WebAssembly: memory, strings, a few functions. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory: blocks in the order of their places, those that are free joined when one is sought -- */

typedef struct block {
    size_t size; /* of what follows, a multiple of 16 */
    size_t is_free;
    struct block *next;
    size_t reserved;
} block;

extern unsigned char __heap_base;
static block *first;
static size_t end; /* of the memory that is handed out so far */

static block *grown(size_t size)
{
    if (!end)
        end = ((size_t)&__heap_base + 15) / 16 * 16;
    size_t place = end, needed = place + sizeof(block) + size;
    size_t have = __builtin_wasm_memory_size(0) * 65536;
    if (needed < place)
        return NULL;
    if (needed > have && __builtin_wasm_memory_grow(0, (needed - have + 65535) / 65536) == (size_t)-1)
        return NULL;
    block *b = (block *)place;
    b->size = size;
    b->next = NULL;
    end = needed;
    return b;
}

void *malloc(size_t size)
{
    block *b = first, *last = NULL;
    if (size > 0x7FFFFFFF)
        return NULL;
    size = (size + 15) / 16 * 16;
    for (; b; last = b, b = b->next) {
        while (b->is_free && b->next && b->next->is_free) {
            b->size += sizeof *b + b->next->size;
            b->next = b->next->next;
        }
        if (b->is_free && b->size >= size)
            break;
    }
    if (!b) {
        b = grown(size);
        if (!b)
            return NULL;
        if (last)
            last->next = b;
        else
            first = b;
    } else if (b->size >= size + sizeof *b + 64) {
        block *rest = (block *)((char *)(b + 1) + size);
        rest->size = b->size - size - sizeof *b;
        rest->is_free = 1;
        rest->next = b->next;
        b->size = size;
        b->next = rest;
    }
    b->is_free = 0;
    return b + 1;
}

void free(void *old)
{
    if (old)
        ((block *)old - 1)->is_free = 1;
}

void *calloc(size_t count, size_t size)
{
    if (size && count > 0x7FFFFFFF / size)
        return NULL;
    void *made = malloc(count * size);
    return made ? memset(made, 0, count * size) : NULL;
}

void *realloc(void *old, size_t size)
{
    size_t had = old ? ((block *)old - 1)->size : 0;
    if (old && had >= size)
        return old;
    void *made = malloc(size);
    if (made && old) {
        memcpy(made, old, had);
        free(old);
    }
    return made;
}

/* ---- strings ---- */

void *memcpy(void *to, const void *from, size_t count)
{
    return __builtin_memcpy(to, from, count);
}

void *memmove(void *to, const void *from, size_t count)
{
    return __builtin_memmove(to, from, count);
}

void *memset(void *to, int value, size_t count)
{
    return __builtin_memset(to, value, count);
}

int memcmp(const void *a, const void *b, size_t count)
{
    const unsigned char *x = a, *y = b;
    for (; count && *x == *y; count--, x++, y++)
        ;
    return count ? *x - *y : 0;
}

size_t strlen(const char *text)
{
    size_t count = 0;
    while (text[count])
        count++;
    return count;
}

int strcmp(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    return (unsigned char)*a - (unsigned char)*b;
}

/* Sorts by inserting, in ever smaller steps (D. L. Shell, 1959). */
void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    char *values = base;
    for (size_t step = count / 2; step; step /= 2)
        for (size_t k = step; k < count; k++)
            for (size_t j = k; j >= step; j -= step) {
                char *a = values + (j - step) * size, *b = values + j * size;
                if (compare(a, b) <= 0)
                    break;
                for (size_t i = 0; i < size; i++) {
                    char byte = a[i];
                    a[i] = b[i];
                    b[i] = byte;
                }
            }
}

/* Knows %s, %.Ns, %d, %u, %ld, %llu, %lld and %c. */
int vsnprintf(char *out, size_t size, const char *format, va_list arguments)
{
    size_t at = 0;
#define PUT(c) (at + 1 < size ? (void)(out[at] = (char)(c)) : (void)0, at++)
    for (; *format; format++) {
        if (*format != '%') {
            PUT(*format);
            continue;
        }
        size_t most = 1 << 20, longs = 0;
        if (*++format == '.')
            for (most = 0; *++format >= '0' && *format <= '9';)
                most = 10 * most + (size_t)(*format - '0');
        for (; *format == 'l'; format++)
            longs++;
        if (*format == 's') {
            const char *text = va_arg(arguments, const char *);
            for (; *text && most; text++, most--)
                PUT(*text);
        } else if (*format == 'c') {
            PUT(va_arg(arguments, int));
        } else {
            char digits[24];
            int count = 0, is_signed = *format == 'd';
            uint64_t value = longs > 1   ? va_arg(arguments, uint64_t)
                             : is_signed ? (uint64_t)(int64_t)va_arg(arguments, int)
                                         : va_arg(arguments, unsigned);
            if (is_signed && (int64_t)value < 0) {
                PUT('-');
                value = 0 - value;
            }
            do
                digits[count++] = (char)('0' + value % 10);
            while (value /= 10);
            while (count)
                PUT(digits[--count]);
        }
    }
    if (size)
        out[at < size ? at : size - 1] = 0;
    return (int)at;
}

int snprintf(char *out, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(out, size, format, arguments);
    va_end(arguments);
    return count;
}

/* ---- functions: by their series, to the last bits of float64 ---- */

static double sine(double x, int is_cosine)
{
    double turns = floor(x * 0.63661977236758134308 + 0.5); /* of a quarter */
    double rest = x - turns * 1.5707963267341256 - turns * 6.0771005065061922e-11;
    int quarter = (int)(turns - 4 * floor(turns / 4)) + is_cosine;
    double square = rest * rest, term = quarter & 1 ? 1 : rest, sum = term;
    for (int k = quarter & 1 ? 1 : 2; k < 20; k += 2) {
        term *= -square / (k * (k + 1));
        sum += term;
    }
    return quarter & 2 ? -sum : sum;
}

double sin(double x)
{
    return sine(x, 0);
}

double cos(double x)
{
    return sine(x, 1);
}

double exp(double x)
{
    if (!(x > -708))
        return 0;
    x = x > 709 ? 709 : x;
    double whole = floor(x * 1.44269504088896340736 + 0.5);
    double rest = x - whole * 0.693147180369123816490 - whole * 1.90821492927058770002e-10;
    double term = 1, sum = 1, power;
    for (int k = 1; k < 16; k++) {
        term *= rest / k;
        sum += term;
    }
    uint64_t bits = (uint64_t)((int64_t)whole + 1023) << 52;
    memcpy(&power, &bits, 8);
    return sum * power;
}

static double logarithm(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, 8);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0xFFFFFFFFFFFFFu) | (uint64_t)1023 << 52;
    double part;
    memcpy(&part, &bits, 8);
    if (part > 1.41421356237309504880) {
        part /= 2;
        exponent++;
    }
    double ratio = (part - 1) / (part + 1), square = ratio * ratio, term = ratio, sum = 0;
    for (int k = 1; k < 30; k += 2) {
        sum += term / k;
        term *= square;
    }
    return exponent * 0.693147180559945309417 + 2 * sum;
}

double pow(double base, double exponent)
{
    return exp(exponent * logarithm(base));
}

double sinh(double x)
{
    return (exp(x) - exp(-x)) / 2;
}
