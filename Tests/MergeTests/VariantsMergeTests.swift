import Coordinator
import Diagnostics
import FileIO
import Glibc
import Planning
import SystemPackage
import TestSupport
import Testing

@Suite("Merging with several alphas")
struct VariantsMergeTests {
  let workshop = Workshop()
  static let alphas = [0.1, 0.5, -0.25]
  /// Two files, of 13 and 4 shards.
  static func recipe(_ alphas: [Double] = alphas) -> Recipe { Recipe(alphas: alphas, maxFileSize: 500_000, shardSize: 65536) }

  init() {
    workshop.writeUsualPair()
    workshop.folder.write("code", to: "aligned/sub/code.py")
  }

  private func contents(_ name: String) -> [String: [UInt8]] {
    var files = workshop.contents(of: name)
    // They name paths, commands and times.
    for name in ["README.md", "report.html"] { #expect(files.removeValue(forKey: name) != nil) }
    files["sub/code.py"] = TemporaryFolder.contents(workshop.folder("\(name)/sub/code.py"))
    return files
  }

  /// Whether the output holds what merges with one alpha each give.
  private func isRight(sha256: Bool = false) throws -> Bool {
    var options = MergeJob.Options()
    options.sha256 = sha256
    for alpha in Self.alphas {
      let name = "single/alpha-\(alpha)"
      if !TemporaryFolder.exists(workshop.folder(name)) { try workshop.merge(Self.recipe([alpha]), to: name, options: options) }
      let (own, here) = (contents(name), contents("out/alpha-\(alpha)"))
      #expect(own.keys.sorted() == here.keys.sorted() && own.count == (sha256 ? 8 : 7))
      guard own == here else { return false }
    }
    return TemporaryFolder.names(in: workshop.output) == ["alpha-0.1", "alpha-0.5", "alpha--0.25", "report.html"]
  }

  @Test("each checkpoint is what a merge with its alpha gives, to the byte", arguments: [false, true])
  func same(sha256: Bool) throws {
    var options = MergeJob.Options()
    options.sha256 = sha256
    let outcome = try workshop.merge(Self.recipe(), options: options)
    #expect(try isRight(sha256: sha256))
    #expect(outcome.manifests.map(\.recipe.alphas) == Self.alphas.map { [$0] })
    #expect(try Manifest.folders(in: workshop.output).count == 3)
    do {
      _ = try Manifest.read(from: workshop.output)
      Issue.record("it has no manifest of its own")
    } catch {
      #expect(error.problems[0].remedy?.hasSuffix("alpha--0.25, alpha-0.1, alpha-0.5") == true)
    }
    for folder in try Manifest.folders(in: workshop.output) {
      let verification = try Verification(folder, context: RunContext(threads: 1))
      #expect(try verification.checkDigests().problems.isEmpty && verification.recompute().problems.isEmpty)
    }
  }

  @Test("inputs of which only some pages are looked at are told apart by the same pages")
  func large() throws {
    let values = (0..<400_000).map { Float($0 % 977) / 977 }
    workshop.writePair(aligned: [TensorBytes("w", values)], sft: [TensorBytes("w", values.map { $0 * 0.99 })])
    let outcome = try workshop.merge(Recipe(alphas: [0.1, 0.2]))
    for (alpha, manifest) in zip([0.1, 0.2], outcome.manifests) {
      #expect(try workshop.merge(Recipe(alpha: alpha), to: "single-\(alpha)").manifests == [manifest])
    }
  }

  @Test("results that are too large are counted for each alpha")
  func overflows() throws {
    func bytes(_ values: [Float16]) -> [UInt8] { values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian) { Array($0) } } }
    workshop.writePair(
      aligned: [TensorBytes("w", .f16, [4], bytes([60000, 50000, 1, -65000])), TensorBytes("v", .f16, [1], bytes([1]))],
      sft: [TensorBytes("w", .f16, [4], bytes([50000, 30000, 1, 0])), TensorBytes("v", .f16, [1], bytes([2]))])
    let outcome = try workshop.merge(Recipe(alphas: [0, 0.1, 1]))
    #expect(outcome.manifests.map(\.total.overflows) == [0, 1, 3])
    #expect(outcome.manifests.map(\.total.nonFiniteOutputs) == [0, 1, 3])
    #expect(outcome.warnings.filter { $0.code == .resultOverflows }.map(\.message).map { $0.prefix(22) } == ["1 results with alpha 0.", "3 results with alpha 1."].map { $0.prefix(22) })
    for (alpha, manifest) in zip([0, 0.1, 1.0], outcome.manifests) {
      let own = try workshop.merge(Recipe(alpha: alpha), to: "single-\(alpha)")
      #expect(own.manifests == [manifest])
    }
  }

  /// Merges up to the rename, which fails. All is done and synced.
  private func interrupt() throws {
    var calls = SystemCalls()
    calls.rename = { _, _ in
      errno = EIO
      return -1
    }
    let job = try MergeJob(
      plan: workshop.plan(Self.recipe()), output: workshop.output, context: RunContext(threads: 2), calls: calls)
    #expect(throws: Failure.self) { try job.run() }
    #expect(!TemporaryFolder.exists(workshop.output))
  }

  @Test("what is damaged in one of the checkpoints is computed again, and only that", arguments: [false, true])
  func resumed(trustsSynced: Bool) throws {
    try interrupt()
    let weights = workshop.partial.pushing("alpha-0.5/model-00002-of-00002.safetensors")
    var bytes = try #require(TemporaryFolder.contents(weights))
    bytes[70_000] ^= 1
    workshop.folder.write(bytes, to: "out.partial/alpha-0.5/model-00002-of-00002.safetensors")
    #expect(unlink(workshop.partial.pushing("alpha-0.1/model-00001-of-00002.safetensors").string) == 0)
    workshop.folder.write("not ours", to: "out.partial/alpha-0.1/other.bin")
    workshop.folder.write("not ours", to: "out.partial/alpha-9/other.bin")
    var options = MergeJob.Options()
    options.trustsSynced = trustsSynced
    let outcome = try workshop.merge(Self.recipe(), options: options)
    // A file that is gone in one is redone in all; of the other, the damage is not looked for where it is trusted.
    #expect(outcome.resumed == 17 && outcome.redone == (trustsSynced ? 13 : 14))
    #expect(try isRight() == !trustsSynced)
  }

  @Test("other alphas do not go on with it")
  func otherAlphas() throws {
    try interrupt()
    #expect(try codes { try workshop.merge(Self.recipe([0.1, 0.5])) } == [.recipeDiffers])
    #expect(try codes { try workshop.merge(Self.recipe([0.1])) } == [.recipeDiffers])
    try workshop.merge(Self.recipe())
    #expect(try isRight())
  }

  @Test("a checkpoint in the way that is a link is removed, and what it leads to is not touched")
  func linked() throws {
    try interrupt()
    let folder = workshop.partial.appending("alpha-0.1")
    #expect(rename(folder.string, workshop.folder("elsewhere").string) == 0)
    #expect(symlink(workshop.folder("elsewhere").string, folder.string) == 0)
    let before = workshop.contents(of: "elsewhere")
    try workshop.merge(Self.recipe())
    #expect(try isRight())
    #expect(workshop.contents(of: "elsewhere") == before)
  }

  @Test("the same merge again does nothing, unless one of the checkpoints is not whole")
  func complete() throws {
    try workshop.merge(Self.recipe())
    #expect(try workshop.merge(Self.recipe()).wasComplete)
    #expect(try codes { try workshop.merge(Self.recipe([0.1, 0.5])) } == [], "a part of it is there")
    #expect(try codes { try workshop.merge(Self.recipe([0.1, 0.3])) } == [.outputExists])
    #expect(unlink(workshop.output.pushing("alpha--0.25/config.json").string) == 0)
    #expect(try codes { try workshop.merge(Self.recipe()) } == [.outputExists])
    var options = MergeJob.Options()
    options.permissions.overwrite = true
    #expect(try !workshop.merge(Self.recipe(), options: options).wasComplete)
    #expect(try isRight())
    #expect(TemporaryFolder.names(in: workshop.folder.path) == ["aligned", "sft", "out", "single"])
  }
}
