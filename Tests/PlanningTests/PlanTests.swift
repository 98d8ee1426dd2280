import Checkpoint
import Diagnostics
import Kernels
import Planning
import Testing

@Suite("Layout and shards")
struct PlanTests {
  @Test("one file has no number and no index, several have both")
  func names() throws {
    let tensors: [(String, DType, [Int])] = (0..<10).map { ("layers.\($0).w", .bf16, [500]) }
    let one = try plan(aligned: tensors, sft: tensors)
    #expect(one.files.map(\.name) == ["model.safetensors"])
    #expect(one.index == nil)
    let several = try plan(aligned: tensors, sft: tensors, recipe: Recipe(alpha: 0.3, maxFileSize: 3500))
    #expect(several.files.map(\.name) == (1...4).map { "model-0000\($0)-of-00004.safetensors" })
    #expect(several.files.map(\.pairs.count) == [3, 3, 3, 1])
    let index = try #require(several.index)
    #expect(index.weightMap.count == 10)
    #expect(index.weightMap["layers.9.w"] == "model-00004-of-00004.safetensors")
    #expect(several.tensorBytes == 10_000)
    #expect(several.parameterCount == 5_000)
  }

  @Test("layers stay in the order of their numbers")
  func naturalOrder() throws {
    let tensors: [(String, DType, [Int])] = [10, 2, 1, 0, 11].map { ("model.layers.\($0).w", .bf16, [10]) }
    let plan = try plan(aligned: tensors, sft: tensors, recipe: Recipe(alpha: 0.3, maxFileSize: 1))
    #expect(plan.files.map { plan.pairs[$0.pairs[0]].name } == [0, 1, 2, 10, 11].map { "model.layers.\($0).w" })
  }

  @Test("a tensor larger than a file may be has one of its own")
  func largeTensor() throws {
    let tensors: [(String, DType, [Int])] = [("a", .bf16, [10]), ("b", .bf16, [1000]), ("c", .bf16, [10])]
    let plan = try plan(aligned: tensors, sft: tensors, recipe: Recipe(alpha: 0.3, maxFileSize: 100))
    #expect(plan.files.map { $0.pairs.map { plan.pairs[$0].name } } == [["a"], ["b"], ["c"]])
  }

  @Test("data start on a page, and every element on a multiple of its size")
  func alignment() throws {
    let tensors: [(String, DType, [Int])] = [
      ("a", .u8, [3]), ("b", .f64, [1]), ("c", .bf16, [5]), ("d", .f32, [3]), ("e", .bool, [1]), ("f", .i64, [2]),
      ("g", .f8E4M3, [7]), ("h", .c64, [1]), ("i", .f4, [2]),
    ]
    let plan = try plan(aligned: tensors, sft: tensors)
    let file = plan.files[0]
    #expect(file.header.count % 4096 == 0)
    #expect(file.pairs.map { plan.pairs[$0].name } == ["b", "f", "h", "d", "c", "a", "e", "g", "i"])
    for (pair, range) in zip(file.pairs, file.ranges) {
      #expect(range.lowerBound % plan.pairs[pair].dtype.alignment == 0)
    }
  }

  @Test("the header that is planned is one that can be read")
  func header() throws {
    let tensors: [(String, DType, [Int])] = [("a", .bf16, [3, 5]), ("b", .f32, []), ("c", .f16, [0, 7])]
    let plan = try plan(aligned: tensors, sft: tensors)
    let file = plan.files[0]
    let json = Array(file.header.dropFirst(8))
    let header = try json.withUnsafeBufferPointer {
      try SafetensorsHeader.parse(json: $0, fileSize: file.size, file: file.name)
    }
    #expect(header.metadata == ["format": "pt"])
    #expect(header.tensors.map(\.shape) == [[], [0, 7], [3, 5]] || header.tensors.map(\.shape) == [[], [3, 5], [0, 7]])
    #expect(header.dataStart == file.header.count)
  }

  // MARK: shards

  /// A plan with all that is awkward, made from a seed.
  private func randomPlan(seed: UInt64) throws -> Plan {
    var random = SplitMix64(seed: seed)
    let dtypes: [DType] = [.f64, .f32, .f16, .bf16, .f8E4M3, .i64, .u8, .c64, .f6E2M3]
    var aligned: [(String, DType, [Int])] = [("lm_head.weight", .bf16, [Int.random(in: 1...300, using: &random), 128])]
    var sft: [(String, DType, [Int])] = [("lm_head.weight", .f32, [Int.random(in: 1...300, using: &random), 128])]
    for index in 0..<Int.random(in: 1...40, using: &random) {
      let dtype = dtypes.randomElement(using: &random)!
      // Most are small; F6 needs a whole number of bytes.
      let count = Int.random(in: 0...(index % 7 == 0 ? 200_000 : 3000), using: &random) * 4
      let other: DType = dtype == .bf16 && Bool.random(using: &random) ? .f32 : dtype
      aligned.append(("layers.\(index).w", dtype, [count]))
      sft.append(("layers.\(index).w", other, [count]))
    }
    return try plan(
      aligned: aligned, sft: sft,
      recipe: Recipe(
        alpha: 0.3, dtype: [nil, .f32, .f16, .f64].randomElement(using: &random)!, vocabulary: .overlap,
        maxFileSize: Int.random(in: 1...2_000_000, using: &random), shardSize: 65536 * Int.random(in: 1...3, using: &random)))
  }

