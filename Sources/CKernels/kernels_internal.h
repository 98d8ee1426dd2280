// What the levels share.
#ifndef EXPO_KERNELS_INTERNAL_H
#define EXPO_KERNELS_INTERNAL_H

#include "expo_kernels.h"

/// Bytes of one element.
size_t expo_size(expo_dtype dtype);

double expo_largest_finite(expo_dtype dtype);

/// The magnitude above which a format without infinity has been saturated; infinity for the others.
double expo_saturates_above(expo_dtype dtype);

/// Whether element `index` of an output is neither infinite nor NaN.
int expo_is_finite(expo_dtype dtype, const void *output, size_t index);

void expo_gather_unguarded(const uint8_t *storage, size_t skipped, size_t size, size_t rank, const size_t *shape,
                           const size_t *strides, size_t first, size_t count, uint8_t *output);

typedef void expo_run_function(const expo_operation *operation, const uint8_t *aligned, const uint8_t *sft,
                               uint8_t *output, size_t count, expo_sums *sums);

typedef void expo_shape_function(expo_dtype aligned_dtype, expo_dtype sft_dtype, const uint8_t *aligned,
                                 const uint8_t *sft, size_t count, expo_shape *shape);

typedef void expo_dequantise_function(const expo_block_scales *scales, const uint8_t *codes, expo_dtype output_dtype,
                                      uint8_t *output, size_t count);

expo_run_function expo_run_portable;
expo_shape_function expo_shape_portable;
expo_dequantise_function expo_dequantise_portable;
#if defined(__x86_64__)
expo_run_function expo_run_v3;
expo_run_function expo_run_v4;
expo_shape_function expo_shape_v3;
expo_shape_function expo_shape_v4;
expo_dequantise_function expo_dequantise_v3;
expo_dequantise_function expo_dequantise_v4;
#endif

#endif
