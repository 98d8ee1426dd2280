import Digests
import Foundation
import Kernels

/// Vectors written by Scripts/python/kernel_golden.py and torch_golden.py: inputs by recipe, outputs by digest.
struct GoldenVectors: Decodable {
  struct Operand: Decodable {
    let dtype: String
    let source: Source
  }

  struct Source: Decodable, Hashable {
    let kind: String
    let bits: String?
    let hex: String?
    let seed: UInt64?
    let lo: UInt64?
    let hi: UInt64?
  }

  struct Case: Decodable {
    let name: String
    let aligned: Operand
    let sft: Operand
    let output: String
    let arithmetic: Arithmetic
    let alpha: Double
    let count: Int
    let digest: Digest128
    let expected: String?
    let nonFiniteInputs: UInt64?
    let nonFiniteOutputs: UInt64?
    let overflows: UInt64?
    let unchanged: UInt64?
    let sumDelta2: Double?
    let sumAligned2: Double?
    let sumSft2: Double?
    let sumDot: Double?
    let maxDelta: Double?
  }

  let cases: [Case]

  static func load(_ name: String) throws -> GoldenVectors {
    let url = Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Fixtures")!
    return try JSONDecoder().decode(GoldenVectors.self, from: Data(contentsOf: url))
  }
}

extension FloatFormat {
  init(named name: String) {
    switch name {
    case "F64": self = .f64
    case "F32": self = .f32
    case "F16": self = .f16
    case "BF16": self = .bf16
    case "F8_E4M3": self = .f8E4M3
    case "F8_E5M2": self = .f8E5M2
    case "F8_E4M3FNUZ": self = .f8E4M3FNUZ
    case "F8_E5M2FNUZ": self = .f8E5M2FNUZ
    default: preconditionFailure("unknown dtype \(name)")
    }
  }

  /// Bits of the mantissa field.
  var mantissaBits: UInt64 {
    switch self {
    case .f64: 52
    case .f32: 23
    case .f16: 10
    case .bf16: 7
    case .f8E4M3, .f8E4M3FNUZ: 3
    case .f8E5M2, .f8E5M2FNUZ: 2
    }
  }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct SplitMix64 {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Makes inputs, keeping those already made: many cases share them.
final class InputMaker {
  private struct Key: Hashable {
    let format: FloatFormat
    let source: GoldenVectors.Source
    let count: Int
  }

  private var made: [Key: [UInt8]] = [:]

  func bytes(_ operand: GoldenVectors.Operand, count: Int) -> [UInt8] {
    let key = Key(format: FloatFormat(named: operand.dtype), source: operand.source, count: count)
    if let bytes = made[key] { return bytes }
    let bytes = make(key)
    if made.count > 64 { made.removeAll() }
    made[key] = bytes
    return bytes
  }

  private func make(_ key: Key) -> [UInt8] {
    let source = key.source
    if source.kind == "bits" { return decode(hex: source.hex!) }
    var generator = SplitMix64(state: source.seed ?? 0)
    let constant = UInt64(source.bits ?? "0", radix: 16)!
    let (lo, hi) = (source.lo ?? 0, source.hi ?? 1)
    let width = UInt64(key.format.size * 8)
    let mantissa = key.format.mantissaBits
    switch source.kind {
    case "all": return pack(key) { UInt64($0) }
    case "all-slow": return pack(key) { UInt64($0 / 256) }
    case "constant": return pack(key) { _ in constant }
    case "random": return pack(key) { _ in generator.next() }
    case "moderate":
      return pack(key) { _ in
        let u = generator.next()
        let exponent = lo + (u >> 32 & 0xFFFF) % (hi - lo)
        return (u >> 63) << (width - 1) | exponent << mantissa | u & (1 << mantissa - 1)
      }
    default: preconditionFailure("unknown source \(source.kind)")
    }
  }

  private func pack(_ key: Key, _ element: (Int) -> UInt64) -> [UInt8] {
    let size = key.format.size
    var bytes = [UInt8](repeating: 0, count: key.count * size)
    bytes.withUnsafeMutableBytes { buffer in
      for index in 0..<key.count {
        switch size {
        case 1: buffer.storeBytes(of: UInt8(truncatingIfNeeded: element(index)), toByteOffset: index, as: UInt8.self)
        case 2:
          buffer.storeBytes(of: UInt16(truncatingIfNeeded: element(index)), toByteOffset: index * 2, as: UInt16.self)
        case 4:
          buffer.storeBytes(of: UInt32(truncatingIfNeeded: element(index)), toByteOffset: index * 4, as: UInt32.self)
        default: buffer.storeBytes(of: element(index), toByteOffset: index * 8, as: UInt64.self)
        }
      }
    }
    return bytes
  }
}

func decode(hex: String) -> [UInt8] {
  let digits = Array(hex.utf8)
  return stride(from: 0, to: digits.count, by: 2).map {
    UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)!
  }
}

func hex(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// Runs an operation in one piece, or in pieces of the given numbers of elements.
func run(
  _ operation: ElementOperation, aligned: [UInt8], sft: [UInt8], count: Int, level: CPULevel, outputSize: Int,
  pieces: [Int]? = nil, countsOnly: Bool = false
) throws -> (output: [UInt8], sums: DeltaSums) {
  var run = ElementRun(operation, level: level, countsOnly: countsOnly)
  var output = [UInt8](repeating: 0xAA, count: count * outputSize)
  let (alignedSize, sftSize) = count == 0 ? (0, 0) : (aligned.count / count, sft.count / count)
  try output.withUnsafeMutableBytes { output in
    try aligned.withUnsafeBytes { aligned in
      try sft.withUnsafeBytes { sft in
        var start = 0
        for piece in pieces ?? [count] {
          try run.process(
            aligned: .init(rebasing: aligned[(start * alignedSize)...]),
            sft: .init(rebasing: sft[(start * sftSize)...]),
            output: .init(rebasing: output[(start * outputSize)...]), count: piece)
          start += piece
        }
      }
    }
  }
  return (output, run.sums)
}
