import Checkpoint
import Diagnostics
import Kernels
import Planning
import Testing

private let fp8 = #"{"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}"#

private func fp8(_ block: String) -> String {
  #"{"quantization_config": {"quant_method": "fp8", "weight_block_size": \#(block)}}"#
}

@Suite("FP8 with block scales")
struct BlockScalesTests {
  typealias Tensors = [(String, DType, [Int])]

  static let quantised: Tensors = [
    ("a.weight", .f8E4M3, [300, 200]), ("a.weight_scale_inv", .f32, [3, 2]), ("b.weight", .bf16, [5, 7]),
  ]
  static let plain: Tensors = [("a.weight", .bf16, [300, 200]), ("b.weight", .bf16, [5, 7])]

  @Test("are dequantised to BF16 on either side and on both; the scales are no tensors of the output")
  func sides() throws {
    for (alignedIsQuantised, sftIsQuantised) in [(true, true), (true, false), (false, true)] {
      let plan = try plan(
        aligned: alignedIsQuantised ? Self.quantised : Self.plain, sft: sftIsQuantised ? Self.quantised : Self.plain,
        alignedConfig: alignedIsQuantised ? fp8 : nil, sftConfig: sftIsQuantised ? fp8 : nil)
      #expect(plan.pairs.map(\.name) == ["a.weight", "b.weight"])
      #expect(plan.pairs.map(\.dtype) == [.bf16, .bf16])
      #expect((plan.pairs[0].aligned.scales != nil) == alignedIsQuantised)
      #expect((plan.pairs[0].sft.scales != nil) == sftIsQuantised)
      #expect(plan.notes.count == (alignedIsQuantised ? 1 : 0) + (sftIsQuantised ? 1 : 0))
      #expect(plan.pairs[0].aligned.encoding == (alignedIsQuantised ? "F8_E4M3 x 128x128 scales" : "BF16"))
    }
  }