  @Test("shards cover every byte of every file once, and segments every byte behind the headers", arguments: 0..<60)
  func coverage(seed: UInt64) throws {
    let plan = try randomPlan(seed: seed)
    var file = 0
    var end = 0
    var bytesByPair = Array(repeating: 0, count: plan.pairs.count)
    for number in 0..<plan.shardCount {
      let shard = plan.shard(number)
      if shard.file != file {
        #expect(end == plan.files[file].size)
        (file, end) = (shard.file, 0)
      }
      #expect(shard.file == file && shard.range.lowerBound == end && !shard.range.isEmpty)
      #expect(end % plan.recipe.shardSize == 0)
      var position = max(end, min(plan.files[file].header.count, shard.range.upperBound))
      for segment in plan.segments(of: shard) {
        #expect(segment.output.lowerBound == position && !segment.output.isEmpty)
        position = segment.output.upperBound
        bytesByPair[segment.pair] += segment.output.count
        check(segment, plan)
      }
      #expect(position == shard.range.upperBound)
      end = shard.range.upperBound
    }
    #expect(end == plan.files[file].size && file == plan.files.count - 1)
    #expect(bytesByPair == plan.pairs.map(\.byteCount))
  }

  /// The slices of a segment lie in their tensors and hold the same elements.
  private func check(_ segment: Segment, _ plan: Plan) {
    let pair = plan.pairs[segment.pair]
    #expect(segment.aligned.file == pair.aligned.file)
    #expect(pair.aligned.range.clamped(to: segment.aligned.range) == segment.aligned.range)
    if let sft = segment.sft { #expect(pair.sft.range.clamped(to: sft.range) == sft.range) }
    switch segment.action {
    case .copy:
      #expect(segment.aligned.range.count == segment.output.count)
    case .compute(let operation):
      let sizes = operation.sizes
      let count = segment.output.count / sizes.output
      #expect(segment.output.count % sizes.output == 0)
      #expect(segment.aligned.range.count == count * sizes.aligned)
      let first = (segment.aligned.range.lowerBound - pair.aligned.range.lowerBound) / sizes.aligned
      #expect((segment.aligned.range.lowerBound - pair.aligned.range.lowerBound) % sizes.aligned == 0)
      if let sft = segment.sft {
        #expect(sft.range.count == count * sizes.sft)
        #expect(sft.range.lowerBound - pair.sft.range.lowerBound == first * sizes.sft)
      }
    }
  }

  @Test("rows beyond the common vocabulary are taken from aligned")
  func overlapSegments() throws {
    let plan = try plan(
      aligned: [("lm_head.weight", .bf16, [12, 4])], sft: [("lm_head.weight", .bf16, [10, 4])],
      recipe: Recipe(alpha: 0.3, vocabulary: .overlap))
    let segments = plan.segments(of: plan.shard(0))
    #expect(segments.map(\.output.count) == [80, 16])
    #expect(segments[1].action == .copy && segments[1].sft == nil)
    let converted = try Planning.Plan(
      aligned: plan.aligned, sft: plan.sft, recipe: Recipe(alpha: 0.3, dtype: .f32, vocabulary: .overlap))
    #expect(
      converted.segments(of: converted.shard(0))[1].action == .compute(.convert(aligned: .bf16, output: .f32)))
  }

  @Test("a header that readers would refuse is not planned")
  func enormousHeader() throws {
    let name = String(repeating: "n", count: 9_000_000)
    let tensors: [(String, DType, [Int])] = (0..<12).map { ("\($0).\(name)", .bf16, [1]) }
    #expect(try problems(aligned: tensors, sft: tensors).map(\.code) == [.headerTooLarge])
  }

  // MARK: fingerprint

  @Test("the fingerprint depends on recipe and headers, and on nothing else")
  func fingerprint() throws {
    let tensors: [(String, DType, [Int])] = [("a", .bf16, [4]), ("b", .bf16, [4])]
    let base = try plan(aligned: tensors, sft: tensors).fingerprint
    #expect(try plan(aligned: tensors, sft: tensors).fingerprint == base)
    let elsewhere = try Plan(
      aligned: checkpoint("other", [tensors]), sft: checkpoint("place", [tensors]), recipe: Recipe(alpha: 0.3))
    #expect(elsewhere.fingerprint == base)
    let recipes = [
      Recipe(alpha: 0.30000000000000004), Recipe(alpha: 0.3, arithmetic: .reference), Recipe(alpha: 0.3, dtype: .f32),
      Recipe(alpha: 0.3, vocabulary: .overlap), Recipe(alpha: 0.3, maxFileSize: 1), Recipe(alpha: 0.3, shardSize: 65536),
    ]
    var seen = [base]
    for recipe in recipes { seen.append(try plan(aligned: tensors, sft: tensors, recipe: recipe).fingerprint) }
    seen.append(try plan(aligned: [("a", .bf16, [2, 2]), ("b", .bf16, [4])], sft: [("a", .bf16, [2, 2]), ("b", .bf16, [4])]).fingerprint)
    seen.append(try plan(aligned: tensors, sft: [("a", .f32, [4]), ("b", .bf16, [4])]).fingerprint)
    seen.append(try plan(aligned: tensors, sft: tensors.reversed()).fingerprint)
    #expect(Set(seen).count == seen.count)
  }

  @Test("a mixture of experts with 90,000 tensors a side is planned")
  func manyTensors() throws {
    let tensors: [(String, DType, [Int])] = (0..<90_000).map { index in
      ("model.layers.\(index / 1500).mlp.experts.\(index % 1500).up_proj.weight", .bf16, [2048, 3584])
    }
    let plan = try plan(aligned: tensors, sft: tensors)
    #expect(plan.pairs.count == 90_000)
    #expect(plan.files.reduce(0) { $0 + $1.pairs.count } == 90_000)
    #expect(plan.shardCount >= plan.outputBytes / plan.recipe.shardSize)
  }
}
