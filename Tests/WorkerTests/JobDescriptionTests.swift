import Checkpoint
import Diagnostics
import Planning
import Testing

@Suite struct JobDescriptionTests {
  func plan(ties: Bool = false) throws -> Plan {
    func checkpoint() throws -> Checkpoint {
      var start = 64
      let tensors = [("a.weight", [3, 5]), ("b.weight", [7]), ("empty", [0, 4])].map { name, shape in
        defer { start += shape.reduce(1, *) * 2 }
        return Checkpoint.Tensor(
          name: name, dtype: .bf16, shape: shape, file: 0, range: start..<start + shape.reduce(1, *) * 2)
      }
      let config = ties ? try ModelConfig(json: Array(#"{"tie_word_embeddings": true}"#.utf8), file: "c") : nil
      return Checkpoint(
        folder: "/somewhere", files: [.init(name: "model.safetensors", size: start, dataStart: 64)], tensors: tensors, config: config)
    }
    return try Plan(aligned: checkpoint(), sft: checkpoint(), recipe: Recipe(alpha: 0.25, shardSize: 65536))
  }

  @Test("a plan made again from its description is the same", arguments: [false, true])
  func roundTrip(ties: Bool) throws {
    let plan = try plan(ties: ties)
    let again = try JobDescription.plan(from: JobDescription(plan).encoded())
    #expect(again.fingerprint == plan.fingerprint)
    #expect(again.files.map(\.header) == plan.files.map(\.header))
    #expect(again.segments(of: again.shard(0)) == plan.segments(of: plan.shard(0)))
  }

  @Test(
    "what contradicts itself is refused",
    arguments: [
      (#""end":94"#, #""end":96"#), (#""shape":[3,5]"#, #""shape":[3,-5]"#),
      (#""shape":[3,5]"#, #""shape":[4611686018427387904,5]"#), (#""file":0"#, #""file":1"#),
      (#""start":64"#, #""start":0"#), (#""name":"b.weight""#, #""name":"a.weight""#), (#""dtype":"BF16""#, #""dtype":"BF17""#),
      (#""name":"model.safetensors""#, #""name":"../model""#), (#""bytes":108"#, #""bytes":9223372036854775807"#),
      (#""files":["#, #""files":[],"more":["#),
    ])
  func refused(text: String, replacement: String) throws {
    let description = String(decoding: JobDescription(try plan()).encoded(), as: UTF8.self)
    #expect(description.contains(text), "\(description)")
    let changed = description.replacing(text, with: replacement)
    #expect(throws: Failure.self) { try JobDescription.plan(from: Array(changed.utf8)) }
  }

  @Test("what is no description is refused", arguments: ["", "null", "{}", "[1]"])
  func nonsense(text: String) {
    #expect(throws: Failure.self) { try JobDescription.plan(from: Array(text.utf8)) }
  }
}
