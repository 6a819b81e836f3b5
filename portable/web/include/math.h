#ifndef WEB_MATH_H
#define WEB_MATH_H
double sin(double x);
double cos(double x);
double exp(double x);
double pow(double base, double exponent);
double sinh(double x);
static inline double floor(double x) { return __builtin_floor(x); }
static inline double sqrt(double x) { return __builtin_sqrt(x); }
static inline float sqrtf(float x) { return __builtin_sqrtf(x); }
static inline float fabsf(float x) { return __builtin_fabsf(x); }
static inline float cosf(float x) { return (float)cos(x); }
static inline float sinf(float x) { return (float)sin(x); }
#endif
