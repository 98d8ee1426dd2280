#include <math.h>
#include <string.h>

#include "kernels_internal.h"

size_t expo_size(expo_dtype dtype) {
  static const uint8_t sizes[] = {8, 4, 2, 2, 1, 1, 1, 1};
  return sizes[dtype];
}

double expo_largest_finite(expo_dtype dtype) {
  static const double values[] = {0x1.fffffffffffffp1023, 0x1.fffffep127, 65504, 0x1.fep127, 448, 57344, 240, 57344};
  return values[dtype];
}

double expo_saturates_above(expo_dtype dtype) {
  switch (dtype) {
  case EXPO_F8_E4M3:
    return 464; // half way to the next step, which ties to the even 448
  case EXPO_F8_E4M3FNUZ:
    return 0x1.effffffffffffp7; // the tie at 248 would round up
  case EXPO_F8_E5M2FNUZ:
    return 0x1.dffffffffffffp15; // the tie at 61440 would round up
  default:
    return INFINITY;
  }
}

int expo_is_finite(expo_dtype dtype, const void *output, size_t index) {
  const uint8_t *at = (const uint8_t *)output + index * expo_size(dtype);
  uint64_t u = 0;
  memcpy(&u, at, expo_size(dtype));
  switch (dtype) {
  case EXPO_F64:
    return (u & 0x7FF0000000000000ull) != 0x7FF0000000000000ull;
  case EXPO_F32:
    return (u & 0x7F800000) != 0x7F800000;
  case EXPO_F16:
    return (u & 0x7C00) != 0x7C00;
  case EXPO_BF16:
    return (u & 0x7F80) != 0x7F80;
  case EXPO_F8_E4M3:
    return (u & 0x7F) != 0x7F;
  case EXPO_F8_E5M2:
    return (u & 0x7C) != 0x7C;
  case EXPO_F8_E4M3FNUZ:
  case EXPO_F8_E5M2FNUZ:
    return u != 0x80;
  }
  return 1;
}
