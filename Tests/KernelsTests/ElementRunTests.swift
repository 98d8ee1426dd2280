import Digests
import Kernels
import Testing

@Suite("Runs of elements")
struct ElementRunTests {
  static let formats: [FloatFormat] = [.bf16, .f32, .f64, .f8E4M3]

  private func noise(_ format: FloatFormat, count: Int, seed: UInt64) -> [UInt8] {
    let range: (UInt64, UInt64) =
      switch format {
      case .f64: (1010, 1020)
      case .f32, .bf16: (110, 124)
      case .f16: (3, 14)
      default: (1, 7)
      }
    let source = GoldenVectors.Source(
      kind: "moderate", bits: nil, hex: nil, seed: seed, lo: range.0, hi: range.1)
    let names: [FloatFormat: String] = [
      .f64: "F64", .f32: "F32", .f16: "F16", .bf16: "BF16", .f8E4M3: "F8_E4M3", .f8E5M2: "F8_E5M2",
    ]
    return InputMaker().bytes(.init(dtype: names[format]!, source: source), count: count)
  }

  @Test("where a run is cut changes neither output nor sums", arguments: formats, CPULevel.available)
  func cuts(format: FloatFormat, level: CPULevel) throws {
    let count = 4099
    let operation = ElementOperation.extrapolate(
      alpha: 0.3, arithmetic: .float32, aligned: format, sft: format, output: format)
    let (aligned, sft) = (noise(format, count: count, seed: 1), noise(format, count: count, seed: 2))
    let whole = try run(
      operation, aligned: aligned, sft: sft, count: count, level: .portable, outputSize: format.size)
    for piece in [8, 16, 24, 504, 512, 520, 1024, 4096] {
      var pieces = Array(repeating: piece, count: count / piece)
      if count % piece > 0 { pieces.append(count % piece) }
      let cut = try run(
        operation, aligned: aligned, sft: sft, count: count, level: level, outputSize: format.size, pieces: pieces)
      #expect(cut.output == whole.output, "pieces of \(piece)")
      #expect(cut.sums == whole.sums, "pieces of \(piece)")
    }
    let odd = try run(
      operation, aligned: aligned, sft: sft, count: count, level: level, outputSize: format.size,
      pieces: [1, 2, 3, 5, 7, 11, 13, 4057])
    #expect(odd.output == whole.output, "odd pieces")
    #expect(odd.sums == whole.sums, "odd pieces")
  }

  @Test("every length from 0 to 70 writes its elements and nothing else", arguments: formats, CPULevel.available)
  func lengths(format: FloatFormat, level: CPULevel) throws {
    let operation = ElementOperation.extrapolate(
      alpha: 0.5, arithmetic: .float32, aligned: format, sft: format, output: format)
    let (aligned, sft) = (noise(format, count: 70, seed: 3), noise(format, count: 70, seed: 4))
    let all = try run(operation, aligned: aligned, sft: sft, count: 70, level: level, outputSize: format.size).output
    for count in 0...70 {
      var run = ElementRun(operation, level: level)
      var output = [UInt8](repeating: 0xAA, count: 71 * format.size)
      try output.withUnsafeMutableBytes { output in
        try aligned.withUnsafeBytes { aligned in
          try sft.withUnsafeBytes { try run.process(aligned: aligned, sft: $0, output: output, count: count) }
        }
      }
      #expect(output.prefix(count * format.size) == all.prefix(count * format.size))
      #expect(output.dropFirst(count * format.size).allSatisfy { $0 == 0xAA })
      #expect(run.sums.elements == UInt64(count))
    }
  }

  @Test("buffers may have any alignment", arguments: FloatFormat.allCases, CPULevel.available)
  func alignment(format: FloatFormat, level: CPULevel) throws {
    guard ![.f8E4M3FNUZ, .f8E5M2FNUZ].contains(format) else { return }
    let count = 1000
    let operation = ElementOperation.extrapolate(
      alpha: 1.1, arithmetic: .float32, aligned: format, sft: format, output: format)
    let (aligned, sft) = (noise(format, count: count, seed: 5), noise(format, count: count, seed: 6))
    let expected = try run(operation, aligned: aligned, sft: sft, count: count, level: level, outputSize: format.size)
    for shift in 1...7 {
      var run = ElementRun(operation, level: level)
      var output = [UInt8](repeating: 0, count: count * format.size + shift)
      try output.withUnsafeMutableBytes { output in
        try ([UInt8](repeating: 0, count: shift) + aligned).withUnsafeBytes { aligned in
          try ([UInt8](repeating: 0, count: 8 - shift) + sft).withUnsafeBytes { sft in
            try run.process(
              aligned: .init(rebasing: aligned[shift...]), sft: .init(rebasing: sft[(8 - shift)...]),
              output: .init(rebasing: output[shift...]), count: count)
          }
        }
      }
      #expect(Array(output.dropFirst(shift)) == expected.output)
      #expect(run.sums == expected.sums)
    }
  }

  @Test("a conversion to the same format only makes NaN canonical", arguments: CPULevel.available)
  func conversion(level: CPULevel) throws {
    let values: [UInt16] = [0x3F80, 0x8000, 0x7F80, 0xFF80, 0x7F81, 0xFFFF, 0x0001]
    let input = values.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
    let output = try run(
      .convert(aligned: .bf16, output: .bf16), aligned: input, sft: [], count: values.count, level: level,
      outputSize: 2
    ).output
    #expect(hex(output) == "803f0080807f80ffc07fc07f0100")
  }

  @Test("copying counts the bytes that differ")
  func copying() throws {
    let aligned: [UInt8] = Array(0..<100)
    var sft = aligned
    sft[3] = 0
    sft[99] = 0
    var output = [UInt8](repeating: 0, count: 100)
    let differing = try output.withUnsafeMutableBytes { output in
      try aligned.withUnsafeBytes { aligned in
        try sft.withUnsafeBytes { try copyBytes(of: aligned, comparedTo: $0, to: output) }
      }
    }
    #expect(output == aligned)
    #expect(differing == 2)
  }
}
