// The distribution of the differences, compiled once per CPU level after kernels_impl.h.

/// A finite F16 result is below this before it is rounded.
#define F16_LIMIT 65520.0

#define SHAPE_BODY(REAL, WIDEN)                                                                                        \
  _Alignas(64) REAL a[TILE], s[TILE];                                                                                  \
  for (size_t start = 0; start < count; start += TILE) {                                                               \
    const size_t n = count - start < TILE ? count - start : TILE;                                                      \
    WIDEN(aligned_dtype, aligned + start * aligned_size, a, n);                                                        \
    WIDEN(sft_dtype, sft + start * sft_size, s, n);                                                                    \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      const REAL difference = a[i] - s[i];                                                                             \
      add_to_shape((double)a[i], (double)difference, isfinite(difference), lanes + (start + i) % EXPO_LANES, shape);   \
    }                                                                                                                  \
  }

/// Infinite or NaN inputs give a difference that is not finite.
static inline void add_to_shape(double a, double d, int is_finite, double *fourth, expo_shape *shape) {
  if (!is_finite || d == 0) return;
  const double squared = d * d;
  *fourth += squared * squared;
  const int exponent = (int)(bits64(d) >> 52 & 0x7FF) - 1023 - EXPO_LEAST_EXPONENT;
  shape->magnitudes[exponent < 0 ? 0 : exponent < EXPO_MAGNITUDES ? exponent : EXPO_MAGNITUDES - 1]++;
  const double room = F16_LIMIT - copysign(a, a * d);
  const double reach = room > 0 ? fabs(d) / room : INFINITY;
  if (reach > shape->f16_reach) shape->f16_reach = reach;
}

void EXPO_NAME(expo_shape)(expo_dtype aligned_dtype, expo_dtype sft_dtype, const uint8_t *aligned, const uint8_t *sft,
                           size_t count, expo_shape *shape) {
  const size_t aligned_size = expo_size(aligned_dtype), sft_size = expo_size(sft_dtype);
  double lanes[EXPO_LANES] = {0};
  if (aligned_dtype == EXPO_F64 || sft_dtype == EXPO_F64) {
    SHAPE_BODY(double, widen_tile64)
  } else {
    SHAPE_BODY(float, widen_tile)
  }
  for (size_t lane = 0; lane < EXPO_LANES; lane++) shape->delta_fourth += lanes[lane];
}
