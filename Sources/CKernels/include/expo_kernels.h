// The arithmetic of a merge: out = aligned + alpha * (aligned - sft), element by element.
//
// One source (kernels_impl.h) is compiled once per CPU level; every level gives the same bits.
// All buffers are little endian and may have any alignment.
#ifndef EXPO_KERNELS_H
#define EXPO_KERNELS_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
  EXPO_F64 = 0,
  EXPO_F32 = 1,
  EXPO_F16 = 2,
  EXPO_BF16 = 3,
  EXPO_F8_E4M3 = 4,
  EXPO_F8_E5M2 = 5,
  EXPO_F8_E4M3FNUZ = 6,
  EXPO_F8_E5M2FNUZ = 7,
} expo_dtype;

typedef enum {
  /// d, p and r each rounded to f32 (f64 where an input is F64), then once to the output dtype.
  EXPO_ARITHMETIC_FLOAT32 = 0,
  /// d, p and r each rounded to the dtype of the inputs, which must be one of F64, F32, F16, BF16.
  EXPO_ARITHMETIC_REFERENCE = 1,
  /// r = aligned: a change of dtype. `sft` is not read; infinite, NaN and overflowing elements are counted, nothing is
  /// summed.
  EXPO_ARITHMETIC_CONVERT = 2,
} expo_arithmetic;

/// Element i of a call adds to lane i % EXPO_LANES, so that the order of the additions does not
/// depend on the width of a vector register.
#define EXPO_LANES 8

/// Sums over elements. Elements where an input or the difference is not finite are counted, not summed.
typedef struct {
  double delta_squared[EXPO_LANES];
  double aligned_squared[EXPO_LANES];
  double sft_squared[EXPO_LANES];
  double dot[EXPO_LANES];
  double largest_delta;
  uint64_t elements;
  uint64_t unchanged;
  uint64_t nonfinite_inputs;
  uint64_t nonfinite_outputs;
  uint64_t overflows;
} expo_sums;

typedef struct {
  expo_dtype aligned;
  expo_dtype sft;
  expo_dtype output;
  expo_arithmetic arithmetic;
  double alpha;
  /// Not zero where of the sums only what counts elements of the output is wanted; the others are then rubbish.
  int counts_only;
} expo_operation;

typedef enum {
  EXPO_LEVEL_PORTABLE = 0, // x86-64 (SSE2), or NEON on arm64
  EXPO_LEVEL_V3 = 1,       // x86-64-v3: AVX2, F16C
  EXPO_LEVEL_V4 = 2,       // x86-64-v4: AVX-512
} expo_level;

/// Whether this CPU can run the level.
int expo_level_available(expo_level level);

/// Computes `count` elements and adds to `sums`, the first of them to lane 0.
///
/// Returns 0; or 1 when a page of an input could not be read (a mapped file that was truncated), in which
/// case `output` holds rubbish and `sums` must be thrown away.
int expo_extrapolate(expo_level level, const expo_operation *operation, const void *aligned, const void *sft,
                     void *output, size_t count, expo_sums *sums);

/// Bins of |d| by powers of two: bin i holds magnitudes from 2^(i + EXPO_LEAST_EXPONENT) on, and what is smaller or
/// larger than all is in the first or the last.
#define EXPO_MAGNITUDES 64
#define EXPO_LEAST_EXPONENT -48

/// How the differences d = a - s are distributed, over elements where a, s and d are finite.
typedef struct {
  double delta_fourth;
  /// The largest 1 / alpha of an alpha from which on a + alpha * d is infinite in F16; 0 where none is.
  double f16_reach;
  /// Of differences other than zero.
  uint64_t magnitudes[EXPO_MAGNITUDES];
} expo_shape;

/// Adds `count` elements to `shape`; for looking at a sample, as it is slower than `expo_extrapolate`, which has no use
/// for it. The inputs must not be mapped.
void expo_delta_shape(expo_level level, expo_dtype aligned_dtype, expo_dtype sft_dtype, const void *aligned,
                      const void *sft, size_t count, expo_shape *shape);

/// The scales of a matrix that is quantised by blocks, from the row of blocks on that the first element is in.
typedef struct {
  const void *scales;
  /// F32, BF16 or F16.
  expo_dtype dtype;
  /// Elements of a row of the matrix.
  size_t columns;
  size_t block_rows;
  size_t block_columns;
  /// The first element's place, counted by rows from the start of that row of blocks.
  size_t first;
} expo_block_scales;

/// Multiplies `count` elements of F8_E4M3 by the scales of their blocks, in f32, and rounds to `output_dtype`, F32 or BF16.
/// Returns as `expo_extrapolate`; only `codes` may be mapped.
int expo_dequantise(expo_level level, const expo_block_scales *scales, const void *codes, expo_dtype output_dtype,
                    void *output, size_t count);

/// Copies `count` elements from `first` on, in the order of a shape, from where their strides say that they lie.
///
/// `rank` is at least 1, and no length is 0. `size` is 1, 2, 4 or 8 bytes. `skipped` elements of the tensor's storage come before `storage`.
/// Returns as `expo_extrapolate`.
int expo_gather(const void *storage, size_t skipped, size_t size, size_t rank, const size_t *shape, const size_t *strides,
                size_t first, size_t count, void *output);

/// Copies `bytes` bytes and, when `sft` is not NULL, adds the number of bytes in which the two inputs differ to
/// `differing`. Returns as `expo_extrapolate`.
int expo_copy(const void *aligned, const void *sft, void *output, size_t bytes, uint64_t *differing);

#endif
