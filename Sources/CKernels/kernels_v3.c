#if defined(__x86_64__)
#include <math.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))), apply_to = function)
#define EXPO_HAS_F16C 1
#define EXPO_NAME(x) x##_v3
#define EXPO_WIDTH 8
#include "kernels_impl.h"
#include "shape_impl.h"
#include "dequantise_impl.h"
#pragma clang attribute pop
#endif
