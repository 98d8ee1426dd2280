#if defined(__x86_64__)
#include <math.h>
#include <string.h>
// Whole registers: clang would use half of them by default, which costs a quarter of the speed.
#pragma clang attribute push(                                                                                          \
    __attribute__((target("arch=x86-64-v4,no-prefer-256-bit"), min_vector_width(512))), apply_to = function)
#define EXPO_HAS_F16C 1
#define EXPO_NAME(x) x##_v4
#define EXPO_WIDTH 16
#include "kernels_impl.h"
#include "shape_impl.h"
#include "dequantise_impl.h"
#pragma clang attribute pop
#endif