  @Test("are computed with as F32, and in reference arithmetic as the BF16 that they are converted to")
  func formats() throws {
    for (arithmetic, format) in [(Arithmetic.float32, FloatFormat.f32), (.reference, .bf16)] {
      let plan = try plan(
        aligned: Self.quantised, sft: Self.plain, alignedConfig: fp8, recipe: Recipe(alpha: 0.3, arithmetic: arithmetic))
      #expect(
        plan.segments(of: plan.shard(0))[0].action
          == .compute(.extrapolate(alpha: 0.3, arithmetic: arithmetic, aligned: format, sft: .bf16, output: .bf16)))
    }
    let single = Self.plain.map { ($0.0, DType.f32, $0.2) }
    let found = try problems(
      aligned: Self.quantised, sft: single, alignedConfig: fp8, recipe: Recipe(alpha: 0.3, arithmetic: .reference))
    #expect(Set(found.map(\.code)) == [.referenceUndefined])
  }

  @Test("a tensor that is kept is dequantised too, not copied", arguments: Arithmetic.allCases)
  func kept(arithmetic: Arithmetic) throws {
    let recipe = Recipe(alpha: 0.3, rules: [try AlphaRule(text: "a.*:0")], arithmetic: arithmetic)
    let plan = try plan(aligned: Self.quantised, sft: Self.quantised, alignedConfig: fp8, sftConfig: fp8, recipe: recipe)
    let segment = plan.segments(of: plan.shard(0))[0]
    #expect(segment.action == .compute(.convert(aligned: arithmetic == .float32 ? .f32 : .bf16, output: .bf16)))
    #expect(segment.sft == nil && segment.aligned.scaling != nil)
  }

  @Test(
    "a segment has the scales of its rows' blocks and no others",
    arguments: [(128, 128), (1, 1), (7, 3), (1000, 64), (64, 1000), (65536, 65536)])
  func slices(rows: Int, columns: Int) throws {
    let shape = [1000, 777]
    let grid = [(shape[0] + rows - 1) / rows, (shape[1] + columns - 1) / columns]
    let tensors: Tensors = [("a.weight", .f8E4M3, shape), ("a.weight_scale_inv", .bf16, grid)]
    let config = fp8("[\(rows), \(columns)]")
    let plan = try plan(
      aligned: tensors, sft: tensors, alignedConfig: config, sftConfig: config, recipe: Recipe(alpha: 0.3, shardSize: 65_536))
    var next = 0
    for number in 0..<plan.shardCount {
      for segment in plan.segments(of: plan.shard(number)) {
        let scaling = try #require(segment.aligned.scaling)
        #expect(scaling.elements.lowerBound == next && scaling.elements.count == segment.aligned.range.count)
        next = scaling.elements.upperBound
        let all = plan.pairs[0].aligned.scales!.range
        let first = scaling.elements.lowerBound / shape[1] / rows
        let last = (scaling.elements.upperBound - 1) / shape[1] / rows
        #expect(scaling.source.range == all.lowerBound + first * grid[1] * 2..<all.lowerBound + (last + 1) * grid[1] * 2)
        #expect(scaling.scales.place(of: scaling.elements.lowerBound) == next - scaling.elements.count - first * rows * shape[1])
        // Whoever needs one of the bytes is among those that are said to need it.
        for element in [scaling.elements.lowerBound, scaling.elements.upperBound - 1] {
          let bytes = scaling.scales.range(of: element..<element + 1)
          for byte in [bytes.lowerBound, bytes.upperBound - 1] {
            #expect(scaling.scales.elements(using: byte..<byte + 1).contains(element))
          }
        }
      }
    }
    #expect(next == shape[0] * shape[1])
    #expect(plan.inputBytes == 2 * (shape[0] * shape[1] + grid[0] * grid[1] * 2))
  }

  @Test("blocks and scales belong to the plan's fingerprint, and survive a description")
  func description() throws {
    func planned(_ block: String, _ grid: [Int]) throws -> Plan {
      let tensors: Tensors = [("a.weight", .f8E4M3, [6, 6]), ("a.weight_scale_inv", .f32, grid), ("n", .bf16, [3])]
      return try plan(aligned: tensors, sft: tensors, alignedConfig: fp8(block), sftConfig: fp8(block))
    }
    let plans = try [planned("[3, 3]", [2, 2]), planned("[4, 3]", [2, 2]), planned("[3, 5]", [2, 2])]
    #expect(Set(plans.map(\.fingerprint.description)).count == 3)
    for plan in plans {
      let again = try JobDescription.plan(from: JobDescription(plan).encoded())
      #expect(again.fingerprint == plan.fingerprint)
      #expect(again.segments(of: again.shard(0)) == plan.segments(of: plan.shard(0)))
    }
    let text = String(decoding: JobDescription(plans[0]).encoded(), as: UTF8.self)
    for block in ["[0,3]", "[3]", "[3,65537]", "[3,3,3]", "[2,3]"] {
      let changed = text.replacing("\"blockSize\":[3,3]", with: "\"blockSize\":\(block)")
      #expect(changed != text)
      #expect(throws: Failure.self, "\(block)") { try JobDescription.plan(from: Array(changed.utf8)) }
    }
  }

  @Test("config.json says what is written")
  func config() throws {
    let config = #"{"dtype":"float16","quantization_config":{"quant_method":"fp8"}}"#
    func written(_ tensors: Tensors, _ dtype: DType?, _ config: String = config) throws -> String? {
      try checkpoint("aligned", [tensors], config: config).config(forOutput: dtype).map { String(decoding: $0, as: UTF8.self) }
    }
    #expect(try written(Self.quantised, nil) == #"{"dtype":"bfloat16"}"#)
    #expect(try written(Self.quantised, .f32) == #"{"dtype":"float32"}"#)
    // The weights were dequantised by somebody who left the config as it was.
    #expect(try written(Self.plain, nil) == #"{"dtype":"float16"}"#)
    #expect(try written(Self.plain, nil, #"{"dtype":"float16"}"#) == nil)
  }
}

