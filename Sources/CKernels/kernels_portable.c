#if defined(__aarch64__)
#define EXPO_HAS_F16C 1 // converts F16 in hardware, by another name
#endif
#define EXPO_NAME(x) x##_portable
#define EXPO_WIDTH 8
#include "kernels_impl.h"
#include "shape_impl.h"
#include "dequantise_impl.h"
