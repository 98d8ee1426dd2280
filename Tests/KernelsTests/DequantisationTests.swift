import Digests
import Foundation
import Kernels
import Testing

/// Vectors written by Scripts/python/dequantise_golden.py.
private struct DequantisationVectors: Decodable {
  struct Case: Decodable {
    let name: String
    let shape: [Int]
    let block: [Int]
    let codes: GoldenVectors.Source
    let scales: GoldenVectors.Operand
    let output: String
    let digest: Digest128
    let expected: String?

    var count: Int { shape[0] * shape[1] }
    /// Scales of one row of blocks, and how many such rows.
    var rowScales: Int { (shape[1] + block[1] - 1) / block[1] }
    var scaleRows: Int { (shape[0] + block[0] - 1) / block[0] }

    var operation: Dequantisation {
      Dequantisation(
        format: FloatFormat(named: scales.dtype), columns: shape[1], blockRows: block[0], blockColumns: block[1],
        output: FloatFormat(named: output))
    }
  }

  let cases: [Case]

  static func load() throws -> DequantisationVectors {
    let url = Bundle.module.url(forResource: "dequantisation", withExtension: "json", subdirectory: "Fixtures")!
    return try JSONDecoder().decode(DequantisationVectors.self, from: Data(contentsOf: url))
  }
}

@Suite("FP8 with block scales against an independent oracle")
struct DequantisationTests {
  @Test("every level gives numpy's bits, wherever a matrix is cut", arguments: CPULevel.available)
  func numpy(level: CPULevel) throws {
    let vectors = try DequantisationVectors.load()
    #expect(vectors.cases.count > 300)
    let maker = InputMaker()
    for vector in vectors.cases {
      let codes = maker.bytes(.init(dtype: "F8_E4M3", source: vector.codes), count: vector.count)
      let scales = maker.bytes(vector.scales, count: vector.rowScales * vector.scaleRows)
      // In one piece; in pieces that cut rows and blocks, the first a single element; and with the last element apart.
      for cuts in [[], [1, vector.count / 3, vector.count / 2 + 1], [vector.count - 1]] {
        let bytes = try run(vector, codes, scales, cuts: cuts, level: level)
        let comment = Comment(rawValue: "\(vector.name), \(level), cut at \(cuts)")
        if let expected = vector.expected { #expect(hex(bytes) == expected, comment) }
        #expect(bytes.withUnsafeBytes { XXH3.digest(of: $0) } == vector.digest, comment)
      }
    }
  }

  /// Each piece is given the scales of the rows of blocks that it touches, and no others.
  private func run(
    _ vector: DequantisationVectors.Case, _ codes: [UInt8], _ scales: [UInt8], cuts: [Int], level: CPULevel
  ) throws -> [UInt8] {
    let how = vector.operation
    let size = how.output.size
    let stripe = vector.block[0] * vector.shape[1]
    let stride = vector.rowScales * how.format.size
    var output = [UInt8](repeating: 0xAA, count: vector.count * size)
    let ends = (cuts + [vector.count]).filter { $0 > 0 && $0 <= vector.count }.sorted()
    var start = 0
    for end in ends where end > start {
      let rows = start / stripe * stride..<((end - 1) / stripe + 1) * stride
      // Odd addresses.
      let (piece, scalePiece) = ([0] + codes[start..<end], [0] + scales[rows])
      try output.withUnsafeMutableBytes { output in
        try piece.withUnsafeBytes { piece in
          try scalePiece.withUnsafeBytes { scalePiece in
            try how.run(
              .init(rebasing: piece[1...]), scales: .init(rebasing: scalePiece[1...]), place: start % stripe,
              to: .init(rebasing: output[(start * size)..<(end * size)]), level: level)
          }
        }
      }
      start = end
    }
    return output
  }
}
