// F8_E4M3 with a scale for each block, compiled once per CPU level after kernels_impl.h.

/// Scales are few and the multiplication rounds once, so there is one loop for all: over the part of a row that has one scale.
void EXPO_NAME(expo_dequantise)(const expo_block_scales *scales, const uint8_t *codes, expo_dtype output_dtype,
                                uint8_t *output, size_t count) {
  const size_t output_size = expo_size(output_dtype), scale_size = expo_size(scales->dtype);
  const size_t row_scales = (scales->columns - 1) / scales->block_columns + 1;
  size_t row = scales->first / scales->columns, column = scales->first % scales->columns;
  _Alignas(64) float tile[TILE];
  for (size_t done = 0; done < count;) {
    const size_t place = row / scales->block_rows * row_scales + column / scales->block_columns;
    float scale;
    widen_tile(scales->dtype, (const uint8_t *)scales->scales + place * scale_size, &scale, 1);
    const size_t to_next_block = scales->block_columns - column % scales->block_columns;
    const size_t to_next_row = scales->columns - column;
    size_t n = to_next_block < to_next_row ? to_next_block : to_next_row;
    n = n < count - done ? n : count - done;
    n = n < TILE ? n : TILE;
    widen_tile(EXPO_F8_E4M3, codes + done, tile, n);
    for (size_t i = 0; i < n; i++) tile[i] *= scale;
    narrow_tile(output_dtype, tile, output + done * output_size, n);
    done += n;
    column += n;
    if (column == scales->columns) {
      column = 0;
      row++;
    }
  }
}
