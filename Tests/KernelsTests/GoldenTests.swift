import Digests
import Kernels
import Testing

@Suite("Kernels against an independent oracle")
struct GoldenTests {
  @Test("every level gives numpy's bits and counts", arguments: CPULevel.available)
  func numpy(level: CPULevel) throws {
    try check(GoldenVectors.load("kernels"), level: level)
  }

  @Test("reference arithmetic gives PyTorch's bits", arguments: CPULevel.available)
  func torch(level: CPULevel) throws {
    try check(GoldenVectors.load("torch-reference"), level: level)
  }

  @Test("a run that counts its output only gives numpy's bits and counts", arguments: CPULevel.available)
  func countsOnly(level: CPULevel) throws {
    for vectors in [try GoldenVectors.load("kernels"), try GoldenVectors.load("torch-reference")] {
      try check(vectors, level: level, countsOnly: true)
    }
  }

  private func check(_ vectors: GoldenVectors, level: CPULevel, countsOnly: Bool = false) throws {
    #expect(vectors.cases.count > 300)
    let maker = InputMaker()
    for vector in vectors.cases {
      let output = FloatFormat(named: vector.output)
      let operation = ElementOperation.extrapolate(
        alpha: vector.alpha, arithmetic: vector.arithmetic, aligned: FloatFormat(named: vector.aligned.dtype),
        sft: FloatFormat(named: vector.sft.dtype), output: output)
      let (bytes, sums) = try run(
        operation, aligned: maker.bytes(vector.aligned, count: vector.count),
        sft: maker.bytes(vector.sft, count: vector.count), count: vector.count, level: level, outputSize: output.size,
        pieces: countsOnly && vector.count > 9 ? [3, vector.count - 3] : nil, countsOnly: countsOnly)
      let comment = Comment(rawValue: "\(vector.name), \(level)")
      if let expected = vector.expected { #expect(hex(bytes) == expected, comment) }
      #expect(bytes.withUnsafeBytes { XXH3.digest(of: $0) } == vector.digest, comment)
      #expect(sums.elements == UInt64(vector.count), comment)
      if countsOnly {
        if let count = vector.nonFiniteOutputs { #expect(sums.nonFiniteOutputs == count, comment) }
        if let count = vector.overflows { #expect(sums.overflows == count, comment) }
        continue
      }
      if let count = vector.nonFiniteInputs { #expect(sums.nonFiniteInputs == count, comment) }
      if let count = vector.nonFiniteOutputs { #expect(sums.nonFiniteOutputs == count, comment) }
      if let count = vector.overflows { #expect(sums.overflows == count, comment) }
      if let count = vector.unchanged { #expect(sums.unchanged == count, comment) }
      if let largest = vector.maxDelta { #expect(sums.largestDelta == largest, comment) }
      if let expected = vector.sumDelta2 {
        #expect(isClose(sums.deltaSquared, expected), comment)
        #expect(isClose(sums.alignedSquared, vector.sumAligned2!), comment)
        #expect(isClose(sums.sftSquared, vector.sumSft2!), comment)
        // Terms of a dot product cancel: what bounds its error are the norms.
        let norms = (vector.sumAligned2! * vector.sumSft2!).squareRoot()
        #expect(abs(sums.dot - vector.sumDot!) <= norms * 1e-12, comment)
      }
    }
  }

  private func isClose(_ value: Double, _ expected: Double) -> Bool {
    abs(value - expected) <= abs(expected) * 1e-12
  }
}
