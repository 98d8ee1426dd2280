import Checkpoint
import Coordinator
import Deltas
import Diagnostics
import Foundation
import Kernels
import Planning
import TestSupport
import Testing

@Suite("Surveys of a pair")
struct DeltaSurveyTests {
  let workshop = Workshop()

  // MARK: the oracle

  /// Of Scripts/python/delta_golden.py.
  struct Golden: Decodable {
    struct Side: Decodable {
      let dtype: String
      let hex: String
    }

    struct Figures: Decodable {
      let elements, unchanged, nonFinite: UInt64
      let relativeNorm, cosine, kurtosis: Double?
      let largest: Double
      let f16Limit: Double?
      let magnitudes: [String: UInt64]
    }

    struct Tensor: Decodable {
      let name: String
      let shape: [Int]
      let aligned, sft: Side
      let figures: Figures

      func bytes(_ side: Side) throws -> TensorBytes {
        let digits = Array(side.hex.utf8)
        let bytes = try stride(from: 0, to: digits.count, by: 2).map {
          try #require(UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16))
        }
        return TensorBytes(name, try #require(DType(rawValue: side.dtype)), shape, bytes)
      }
    }

    struct Blocks: Decodable {
      let elements, size, least: Int
      let share: Double
      let seed: UInt64
      let places: [[Int]]
    }

    let tensors: [Tensor]
    let total: Figures
    let kinds, layers: [String: Figures]
    let blocks: [Blocks]

    static func load() throws -> Golden {
      let file = try #require(Bundle.module.url(forResource: "deltas", withExtension: "json", subdirectory: "Fixtures"))
      return try JSONDecoder().decode(Golden.self, from: Data(contentsOf: file))
    }
  }

  private func check(_ measure: DeltaMeasure, _ golden: Golden.Figures, _ name: String) {
    let sums = measure.sums
    #expect(sums.elements == golden.elements && sums.unchanged == golden.unchanged, "\(name)")
    #expect(sums.nonFiniteInputs == golden.nonFinite && sums.largestDelta == golden.largest, "\(name)")
    let pairs = [
      (measure.relativeNorm, golden.relativeNorm), (measure.cosine, golden.cosine), (measure.kurtosis, golden.kurtosis),
      (measure.f16Limit, golden.f16Limit),
    ]
    for (index, (value, expected)) in pairs.enumerated() {
      #expect((value == nil) == (expected == nil), "\(name), \(index)")
      if let value, let expected { #expect(abs(value - expected) <= abs(expected) * 1e-12, "\(name), \(index)") }
    }
    let counts = (measure.shape?.magnitudes ?? []).enumerated().filter { $1 > 0 }
    #expect(
      Dictionary(uniqueKeysWithValues: counts.map { ("\($0 + DeltaShape.leastExponent)", $1) }) == golden.magnitudes, "\(name)")
  }

  @Test("give numpy's figures, of each tensor and of groups")
  func golden() throws {
    let golden = try Golden.load()
    workshop.writePair(
      aligned: try golden.tensors.map { try $0.bytes($0.aligned) }, sft: try golden.tensors.map { try $0.bytes($0.sft) })
    let summary = try DeltaSurvey(workshop.plan(), share: 0.01, RunContext(threads: 2)).summary
    #expect(summary.tensors.count == golden.tensors.count)
    for tensor in golden.tensors {
      check(try #require(summary.tensors.first { $0.name == tensor.name }).measure, tensor.figures, tensor.name)
    }
    check(summary.total, golden.total, "all")
    #expect(Set(summary.kinds.map(\.name)) == Set(golden.kinds.keys))
    for kind in summary.kinds { check(kind.measure, try #require(golden.kinds[kind.name]), kind.name) }
    #expect(Set(summary.layers.map(\.layer.description)) == Set(golden.layers.keys))
    for layer in summary.layers { check(layer.measure, try #require(golden.layers["\(layer.layer)"]), "\(layer.layer)") }
    #expect(summary.modules.map(\.name).contains("mlp.experts.gate_proj"))
  }

  @Test("look at the blocks that the seed picks")
  func places() throws {
    for golden in try Golden.load().blocks {
      let places = SurveyBlocks.places(
        elements: golden.elements, elementSize: golden.size, share: golden.share, least: golden.least, seed: golden.seed)
      #expect(places.map { [$0.lowerBound, $0.upperBound] } == golden.places, "\(golden.elements)")
    }
  }

  @Test("take less of each tensor where there are thousands")
  func least() {
    #expect([0, 1, 723, 2048, 8192, 45_000].map(SurveyBlocks.least) == [16, 16, 16, 16, 4, 2])
  }

  // MARK: samples

  /// Of three megabytes a side, the only one of its size.
  private func writeLargePair() {
    var random = SplitMix64(seed: 3)
    let sft = (0..<800_000).map { _ in Float(Int64(truncatingIfNeeded: random.next()) >> 32) * 1e-11 }
    let aligned = sft.map { $0 + Float(Int64(truncatingIfNeeded: random.next()) >> 32) * 1e-13 }
    workshop.writePair(
      aligned: [TensorBytes("model.embed_tokens.weight", aligned, shape: [100_000, 8]), TensorBytes("model.norm.weight", [1, 1])],
      sft: [TensorBytes("model.embed_tokens.weight", sft, shape: [100_000, 8]), TensorBytes("model.norm.weight", [1, 1])])
  }

  @Test("give the same numbers whatever the threads", arguments: [0.01, 1])
  func threads(share: Double) throws {
    writeLargePair()
    let surveys = try [1, 2, 7].map { try DeltaSurvey(workshop.plan(), share: share, RunContext(threads: $0)) }
    for survey in surveys.dropFirst() {
      #expect(survey.summary == surveys[0].summary)
      #expect(survey.tails == surveys[0].tails)
    }
    #expect(surveys[0].isSample == (share < 1))
    #expect(surveys[0].tails.map(\.first) == [100_000 - 512])
  }

  @Test("estimate all of a tensor from a sample")
  func estimates() throws {
    writeLargePair()
    let plan = try workshop.plan()
    let whole = try DeltaSurvey(plan, share: 1, RunContext(threads: 2)).summary
    let sample = try DeltaSurvey(plan, share: 0.01, RunContext(threads: 2)).summary
    #expect(sample.tensors[0].seen == 16 * 16384 && whole.tensors[0].seen == 800_000)
    for (estimate, exact) in [
      (sample.total.relativeNorm, whole.total.relativeNorm), (sample.total.cosine, whole.total.cosine),
      (sample.total.kurtosis, whole.total.kurtosis),
    ] {
      #expect(try abs(#require(estimate) / #require(exact) - 1) < 0.02)
    }
    // Uniform noise has this one.
    #expect(try abs(#require(whole.tensors[0].measure.kurtosis) - 1.8) < 0.05)
    #expect(sample.total.sums.elements == whole.total.sums.elements)
  }

  @Test("end when they are cancelled")
  func cancelled() throws {
    writeLargePair()
    let cancellation = Cancellation()
    cancellation.cancel()
    let plan = try workshop.plan()
    #expect(try codes { _ = try DeltaSurvey(plan, share: 1, RunContext(threads: 1, cancellation: cancellation)) } == [.interrupted])
  }
}
