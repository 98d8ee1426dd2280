import CKernels

/// A matrix in F8_E4M3 that has a scale for each block of it.
///
/// An element is its code's value times the scale of its block, rounded once to f32; and, where BF16 is asked for, once more:
/// what DeepSeek's `weight_dequant` gives (inference/kernel.py and fp8_cast_bf16.py of DeepSeek-V3).
public struct Dequantisation: Sendable, Equatable {
  /// Of the scales: F32, BF16 or F16.
  public let format: FloatFormat
  /// Elements of a row.
  public let columns: Int
  public let blockRows: Int
  public let blockColumns: Int
  /// F32 or BF16.
  public let output: FloatFormat

  public init(format: FloatFormat, columns: Int, blockRows: Int, blockColumns: Int, output: FloatFormat) {
    precondition([.f32, .bf16, .f16].contains(format) && [.f32, .bf16].contains(output) && min(columns, blockRows, blockColumns) > 0)
    self.format = format
    self.columns = columns
    self.blockRows = blockRows
    self.blockColumns = blockColumns
    self.output = output
  }

  /// Dequantises all of `codes`.
  ///
  /// - Parameters:
  ///   - scales: from the row of blocks on that the first code is in, for all rows that the codes are in.
  ///   - place: of the first code, counted by rows from the start of that row of blocks.
  ///   - output: `codes.count` elements.
  /// - Throws: `InputVanished`, after which `output` holds rubbish.
  public func run(
    _ codes: UnsafeRawBufferPointer, scales: UnsafeRawBufferPointer, place: Int, to output: UnsafeMutableRawBufferPointer,
    level: CPULevel = .best
  ) throws(InputVanished) {
    precondition(level.isAvailable)
    guard codes.count > 0 else { return }
    let rows = (place + codes.count - 1) / columns / blockRows + 1
    let rowScales = (columns - 1) / blockColumns + 1
    precondition(
      place >= 0 && scales.count >= rows * rowScales * format.size && output.count >= codes.count * self.output.size)
    var geometry = expo_block_scales(
      scales: scales.baseAddress, dtype: format.code, columns: columns, block_rows: blockRows, block_columns: blockColumns,
      first: place)
    let status = expo_dequantise(
      level.code, &geometry, codes.baseAddress, self.output.code, output.baseAddress, codes.count)
    if status != 0 { throw InputVanished() }
  }
}
