#include <string.h>

#include "kernels_internal.h"

/// `count` elements that are `stride` bytes apart.
static void copy_strided(const uint8_t *source, size_t stride, size_t size, size_t count, uint8_t *output) {
  switch (size) {
  case 1:
    for (size_t i = 0; i < count; i++) output[i] = source[i * stride];
    break;
  case 2:
    for (size_t i = 0; i < count; i++) memcpy(output + 2 * i, source + i * stride, 2);
    break;
  case 4:
    for (size_t i = 0; i < count; i++) memcpy(output + 4 * i, source + i * stride, 4);
    break;
  default:
    for (size_t i = 0; i < count; i++) memcpy(output + 8 * i, source + i * stride, 8);
    break;
  }
}

void expo_gather_unguarded(const uint8_t *storage, size_t skipped, size_t size, size_t rank, const size_t *shape,
                           const size_t *strides, size_t first, size_t count, uint8_t *output) {
  const size_t length = shape[rank - 1], stride = strides[rank - 1];
  while (count > 0) {
    // Along the innermost dimension, from the index that `first` has there.
    size_t place = 0, rest = first;
    for (size_t i = rank; i-- > 0;) {
      place += rest % shape[i] * strides[i];
      rest /= shape[i];
    }
    size_t run = length - first % length;
    run = run < count ? run : count;
    const uint8_t *source = storage + (place - skipped) * size;
    if (stride == 1) {
      memcpy(output, source, run * size);
    } else {
      copy_strided(source, stride * size, size, run, output);
    }
    output += run * size;
    first += run;
    count -= run;
  }
}
