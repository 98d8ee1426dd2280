import Checkpoint
import Coordinator
import Diagnostics
import Planning
import SampleModels
import SystemPackage
import TestSupport
import Testing

@Suite("Samples")
struct SampleTests {
  let workshop = Workshop()

  @Test("are pairs that merge without a warning", arguments: SamplePair.Element.allCases)
  func merges(element: SamplePair.Element) throws {
    try SamplePair(shape: .tiny, element: element, seed: 1).write(to: workshop.folder("sample"), threads: 2)
    let plan = try Plan(
      aligned: Checkpoint.open(workshop.folder("sample/aligned")), sft: Checkpoint.open(workshop.folder("sample/sft")),
      recipe: Recipe(alpha: 0.3))
    let outcome = try MergeJob(plan: plan, output: workshop.output, context: RunContext(threads: 2)).run()
    #expect(outcome.warnings.isEmpty)
    let norm = try #require(outcome.statistics.total.relativeNorm)
    #expect(norm > 0.0005 && norm < 0.02)
    #expect(outcome.statistics.modules.contains { $0.name == "self_attn.q_proj" })
  }

  @Test("depend on the seed and not on the threads")
  func deterministic() throws {
    for (name, seed, threads) in [("a", UInt64(1), 1), ("b", 1, 5), ("c", 2, 1)] {
      try SamplePair(shape: .tiny, seed: seed).write(to: workshop.folder(name), threads: threads)
    }
    let weights = ["a", "b", "c"].map { TemporaryFolder.contents(workshop.folder($0 + "/sft/model.safetensors")) }
    #expect(weights[0] == weights[1])
    #expect(weights[0] != weights[2])
    #expect(try codes { try SamplePair(shape: .tiny).write(to: workshop.folder("a"), threads: 1) } == [.sampleExists])
  }

  @Test(
    "have as many parameters as the models they are named after",
    arguments: [
      (ModelShape.llama1B, 1_100_048_384), (.llama7B, 6_738_415_616), (.llama70B, 68_976_648_192),
      (.deepseek671B, 671_026_419_200),
    ])
  func parameters(shape: ModelShape, count: Int) {
    #expect(shape.tensors.reduce(0) { $0 + $1.shape.reduce(1, *) } == count)
  }

  @Test("of 70 billion parameters cost nothing when they are sparse")
  func sparse() throws {
    try SamplePair(shape: .llama70B, isSparse: true).write(to: workshop.folder("big"), threads: 2)
    let checkpoint = try Checkpoint.open(workshop.folder("big/aligned"))
    #expect(checkpoint.tensors.count == 723)
    #expect(checkpoint.files.count == 29)
    #expect(checkpoint.warnings.isEmpty)
    let plan = try Plan(
      aligned: checkpoint, sft: Checkpoint.open(workshop.folder("big/sft")), recipe: Recipe(alpha: 0.3))
    #expect(plan.parameterCount == 68_976_648_192)
  }
}
