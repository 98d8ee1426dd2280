import Kernels
import Testing

@Suite("Distributions of differences")
struct DeltaShapeTests {
  private func noise(_ dtype: String, count: Int, seed: UInt64) -> [UInt8] {
    let source = GoldenVectors.Source(kind: "random", bits: nil, hex: nil, seed: seed, lo: nil, hi: nil)
    return InputMaker().bytes(.init(dtype: dtype, source: source), count: count)
  }

  private func shape(_ aligned: [UInt8], _ sft: [UInt8], _ format: FloatFormat, count: Int, from start: Int = 0, _ level: CPULevel) -> DeltaShape {
    aligned.withUnsafeBytes { aligned in
      sft.withUnsafeBytes { sft in
        DeltaShape(
          aligned: .init(rebasing: aligned[start...]), format, sft: .init(rebasing: sft[start...]), format, count: count, level: level)
      }
    }
  }

  @Test(
    "are the same at every level, for any bits and any alignment",
    arguments: [("F64", FloatFormat.f64), ("F32", .f32), ("F16", .f16), ("BF16", .bf16), ("F8_E4M3", .f8E4M3), ("F8_E5M2", .f8E5M2)])
  func levels(name: String, format: FloatFormat) {
    for count in [0, 1, 7, 8, 511, 512, 513, 5001] {
      let (aligned, sft) = (noise(name, count: count, seed: 1), noise(name, count: count, seed: 2))
      let portable = shape(aligned, sft, format, count: count, .portable)
      for level in CPULevel.available {
        #expect(shape(aligned, sft, format, count: count, level) == portable, "\(count), \(level)")
        #expect(shape([0] + aligned, [0] + sft, format, count: count, from: 1, level) == portable, "\(count), \(level)")
      }
    }
  }

  @Test("leave out what is not finite or has not changed")
  func values() {
    let aligned: [Float] = [1, 2, .infinity, 3, .nan, 3e38, 65519]
    let sft: [Float] = [1, 1, 0, 3.5, 0, -3e38, 65503]
    let shape = aligned.withUnsafeBytes { a in sft.withUnsafeBytes { DeltaShape(aligned: a, .f32, sft: $0, .f32, count: 7) } }
    #expect(shape.deltaFourth == 1 + 0.0625 + 65536)
    // 65519 has a room of 1 until it is infinite in F16, and moved by 16.
    #expect(shape.f16Reach == 16)
    let counts = shape.magnitudes.enumerated().filter { $1 > 0 }.map { [$0 + DeltaShape.leastExponent, Int($1)] }
    #expect(counts == [[-1, 1], [0, 1], [4, 1]])
  }
}
