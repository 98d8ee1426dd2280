import Checkpoint
import Diagnostics
import Planning
import Testing

@Suite("Several alphas")
struct VariantsTests {
  let tensors: [[(String, DType, [Int])]] = [[("a", .bf16, [300, 200]), ("b", .f32, [7, 11])], [("c", .bf16, [500, 100])]]

  func plan(_ alphas: [Double], rules: [AlphaRule] = []) throws -> Plan {
    try Plan(
      aligned: checkpoint("aligned", tensors), sft: checkpoint("sft", tensors),
      recipe: Recipe(alphas: alphas, rules: rules, maxFileSize: 130_000, shardSize: 64 << 10))
  }

  @Test("each variant has the files, shards, segments and fingerprint of a merge of its own")
  func same() throws {
    let alphas = [0.1, 0.25, -0.5]
    let all = try plan(alphas)
    #expect(all.variants.map(\.folder) == ["alpha-0.1", "alpha-0.25", "alpha--0.5"])
    for (variant, alpha) in alphas.enumerated() {
      let own = try plan([alpha])
      #expect(own.variants.map(\.alpha) == [alpha] && own.variants[0].folder.isEmpty)
      #expect(own.recipe == all.recipe.single(variant) && own.fingerprint == all.fingerprint(of: variant))
      #expect(own.index == all.index && own.files.map(\.header) == all.files.map(\.header))
      #expect(own.shardCount == all.shardCount)
      for number in 0..<own.shardCount {
        let shard = all.shard(number)
        #expect(shard == own.shard(number) && all.segments(of: shard, variant: variant) == own.segments(of: shard))
        #expect(all.outputBytes(of: shard) == 3 * own.outputBytes(of: shard))
      }
      #expect(all.outputBytes == 3 * own.outputBytes && all.inputBytes == own.inputBytes)
      #expect(all.fingerprint != own.fingerprint)
    }
    #expect(all.outputs.count == 6 && all.outputs[3].path == "alpha-0.25/model-00002-of-00002.safetensors")
    for file in 0..<2 {
      #expect(all.outputs(of: file).map { all.outputs[$0].file } == [file, file, file])
      #expect(all.outputs(of: file).map { all.outputs[$0].variant } == [0, 1, 2])
    }
  }

  @Test("a rule is the same in all variants")
  func rules() throws {
    let all = try plan([0.1, 0.2], rules: [AlphaRule(glob: "b", alphas: [0.7])])
    let alphas = (0..<2).map { variant in
      (0..<all.shardCount).flatMap { all.segments(of: all.shard($0), variant: variant) }.compactMap { segment -> String? in
        guard case .compute(.extrapolate(let alpha, _, _, _, _)) = segment.action else { return nil }
        return "\(all.pairs[segment.pair].name) \(alpha)"
      }
    }
    #expect(Set(alphas[0]) == ["a 0.1", "b 0.7", "c 0.1"])
    #expect(Set(alphas[1]) == ["a 0.2", "b 0.7", "c 0.2"])
  }

  @Test("workers plan the same from a description; one alpha is described as before there were several")
  func description() throws {
    let all = try plan([0.1, 0.2])
    let again = try JobDescription.plan(from: JobDescription(all).encoded())
    #expect(again.fingerprint == all.fingerprint && again.variants == all.variants)
    let one = String(decoding: JobDescription(try plan([0.1])).encoded(), as: UTF8.self)
    #expect(!one.contains(#""alphas":[0.1"#))
    let other = String(decoding: JobDescription(all).encoded(), as: UTF8.self).replacing(#""alpha":0.1"#, with: #""alpha":0.3"#)
    #expect(throws: Failure.self, "which of them is meant?") { try JobDescription.plan(from: Array(other.utf8)) }
  }

  @Test("equal, missing and too many alphas are refused", arguments: [[0.1, 0.1], [], (0..<33).map(Double.init), [0.1, .nan]])
  func refused(alphas: [Double]) {
    #expect(Recipe(alphas: alphas).problems().map(\.code) == [.alphaInvalid])
  }

  @Test("a stream holds each byte of each variant once, in stripes", arguments: [1, 2, 3, 32])
  func stream(variants: Int) {
    let stripe = ShardStream.stripeBytes
    for bytes in [1, stripe - 1, stripe, stripe + 1, 3 * stripe, 3 * stripe + 5] {
      let stream = ShardStream(shardBytes: bytes, variants: variants)
      #expect(stream.count == bytes * variants)
      var (position, expected) = (0, Array(repeating: 0, count: variants))
      while position < stream.count {
        let (variant, range) = stream.place(of: position)
        #expect(range.lowerBound == expected[variant], "in order")
        #expect(!range.isEmpty && range.count <= (variants == 1 ? bytes : stripe))
        #expect(stream.position(of: range.lowerBound, in: variant) == position)
        let last = range.upperBound - 1
        #expect(stream.position(of: last, in: variant) == position + range.count - 1)
        #expect(stream.place(of: position + range.count - 1) == (variant, last..<range.upperBound))
        expected[variant] = range.upperBound
        position += range.count
      }
      #expect(position == stream.count && expected.allSatisfy { $0 == bytes })
    }
  }
}
