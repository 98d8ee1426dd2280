import Planning

/// Weights that look like those of a model, and the same after preference training: every element can be computed
/// again from the seed, the tensor and its place.
struct SampleWeights: Sendable {
  enum Side: String, Sendable, CaseIterable {
    case sft, aligned
  }

  /// The dtypes that a sample can have.
  enum Format: Sendable {
    case bf16, f16, f32

    var size: Int { self == .f32 ? 4 : 2 }
  }

  let seed: UInt64
  let format: Format

  /// Values are made in chunks of this many elements, each with a random sequence of its own.
  static let chunk = 1 << 16

  private static let standardDeviation: Float = 0.02
  /// Of what training added to an element: a relative change of about 0.4%, most of it lost in the last bit of BF16,
  /// as is usual.
  private static let trainingDeviation: Float = 0.000_08

  /// Fills `count` elements from a multiple of `chunk` on.
  func fill(
    _ output: UnsafeMutableRawBufferPointer, side: Side, tensor: Int, isNorm: Bool, firstElement: Int, count: Int
  ) {
    var done = 0
    while done < count {
      let chunk = (firstElement + done) / Self.chunk
      let length = min(Self.chunk, count - done)
      let part = UnsafeMutableRawBufferPointer(rebasing: output[(done * format.size)..<((done + length) * format.size)])
      var random = SplitMix64(seed: seed &+ UInt64(tensor) &* 0x1_0000_0001 &+ UInt64(chunk) &* 0xD134_2543_DE82_EF95)
      fillChunk(part, side: side, isNorm: isNorm, count: length, &random)
      done += length
    }
  }

  private func fillChunk(
    _ output: UnsafeMutableRawBufferPointer, side: Side, isNorm: Bool, count: Int, _ random: inout SplitMix64
  ) {
    let mean: Float = isNorm ? 1 : 0
    let training: Float = side == .aligned ? Self.trainingDeviation : 0
    for index in 0..<count {
      let bits = random.next()
      let weight = mean + Self.bell(bits) * Self.standardDeviation
      switch format {
      case .bf16:
        // Training starts from the published, rounded weights.
        let value = Self.roundedToBF16(Self.float(bf16: Self.roundedToBF16(weight)) + Self.bell(bits >> 32) * training)
        output.storeBytes(of: value, toByteOffset: index * 2, as: UInt16.self)
      case .f16:
        let value = Float16(Float(Float16(weight)) + Self.bell(bits >> 32) * training)
        output.storeBytes(of: value.bitPattern, toByteOffset: index * 2, as: UInt16.self)
      case .f32:
        output.storeBytes(of: weight + Self.bell(bits >> 32) * training, toByteOffset: index * 4, as: Float.self)
      }
    }
  }

  /// Nearly normal, mean 0 and deviation 1: the sum of four uniform bytes.
  private static func bell(_ bits: UInt64) -> Float {
    let sum = (bits & 0xFF) + (bits >> 8 & 0xFF) + (bits >> 16 & 0xFF) + (bits >> 24 & 0xFF)
    return (Float(sum) - 510) * (1 / 147.8)
  }

  private static func roundedToBF16(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
  }

  private static func float(bf16: UInt16) -> Float {
    Float(bitPattern: UInt32(bf16) << 16)
  }
}
