// Compiled once per CPU level: the including file defines EXPO_NAME(x), and EXPO_HAS_F16C where the level
// converts F16 in hardware.
//
// A run is cut into tiles that fit the L1 cache. A tile is widened to the working type, combined, and narrowed:
// three short loops that compilers vectorise, instead of one for each of 8 x 8 x 8 combinations of dtypes.
// Loops in the common path assume nothing about the values; what is rare (non-finite values, overflow) is noticed
// by a maximum over the tile and then counted by a scalar loop.

#include <math.h>
#include <string.h>

#include "expo_kernels.h"
#include "kernels_internal.h"

#pragma STDC FP_CONTRACT OFF

#define TILE 512

typedef uint16_t unaligned_u16 __attribute__((aligned(1)));
typedef uint32_t unaligned_u32 __attribute__((aligned(1)));
typedef uint64_t unaligned_u64 __attribute__((aligned(1)));

static inline uint32_t bits32(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

static inline float float32(uint32_t u) {
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

static inline uint64_t bits64(double x) {
  uint64_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

static inline double float64(uint64_t u) {
  double x;
  memcpy(&x, &u, sizeof x);
  return x;
}

#define ABS32 0x7FFFFFFFu
#define INF32 0x7F800000u
#define ABS64 0x7FFFFFFFFFFFFFFFull
#define INF64 0x7FF0000000000000ull

// MARK: one small float to f32 and back
//
// `mantissa` and `bias` describe the format. Shifting the exponent and mantissa fields into those of f32 gives the
// value times 2^(bias - 127), subnormals included, and one exact multiplication puts that right.

static inline float widen_small(uint32_t magnitude, int mantissa, int bias) {
  return float32(magnitude << (23 - mantissa)) * float32((uint32_t)(254 - bias) << 23);
}

/// The code of |x| rounded to nearest even, unbounded above: exponent and mantissa fields as one integer.
static inline uint32_t narrow_small(uint32_t absolute, int mantissa, int bias) {
  const uint32_t half = (1u << (22 - mantissa)) - 1;
  const uint32_t normal =
      ((absolute + half + ((absolute >> (23 - mantissa)) & 1)) >> (23 - mantissa)) - ((uint32_t)(127 - bias) << mantissa);
  // Adding a number whose last place is the subnormal step lets the addition do the rounding.
  const uint32_t magic = (uint32_t)(127 + 24 - bias - mantissa) << 23;
  const uint32_t subnormal = bits32(float32(absolute) + float32(magic)) - magic;
  return absolute < ((uint32_t)(127 + 1 - bias) << 23) ? subnormal : normal;
}

static inline float widen_f16(uint16_t h) {
#if defined(EXPO_HAS_F16C)
  _Float16 x;
  memcpy(&x, &h, sizeof x);
  return (float)x;
#else
  const uint32_t magnitude = h & 0x7FFFu;
  const uint32_t finite = bits32(widen_small(magnitude, 10, 15));
  return float32((magnitude >= 0x7C00u ? INF32 | magnitude << 13 : finite) | (uint32_t)(h & 0x8000u) << 16);
#endif
}

/// NaN gives an arbitrary NaN.
static inline uint16_t narrow_f16_any_nan(float x) {
#if defined(EXPO_HAS_F16C)
  const _Float16 h = (_Float16)x;
  uint16_t u;
  memcpy(&u, &h, sizeof u);
  return u;
#else
  const uint32_t absolute = bits32(x) & ABS32;
  uint32_t code = narrow_small(absolute, 10, 15);
  code = code > 0x7C00u ? 0x7C00u : code;
  code = absolute > INF32 ? 0x7E00u : code;
  return (uint16_t)(code | (bits32(x) >> 16 & 0x8000u));
#endif
}

static inline float round_bf16(float x) {
  // A NaN that comes from BF16 inputs has no low bits set, so the rounding cannot carry out of it.
  const uint32_t u = bits32(x);
  return float32((u + 0x7FFFu + (u >> 16 & 1)) & 0xFFFF0000u);
}

static inline float round_f16(float x) { return widen_f16(narrow_f16_any_nan(x)); }

// MARK: a tile to f32

static void widen_tile(expo_dtype dtype, const void *restrict source, float *restrict tile, size_t count) {
  const uint8_t *u8 = source;
  const unaligned_u16 *u16 = source;
  switch (dtype) {
  case EXPO_F32:
    memcpy(tile, source, count * 4);
    break;
  case EXPO_BF16:
    for (size_t i = 0; i < count; i++) tile[i] = float32((uint32_t)u16[i] << 16);
    break;
  case EXPO_F16:
    for (size_t i = 0; i < count; i++) tile[i] = widen_f16(u16[i]);
    break;
  case EXPO_F8_E4M3:
    for (size_t i = 0; i < count; i++) {
      const uint32_t magnitude = u8[i] & 0x7Fu;
      const uint32_t value = bits32(widen_small(magnitude, 3, 7));
      tile[i] = float32((magnitude == 0x7Fu ? 0x7FC00000u : value) | (u8[i] & 0x80u) << 24);
    }
    break;
  case EXPO_F8_E5M2:
    for (size_t i = 0; i < count; i++) {
      const uint32_t magnitude = u8[i] & 0x7Fu;
      const uint32_t value = bits32(widen_small(magnitude, 2, 15));
      tile[i] = float32((magnitude >= 0x7Cu ? INF32 | magnitude << 21 : value) | (u8[i] & 0x80u) << 24);
    }
    break;
  case EXPO_F8_E4M3FNUZ:
    for (size_t i = 0; i < count; i++) {
      const uint32_t value = bits32(widen_small(u8[i] & 0x7Fu, 3, 8)) | (u8[i] & 0x80u) << 24;
      tile[i] = float32(u8[i] == 0x80u ? 0x7FC00000u : value);
    }
    break;
  case EXPO_F8_E5M2FNUZ:
    for (size_t i = 0; i < count; i++) {
      const uint32_t value = bits32(widen_small(u8[i] & 0x7Fu, 2, 16)) | (u8[i] & 0x80u) << 24;
      tile[i] = float32(u8[i] == 0x80u ? 0x7FC00000u : value);
    }
    break;
  case EXPO_F64:
    break; // has a working type of its own
  }
}

static void widen_tile64(expo_dtype dtype, const void *restrict source, double *restrict tile, size_t count) {
  if (dtype == EXPO_F64) {
    memcpy(tile, source, count * 8);
    return;
  }
  _Alignas(64) float narrow[TILE];
  widen_tile(dtype, source, narrow, count);
  for (size_t i = 0; i < count; i++) tile[i] = (double)narrow[i];
}

// MARK: a tile from f32

static inline uint8_t narrow_fnuz(float x, int mantissa, int bias) {
  const uint32_t absolute = bits32(x) & ABS32;
  uint32_t code = narrow_small(absolute, mantissa, bias);
  code = code > 0x7Fu ? 0x7Fu : code;
  code |= code != 0 ? bits32(x) >> 24 & 0x80u : 0;
  return (uint8_t)(absolute >= INF32 ? 0x80u : code);
}

static void narrow_tile(expo_dtype dtype, const float *restrict tile, void *restrict output, size_t count) {
  uint8_t *u8 = output;
  unaligned_u16 *u16 = output;
  unaligned_u32 *u32 = output;
  switch (dtype) {
  case EXPO_F32:
    for (size_t i = 0; i < count; i++) {
      const uint32_t u = bits32(tile[i]);
      u32[i] = (u & ABS32) > INF32 ? 0x7FC00000u : u;
    }
    break;
  case EXPO_BF16:
    for (size_t i = 0; i < count; i++) {
      const uint32_t u = bits32(tile[i]);
      const uint32_t rounded = (u + 0x7FFFu + (u >> 16 & 1)) >> 16;
      u16[i] = (uint16_t)((u & ABS32) > INF32 ? 0x7FC0u : rounded);
    }
    break;
  case EXPO_F16:
    for (size_t i = 0; i < count; i++) {
      const uint16_t h = narrow_f16_any_nan(tile[i]);
      u16[i] = (h & 0x7FFFu) > 0x7C00u ? 0x7E00u : h;
    }
    break;
  case EXPO_F8_E4M3:
    for (size_t i = 0; i < count; i++) {
      const uint32_t u = bits32(tile[i]);
      uint32_t code = narrow_small(u & ABS32, 3, 7);
      code = (code > 0x7Eu ? 0x7Eu : code) | (u >> 24 & 0x80u);
      u8[i] = (uint8_t)((u & ABS32) >= INF32 ? 0x7Fu : code);
    }
    break;
  case EXPO_F8_E5M2:
    for (size_t i = 0; i < count; i++) {
      const uint32_t u = bits32(tile[i]);
      uint32_t code = narrow_small(u & ABS32, 2, 15);
      code = (code > 0x7Cu ? 0x7Cu : code) | (u >> 24 & 0x80u);
      u8[i] = (uint8_t)((u & ABS32) > INF32 ? 0x7Eu : code);
    }
    break;
  case EXPO_F8_E4M3FNUZ:
    for (size_t i = 0; i < count; i++) u8[i] = narrow_fnuz(tile[i], 3, 8);
    break;
  case EXPO_F8_E5M2FNUZ:
    for (size_t i = 0; i < count; i++) u8[i] = narrow_fnuz(tile[i], 2, 16);
    break;
  case EXPO_F64:
    for (size_t i = 0; i < count; i++) {
      const double x = (double)tile[i];
      ((unaligned_u64 *)output)[i] = x != x ? 0x7FF8000000000000ull : bits64(x);
    }
    break;
  }
}

/// f64 to f32 by rounding to odd, after which rounding to a format of at most 22 significant bits is as if done once.
static inline float round_to_odd(double x) {
  const float nearest = (float)x;
  const double back = (double)nearest;
  uint32_t u = bits32(nearest);
  u -= (bits64(back) & ABS64) > (bits64(x) & ABS64) ? 1 : 0;
  u |= back != x ? 1 : 0;
  return x != x ? float32(0x7FC00000u) : float32(u);
}

static void narrow_tile64(expo_dtype dtype, const double *restrict tile, void *restrict output, size_t count) {
  _Alignas(64) float narrow[TILE];
  if (dtype == EXPO_F64) {
    for (size_t i = 0; i < count; i++) {
      const uint64_t u = bits64(tile[i]);
      ((unaligned_u64 *)output)[i] = (u & ABS64) > INF64 ? 0x7FF8000000000000ull : u;
    }
    return;
  }
  if (dtype == EXPO_F32) {
    for (size_t i = 0; i < count; i++) narrow[i] = (float)tile[i];
  } else {
    for (size_t i = 0; i < count; i++) narrow[i] = round_to_odd(tile[i]);
  }
  narrow_tile(dtype, narrow, output, count);
}

// MARK: combining, and the sums in the same pass

typedef float floats __attribute__((ext_vector_type(EXPO_WIDTH)));
typedef uint32_t words __attribute__((ext_vector_type(EXPO_WIDTH)));
typedef double doubles __attribute__((ext_vector_type(EXPO_LANES)));
typedef uint64_t longs __attribute__((ext_vector_type(EXPO_LANES)));

/// What the common path finds out about a tile: maxima of the bit patterns of absolute values, which order like the
/// values with infinity and NaN on top. A non-finite input or difference always gives a non-finite result, so `result`
/// alone tells whether the rare cases have to be looked at.
typedef struct {
  uint64_t delta, result;
  uint64_t unchanged;
} tile_extent;

#define LOAD(VALUE, FROM) memcpy(&VALUE, FROM, sizeof VALUE)

// The product of two widened f32 is exact in f64, so fusing it with the addition cannot change a bit. Not so in f64.
#define MAY_FUSE "clang fp contract(fast)"
#define MUST_NOT_FUSE "clang fp contract(off)"

#define ADD_PRODUCTS(A, S, D, CONTRACT)                                                                                \
  {                                                                                                                    \
    _Pragma(CONTRACT) delta_squared += (D) * (D);                                                                      \
    aligned_squared += (A) * (A);                                                                                      \
    sft_squared += (S) * (S);                                                                                          \
    dot += (A) * (S);                                                                                                  \
  }

#define ADD_DOUBLES(A, S, D) ADD_PRODUCTS(A, S, D, MUST_NOT_FUSE)

#define WIDEN_HALF(V, HALF) __builtin_convertvector((V).HALF, doubles)
#if EXPO_WIDTH == 2 * EXPO_LANES
#define ADD_FLOATS(A, S, D)                                                                                            \
  ADD_PRODUCTS(WIDEN_HALF(A, lo), WIDEN_HALF(S, lo), WIDEN_HALF(D, lo), MAY_FUSE)                                      \
  ADD_PRODUCTS(WIDEN_HALF(A, hi), WIDEN_HALF(S, hi), WIDEN_HALF(D, hi), MAY_FUSE)
#else
#define ADD_FLOATS(A, S, D)                                                                                            \
  ADD_PRODUCTS(__builtin_convertvector(A, doubles), __builtin_convertvector(S, doubles),                               \
               __builtin_convertvector(D, doubles), MAY_FUSE)
#endif

/// `count` is a multiple of the vector's width. Leaves `sums` alone when the tile's results exceed `limit`.
#define COMBINE_TILE(REALS, WORDS, ABS, ROUND, ADD)                                                                    \
  doubles delta_squared, aligned_squared, sft_squared, dot;                                                            \
  LOAD(delta_squared, sums->delta_squared);                                                                            \
  LOAD(aligned_squared, sums->aligned_squared);                                                                        \
  LOAD(sft_squared, sums->sft_squared);                                                                                \
  LOAD(dot, sums->dot);                                                                                                \
  WORDS largest_delta = 0, largest_result = 0, equal = 0;                                                              \
  const size_t width = sizeof(REALS) / sizeof(a[0]);                                                                   \
  for (size_t i = 0; i < count; i += width) {                                                                          \
    REALS va, vs, vd, vp, vr;                                                                                          \
    LOAD(va, a + i);                                                                                                   \
    LOAD(vs, s + i);                                                                                                   \
    const REALS difference = va - vs;                                                                                  \
    ROUND(vd, difference);                                                                                             \
    ROUND(vp, alpha * vd);                                                                                             \
    ROUND(vr, va + vp);                                                                                                \
    memcpy(r + i, &vr, sizeof vr);                                                                                     \
    WORDS absolute_delta, absolute_result;                                                                             \
    LOAD(absolute_delta, &difference);                                                                                 \
    LOAD(absolute_result, &vr);                                                                                        \
    absolute_delta &= ABS;                                                                                             \
    absolute_result &= ABS;                                                                                            \
    largest_delta = __builtin_elementwise_max(largest_delta, absolute_delta);                                          \
    largest_result = __builtin_elementwise_max(largest_result, absolute_result);                                       \
    equal -= (WORDS)(absolute_delta == 0);                                                                             \
    ADD(va, vs, difference)                                                                                            \
  }                                                                                                                    \
  tile_extent extent = {0, 0, 0};                                                                                      \
  for (size_t lane = 0; lane < width; lane++) {                                                                                                     \
    extent.delta = largest_delta[lane] > extent.delta ? largest_delta[lane] : extent.delta;                            \
    extent.result = largest_result[lane] > extent.result ? largest_result[lane] : extent.result;                       \
    extent.unchanged += equal[lane];                                                                                   \
  }                                                                                                                    \
  if (extent.result <= limit) {                                                                                        \
    memcpy(sums->delta_squared, &delta_squared, sizeof delta_squared);                                                 \
    memcpy(sums->aligned_squared, &aligned_squared, sizeof aligned_squared);                                           \
    memcpy(sums->sft_squared, &sft_squared, sizeof sft_squared);                                                       \
    memcpy(sums->dot, &dot, sizeof dot);                                                                               \
  }                                                                                                                    \
  return extent;

#define ROUND_NONE(OUT, IN) OUT = (IN)
#define ROUND_BF16(OUT, IN)                                                                                            \
  {                                                                                                                    \
    const floats in = (IN);                                                                                            \
    for (size_t lane = 0; lane < EXPO_WIDTH; lane++) OUT[lane] = round_bf16(in[lane]);                                                                        \
  }
#define ROUND_F16(OUT, IN)                                                                                             \
  {                                                                                                                    \
    const floats in = (IN);                                                                                            \
    for (size_t lane = 0; lane < EXPO_WIDTH; lane++) OUT[lane] = round_f16(in[lane]);                                                                         \
  }

static tile_extent combine_tile(float alpha, uint32_t limit, const float *restrict a, const float *restrict s,
                                float *restrict r, size_t count, expo_sums *restrict sums) {
  COMBINE_TILE(floats, words, ABS32, ROUND_NONE, ADD_FLOATS)
}

static tile_extent combine_tile_bf16(float alpha, uint32_t limit, const float *restrict a, const float *restrict s,
                                     float *restrict r, size_t count, expo_sums *restrict sums) {
  COMBINE_TILE(floats, words, ABS32, ROUND_BF16, ADD_FLOATS)
}

static tile_extent combine_tile_f16(float alpha, uint32_t limit, const float *restrict a, const float *restrict s,
                                    float *restrict r, size_t count, expo_sums *restrict sums) {
  COMBINE_TILE(floats, words, ABS32, ROUND_F16, ADD_FLOATS)
}

static tile_extent combine_tile64(double alpha, uint64_t limit, const double *restrict a, const double *restrict s,
                                  double *restrict r, size_t count, expo_sums *restrict sums) {
  COMBINE_TILE(doubles, longs, ABS64, ROUND_NONE, ADD_DOUBLES)
}

// MARK: the rare cases, one element at a time

/// Counts what is not finite and takes it out of the sums by setting both inputs to zero.
#define CLEAN_LOOP(REAL)                                                                                               \
  double largest = 0;                                                                                                  \
  for (size_t i = 0; i < count; i++) {                                                                                 \
    const int inputs_finite = isfinite(a[i]) && isfinite(s[i]);                                                        \
    const int output_finite = expo_is_finite(dtype, output, i);                                                        \
    sums->nonfinite_inputs += !inputs_finite;                                                                          \
    sums->nonfinite_outputs += !output_finite;                                                                         \
    sums->overflows += inputs_finite && (!output_finite || fabs((double)r[i]) > expo_saturates_above(dtype));          \
    sums->unchanged += inputs_finite && a[i] == s[i];                                                                  \
    const REAL d = a[i] - s[i];                                                                                        \
    if (!inputs_finite || !isfinite(d)) {                                                                              \
      a[i] = s[i] = 0;                                                                                                 \
    } else if (fabs((double)d) > largest) {                                                                            \
      largest = fabs((double)d);                                                                                       \
    }                                                                                                                  \
  }                                                                                                                    \
  return largest;

static double clean_tile(expo_dtype dtype, float *a, float *s, const float *r, const void *output, size_t count,
                         expo_sums *sums) {
  CLEAN_LOOP(float)
}

static double clean_tile64(expo_dtype dtype, double *a, double *s, const double *r, const void *output, size_t count,
                           expo_sums *sums) {
  CLEAN_LOOP(double)
}

// MARK: a run

#define TILE_BODY(REAL, WIDEN, COMBINE, NARROW, REAL_OF_BITS, CLEAN)                                                   \
  _Alignas(64) REAL a[TILE], s[TILE], r[TILE];                                                                                      \
  for (size_t start = 0; start < count; start += TILE) {                                                               \
    const size_t n = count - start < TILE ? count - start : TILE;                                                      \
    uint8_t *tile_output = output + start * output_size;                                                               \
    WIDEN(operation->aligned, aligned + start * aligned_size, a, n);                                                   \
    WIDEN(operation->sft, sft + start * sft_size, s, n);                                                               \
    size_t padded = n;                                                                                                 \
    for (; padded % EXPO_WIDTH != 0; padded++) a[padded] = s[padded] = 0;                                              \
    const tile_extent extent = COMBINE(alpha, limit, a, s, r, padded, sums);                                           \
    NARROW(operation->output, r, tile_output, n);                                                                      \
    double largest = (double)REAL_OF_BITS(extent.delta);                                                               \
    if (__builtin_expect(extent.result > limit, 0)) {                                                                  \
      largest = CLEAN(operation->output, a, s, r, tile_output, n, sums);                                               \
      COMBINE(alpha, -1, a, s, r, padded, sums);                                                                       \
    } else {                                                                                                           \
      sums->unchanged += extent.unchanged - (padded - n);                                                              \
    }                                                                                                                  \
    sums->elements += n;                                                                                               \
    if (largest > sums->largest_delta) sums->largest_delta = largest;                                                  \
  }

#define COUNT_CONVERTED                                                                                                \
  for (size_t i = 0; i < n; i++) {                                                                                     \
    const int input_finite = isfinite(r[i]), output_finite = expo_is_finite(dtype, output, i);                         \
    sums->nonfinite_inputs += !input_finite;                                                                           \
    sums->nonfinite_outputs += !output_finite;                                                                         \
    sums->overflows += input_finite && (!output_finite || fabs((double)r[i]) > expo_saturates_above(dtype));           \
  }

static void count_converted(expo_dtype dtype, const float *r, const void *output, size_t n, expo_sums *sums) {
  COUNT_CONVERTED
}

static void count_converted64(expo_dtype dtype, const double *r, const void *output, size_t n, expo_sums *sums) {
  COUNT_CONVERTED
}

#define CONVERT_BODY(REAL, WIDEN, NARROW, COUNT)                                                                       \
  _Alignas(64) REAL r[TILE];                                                                                           \
  for (size_t start = 0; start < count; start += TILE) {                                                               \
    const size_t n = count - start < TILE ? count - start : TILE;                                                      \
    uint8_t *tile_output = output + start * output_size;                                                               \
    WIDEN(operation->aligned, aligned + start * aligned_size, r, n);                                                   \
    NARROW(operation->output, r, tile_output, n);                                                                      \
    int is_large = 0;                                                                                                  \
    for (size_t i = 0; i < n; i++) is_large |= !(r[i] <= largest && r[i] >= -largest);                                 \
    if (is_large) COUNT(operation->output, r, tile_output, n, sums);                                                   \
  }

static void run_tiles(const expo_operation *operation, const uint8_t *aligned, const uint8_t *sft, uint8_t *output,
                      size_t count, expo_sums *sums) {
  const size_t aligned_size = expo_size(operation->aligned), sft_size = expo_size(operation->sft),
               output_size = expo_size(operation->output);
  const double largest_finite = expo_largest_finite(operation->output);
  if (operation->arithmetic == EXPO_ARITHMETIC_CONVERT) {
    if (operation->aligned == EXPO_F64) {
      const double largest = largest_finite;
      CONVERT_BODY(double, widen_tile64, narrow_tile64, count_converted64)
    } else {
      const float largest = largest_finite > 0x1.fffffep127 ? 0x1.fffffep127f : (float)largest_finite;
      CONVERT_BODY(float, widen_tile, narrow_tile, count_converted)
    }
  } else if (operation->aligned == EXPO_F64 || operation->sft == EXPO_F64) {
    const double alpha = operation->alpha;
    const uint64_t limit = bits64(largest_finite);
    TILE_BODY(double, widen_tile64, combine_tile64, narrow_tile64, float64, clean_tile64)
  } else {
    const float alpha = (float)operation->alpha;
    const uint32_t limit = largest_finite > 0x1.fffffep127 ? INF32 - 1 : bits32((float)largest_finite);
    const int reference = operation->arithmetic == EXPO_ARITHMETIC_REFERENCE;
    if (reference && operation->aligned == EXPO_BF16) {
      TILE_BODY(float, widen_tile, combine_tile_bf16, narrow_tile, float32, clean_tile)
    } else if (reference && operation->aligned == EXPO_F16) {
      TILE_BODY(float, widen_tile, combine_tile_f16, narrow_tile, float32, clean_tile)
    } else {
      TILE_BODY(float, widen_tile, combine_tile, narrow_tile, float32, clean_tile)
    }
  }
}

// MARK: an output beside another of the same inputs
//
// The other has the sums, and what is left is so little that it is done in registers, without a tile in between.

/// Computes a tile whose inputs and output are of one dtype. Returns the largest result, as the bits of its absolute value;
/// where that is more than the dtype's largest finite value, the output is rubbish.
#define COMBINE_BESIDE(TYPE, WIDEN, NARROW)                                                                            \
  const TYPE *a = (const TYPE *)aligned, *s = (const TYPE *)sft;                                                       \
  TYPE *restrict r = (TYPE *)output;                                                                                   \
  uint32_t largest = 0;                                                                                                \
  for (size_t i = 0; i < count; i++) {                                                                                 \
    const float va = WIDEN(a[i]), vd = va - WIDEN(s[i]), vp = alpha * vd, vr = va + vp;                                \
    r[i] = NARROW(vr);                                                                                                 \
    largest = (bits32(vr) & ABS32) > largest ? bits32(vr) & ABS32 : largest;                                           \
  }                                                                                                                    \
  return largest;

static inline float widen_bf16(uint16_t u) { return float32((uint32_t)u << 16); }

static inline uint16_t narrow_finite_bf16(float x) { return (uint16_t)(bits32(round_bf16(x)) >> 16); }

static uint32_t combine_beside_f32(float alpha, const uint8_t *aligned, const uint8_t *sft, uint8_t *output, size_t count) {
  COMBINE_BESIDE(unaligned_u32, float32, bits32)
}

static uint32_t combine_beside_bf16(float alpha, const uint8_t *aligned, const uint8_t *sft, uint8_t *output, size_t count) {
  COMBINE_BESIDE(unaligned_u16, widen_bf16, narrow_finite_bf16)
}

static uint32_t combine_beside_f16(float alpha, const uint8_t *aligned, const uint8_t *sft, uint8_t *output, size_t count) {
  COMBINE_BESIDE(unaligned_u16, widen_f16, narrow_f16_any_nan)
}

typedef uint32_t combine_beside(float alpha, const uint8_t *aligned, const uint8_t *sft, uint8_t *output, size_t count);

/// NULL where the tiles have to do.
static combine_beside *beside(const expo_operation *operation) {
  if (!operation->counts_only || operation->arithmetic != EXPO_ARITHMETIC_FLOAT32) return NULL;
  if (operation->sft != operation->aligned || operation->output != operation->aligned) return NULL;
  switch (operation->aligned) {
  case EXPO_F32:
    return combine_beside_f32;
  case EXPO_BF16:
    return combine_beside_bf16;
  case EXPO_F16:
    return combine_beside_f16;
  default:
    return NULL;
  }
}

void EXPO_NAME(expo_run)(const expo_operation *operation, const uint8_t *aligned, const uint8_t *sft, uint8_t *output,
                         size_t count, expo_sums *sums) {
  combine_beside *combine = beside(operation);
  if (combine == NULL) {
    run_tiles(operation, aligned, sft, output, count, sums);
    return;
  }
  const size_t size = expo_size(operation->output);
  const uint32_t limit = bits32((float)expo_largest_finite(operation->output));
  for (size_t start = 0; start < count; start += TILE) {
    const size_t n = count - start < TILE ? count - start : TILE, at = start * size;
    if (combine((float)operation->alpha, aligned + at, sft + at, output + at, n) > limit) {
      run_tiles(operation, aligned + at, sft + at, output + at, n, sums);
    } else {
      sums->elements += n;
    }
  }
}