@Suite("Quantised weights that are refused")
struct QuantisedWeightsTests {
  private func found(_ tensors: [(String, DType, [Int])], _ config: String? = fp8) throws -> [Problem] {
    let other: [(String, DType, [Int])] = [("w", .bf16, [1])]
    let found = try problems(aligned: other + tensors, sft: other, alignedConfig: config).filter { $0.code != .tensorMissingInSFT }
    for problem in found { #expect(problem.file != nil && problem.remedy != nil) }
    return found
  }

  @Test("scales that are missing, for nothing, or of another shape or dtype are named, with the tensor and a remedy")
  func scales() throws {
    let weight: (String, DType, [Int]) = ("a.weight", .f8E4M3, [300, 200])
    #expect(try found([weight]).map { [$0.code.description, $0.tensor] } == [["scales-missing", "a.weight"]])
    let cases: [([(String, DType, [Int])], String)] = [
      ([("a.weight_scale_inv", .f32, [3, 2])], "a.weight, which is not there"),
      ([weight, ("a.weight_scale_inv", .f32, [2, 3])], "[2, 3], but 128x128 blocks of [300, 200] make [3, 2]"),
      ([weight, ("a.weight_scale_inv", .f32, [6])], "[6], but"), ([weight, ("a.weight_scale_inv", .f64, [3, 2])], "the scales are F64"),
      ([weight, ("a.weight_scale_inv", .u8, [3, 2])], "the scales are U8"),
      ([("a.weight", .bf16, [300, 200]), ("a.weight_scale_inv", .f32, [3, 2])], "a.weight is BF16"),
      ([("a.weight", .f8E5M2, [300, 200]), ("a.weight_scale_inv", .f32, [3, 2])], "a.weight is F8_E5M2"),
      ([("a.weight", .f8E4M3, [2, 3, 4]), ("a.weight_scale_inv", .f32, [2, 1, 1])], "the shape of a.weight is [2, 3, 4]"),
    ]
    for (tensors, message) in cases {
      let found = try found(tensors)
      #expect(found.map(\.code) == [.scalesInvalid] && found[0].tensor == "a.weight_scale_inv", "\(message)")
      #expect(found[0].message.contains(message), "\(found[0].message)")
    }
  }

  @Test("F8_E4M3 in a checkpoint that is not quantised has no scales, and needs none")
  func unscaled() throws {
    let tensors: [(String, DType, [Int])] = [("a.weight", .f8E4M3, [3, 2])]
    let plan = try plan(aligned: tensors, sft: tensors)
    #expect(plan.pairs[0].dtype == .f8E4M3 && plan.pairs[0].aligned.scales == nil)
  }

  @Test("a block size that is none is refused", arguments: ["null", "[128]", "[128, 0]", "[65537, 1]", "[1, 2, 3]", "\"128\""])
  func blockSize(size: String) throws {
    let found = try found(BlockScalesTests.quantised, fp8(size))
    #expect(found.map(\.code) == [.quantised] && found[0].message.contains("weight_block_size"))
  }

  @Test(
    "every other way is refused by its name",
    arguments: [
      "gptq", "awq", "bitsandbytes", "compressed-tensors", "fbgemm_fp8", "mxfp4", "quanto", "hqq", "aqlm", "torchao", "modelopt",
    ])
  func otherMethods(method: String) throws {
    let found = try found([], #"{"quantization_config": {"quant_method": "\#(method)"}}"#)
    #expect(found.map(\.code) == [.quantised])
    #expect(found[0].message == "the checkpoint is quantised by \(method), which cannot be extrapolated")
    #expect(found[0].file == "/aligned/config.json" && found[0].remedy?.hasPrefix("merge the unquantised checkpoint") == true)
  }

  @Test(
    "so are weights whose names tell, whatever the config says",
    arguments: [
      ("a.qweight", "GPTQ or AWQ"), ("a.weight_packed", "compressed-tensors"), ("a.weight.quant_map", "bitsandbytes"),
      ("a.weight.quant_state.bitsandbytes__nf4", "bitsandbytes"),
    ])
  func names(name: String, method: String) throws {
    for config in [nil, fp8] {
      let found = try found([(name, .u8, [4])], config)
      #expect(found.map(\.code) == [.quantised] && found[0].message.contains("by \(method)"), "\(found)")
    }
  }

  @Test("scales without a config say which file is missing")
  func noConfig() throws {
    let found = try found(BlockScalesTests.quantised, nil)
    #expect(found.map(\.code) == [.quantised] && found[0].remedy?.contains("config.json") == true)
  }
}
