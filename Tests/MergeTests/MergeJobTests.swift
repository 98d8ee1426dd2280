import Checkpoint
import Coordinator
import Deltas
import Diagnostics
import FileIO
import Glibc
import Planning
import SampleModels
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Worker

@Suite("Merging")
struct MergeJobTests {
  let workshop = Workshop()

  @Test("extrapolates from sft through aligned")
  func values() throws {
    workshop.writePair(
      aligned: [TensorBytes("w", [1, 2, 3, -4], shape: [2, 2])], sft: [TensorBytes("w", [0.5, 2, 5, 4], shape: [2, 2])])
    let outcome = try workshop.merge()
    #expect(try workshop.values("w") == [1.25, 2, 2, -8])
    #expect(outcome.statistics.total.unchanged == 1)
    #expect(outcome.statistics.total.largestDelta == 8)
    #expect(try Checkpoint.open(workshop.output).tensors[0].shape == [2, 2])
    #expect(!TemporaryFolder.exists(workshop.partial))
  }

  @Test("writes the same folder whatever the threads and the way of reading")
  func deterministic() throws {
    workshop.writeUsualPair()
    var options = MergeJob.Options()
    options.sha256 = true
    var folders: [[String: [UInt8]]] = []
    for (threads, method) in [(1, ReadMethod.mmap), (2, .pread), (7, .mmap), (16, .pread)] {
      options.permissions.overwrite = true
      try workshop.merge(options: options, context: RunContext(threads: threads, readMethod: method))
      var files = workshop.contents(of: "out")
      // It tells when what was done.
      #expect(files.removeValue(forKey: "report.html") != nil)
      folders.append(files)
    }
    #expect(folders[0].count >= 5)
    for folder in folders.dropFirst() { #expect(folder == folders[0]) }
  }

  @Test("gives the same weights whatever the shards")
  func shardSizes() throws {
    workshop.writeUsualPair()
    try workshop.merge(Recipe(alpha: 0.5, shardSize: 65536), to: "small")
    try workshop.merge(Recipe(alpha: 0.5), to: "large")
    let (small, large) = (workshop.contents(of: "small"), workshop.contents(of: "large"))
    #expect(small["model.safetensors"] == large["model.safetensors"])
  }

  @Test("writes a header that is larger than a shard")
  func largeHeader() throws {
    let names = (0..<1500).map { "model.layers.\($0).a_long_name_that_fills_the_header.weight" }
    workshop.writePair(aligned: names.map { TensorBytes($0, [1]) }, sft: names.map { TensorBytes($0, [2]) })
    let plan = try workshop.plan()
    #expect(plan.files[0].header.count > 2 * plan.recipe.shardSize)
    try workshop.merge()
    #expect(try workshop.values(names[700]) == [0.5])
    #expect(try Verification(workshop.output, context: RunContext(threads: 2)).recompute().problems.isEmpty)
  }

  @Test("copies what is not floating-point, and tells where the pair differs there")
  func copies() throws {
    workshop.writePair(
      aligned: [TensorBytes("w", [1]), TensorBytes("ids", .i64, [1], [1, 2, 3, 4, 5, 6, 7, 8])],
      sft: [TensorBytes("w", [2]), TensorBytes("ids", .i64, [1], [1, 2, 3, 4, 5, 6, 7, 9])])
    let outcome = try workshop.merge()
    let checkpoint = try Checkpoint.open(workshop.output)
    let ids = try #require(checkpoint.tensors.first { $0.name == "ids" })
    let bytes = try #require(TemporaryFolder.contents(checkpoint.path(of: ids.file)))
    #expect(Array(bytes[ids.range]) == [1, 2, 3, 4, 5, 6, 7, 8])
    #expect(outcome.warnings.contains { $0.code == .copiedTensorDiffers && $0.tensor == "ids" })
  }

  @Test("takes rows beyond the common vocabulary from aligned", arguments: [nil, DType.f64])
  func overlap(dtype: DType?) throws {
    workshop.writePair(
      aligned: [TensorBytes("lm_head.weight", [1, 2, 3, 4, 5, 6], shape: [3, 2])],
      sft: [TensorBytes("lm_head.weight", [0, 0, 0, 0], shape: [2, 2])])
    try workshop.merge(Recipe(alpha: 1, dtype: dtype, vocabulary: .overlap))
    if dtype == nil { #expect(try workshop.values("lm_head.weight") == [2, 4, 6, 8, 5, 6]) }
    #expect(try Checkpoint.open(workshop.output).tensors[0].dtype == dtype ?? .f32)
  }

  @Test("counts infinities, NaN and results that are too large")
  func counts() throws {
    workshop.writePair(
      aligned: [TensorBytes("w", [1, .infinity, .nan, 3e38, 1])], sft: [TensorBytes("w", [1, 1, 1, -3e38, .nan])])
    let total = try workshop.merge().statistics.total
    #expect(total.nonFiniteInputs == 3)
    #expect(total.overflows == 1)
    #expect(total.nonFiniteOutputs == 4)
  }

  @Test("warns of identical models and of models that are far apart")
  func warnings() throws {
    let one = (0..<1000).map { Float($0 % 17) - 8 }
    workshop.writePair(aligned: [TensorBytes("w", one)], sft: [TensorBytes("w", one)])
    #expect(try workshop.merge().warnings.map(\.code) == [.modelsIdentical])
    #expect(DeltaJudgement.warnings(about: try QuickLook.estimate(workshop.plan(), RunContext(threads: 1))).map(\.code) == [.modelsIdentical])
    workshop.writePair(aligned: [TensorBytes("w", one)], sft: [TensorBytes("w", one.reversed())])
    #expect(try workshop.merge(to: "other").warnings.map(\.code) == [.deltaTooLarge])
    #expect(DeltaJudgement.warnings(about: try QuickLook.estimate(workshop.plan(), RunContext(threads: 2))).map(\.code) == [.deltaTooLarge])
    workshop.writePair(aligned: [TensorBytes("w", one)], sft: [TensorBytes("w", one.map { $0 * 1.01 })])
    #expect(try workshop.merge(to: "third").warnings.isEmpty)
  }

  @Test("reports what was added, by each tensor's own alpha")
  func report() throws {
    workshop.writePair(
      aligned: [TensorBytes("a", [3]), TensorBytes("b", [4]), TensorBytes("c", [100])],
      sft: [TensorBytes("a", [2]), TensorBytes("b", [2]), TensorBytes("c", [1])])
    let rules = [AlphaRule(glob: "b", alphas: [0.25]), AlphaRule(glob: "c", alphas: [0])]
    try workshop.merge(Recipe(alpha: 0.5, rules: rules, shardSize: 65536))
    let page = String(decoding: TemporaryFolder.contents(workshop.output.appending("report.html")) ?? [], as: UTF8.self)
    // The root of 0.5²·1² + 0.25²·2², over that of 3² + 4².
    #expect(page.contains("<b>14.14 %</b><span>added by this merge</span>"))
    #expect(page.contains("0.5, in this recipe") && page.contains("0.25, in this recipe") && !page.contains("0.0, in this recipe"))
  }

  @Test("copies companions, rewrites the dtype and replaces the model card")
  func companions() throws {
    workshop.writePair(aligned: [TensorBytes("w", [1])], sft: [TensorBytes("w", [2])])
    workshop.folder.write("x", to: "aligned/sub/code.py")
    workshop.folder.write([UInt8](repeating: 0, count: 65 << 20), to: "aligned/corpus.txt")
    try workshop.merge(Recipe(alpha: 0.5, dtype: .bf16))
    #expect(
      TemporaryFolder.names(in: workshop.output)
        == ["model.safetensors", "config.json", "README.md", "expomerge.json", "report.html", "sub"])
    #expect(TemporaryFolder.contents(workshop.output.appending("config.json")) == Array(#"{"torch_dtype": "bfloat16"}"#.utf8))
    #expect(TemporaryFolder.contents(workshop.output.pushing("sub/code.py")) == Array("x".utf8))
    let card = String(decoding: TemporaryFolder.contents(workshop.output.appending("README.md")) ?? [], as: UTF8.self)
    #expect(card.hasPrefix("---\nbase_model:\n- \"aligned\"\n- \"sft\"\n"))
    #expect(try workshop.plan().aligned.skipped.map(\.path) == ["corpus.txt"])
  }

  @Test("gives files and folders the usual modes")
  func modes() throws {
    workshop.writePair(aligned: [TensorBytes("w", [1])], sft: [TensorBytes("w", [2])])
    let mask = umask(0o022)
    umask(mask)
    try workshop.merge()
    var info = stat()
    #expect(stat(workshop.output.string, &info) == 0 && info.st_mode & 0o777 == 0o777 & ~mask)
    #expect(
      stat(workshop.output.appending("model.safetensors").string, &info) == 0 && info.st_mode & 0o777 == 0o666 & ~mask)
  }

  // MARK: failures

  @Test("stops when cancelled, and leaves no output")
  func cancelled() throws {
    workshop.writeUsualPair()
    let cancellation = Cancellation()
    var calls = SystemCalls()
    let blocks = Atomic(0)
    calls.pwrite = { descriptor, buffer, count, offset in
      if blocks.wrappingAdd(1, ordering: .relaxed).newValue == 6 { cancellation.cancel() }
      return pwrite(descriptor, buffer, count, offset)
    }
    let context = RunContext(threads: 2, cancellation: cancellation)
    let job = try MergeJob(plan: workshop.plan(), output: workshop.output, context: context, calls: calls)
    #expect(try codes { _ = try job.run() } == [.interrupted])
    #expect(!TemporaryFolder.exists(workshop.output))
    #expect(TemporaryFolder.exists(workshop.partial.appending("model.safetensors")))
  }

  @Test("a full disk is known before anything is computed, and leaves nothing behind")
  func noSpace() throws {
    workshop.writeUsualPair()
    var calls = SystemCalls()
    calls.fallocate = { _, _, _, _ in
      errno = ENOSPC
      return -1
    }
    let job = try MergeJob(plan: workshop.plan(), output: workshop.output, context: RunContext(threads: 2), calls: calls)
    let failure = #expect(throws: Failure.self) { try job.run() }
    #expect(failure?.category == .cannotCreate)
    #expect(failure?.problems.first?.code == .noSpace)
    let message = failure?.problems.first?.message ?? ""
    #expect(message.hasPrefix("1.00 MB are still to be reserved"), "\(message)")
    #expect(TemporaryFolder.names(in: workshop.folder.path) == ["aligned", "sft"])
  }

  @Test("an error of the disk ends the merge, named, with no output", arguments: [EIO, ENOSPC])
  func writeError(number: Int32) throws {
    workshop.writeUsualPair()
    var calls = SystemCalls()
    let writes = Atomic(0)
    calls.pwrite = { descriptor, buffer, count, offset in
      if writes.wrappingAdd(1, ordering: .relaxed).newValue >= 6 {
        errno = number
        return -1
      }
      return pwrite(descriptor, buffer, count, offset)
    }
    let job = try MergeJob(plan: workshop.plan(), output: workshop.output, context: RunContext(threads: 2), calls: calls)
    let failure = #expect(throws: Failure.self) { try job.run() }
    #expect(failure?.category == .inputOutput)
    #expect(failure?.problems.first?.file == workshop.partial.appending("model.safetensors").string)
    #expect(!TemporaryFolder.exists(workshop.output))
  }

  @Test("a failed sync publishes nothing; without --sync nothing is synced")
  func syncError() throws {
    workshop.writeUsualPair()
    var calls = SystemCalls()
    calls.fdatasync = { _ in
      errno = EIO
      return -1
    }
    let job = try MergeJob(plan: workshop.plan(), output: workshop.output, context: RunContext(threads: 2), calls: calls)
    #expect(try codes { _ = try job.run() } == [.syncFailed])
    #expect(!TemporaryFolder.exists(workshop.output))
    var options = MergeJob.Options()
    options.sync = .none
    options.permissions.restart = true
    _ = try MergeJob(
      plan: workshop.plan(), output: workshop.output, options: options, context: RunContext(threads: 2), calls: calls
    ).run()
    #expect(TemporaryFolder.exists(workshop.output))
  }

  @Test("an input that becomes shorter is named, in both ways of reading", arguments: ReadMethod.allCases)
  func truncatedInput(method: ReadMethod) throws {
    workshop.writeUsualPair()
    let plan = try workshop.plan()
    let (aligned, sft) = (try InputFiles(of: plan.aligned, method: method), try InputFiles(of: plan.sft, method: method))
    #expect(truncate(workshop.sft.appending("model.safetensors").string, 300_000) == 0)
    var executor = ShardExecutor(plan: plan, aligned: aligned, sft: sft)
    var failures: [Failure] = []
    for number in 0..<plan.shardCount {
      do throws(Failure) { _ = try executor.compute(plan.shard(number), into: NoSink()) } catch { failures.append(error) }
    }
    #expect(!failures.isEmpty && failures.count < plan.shardCount)
    for failure in failures {
      #expect(failure.problems.first?.code == .fileTruncated)
      #expect(failure.problems.first?.file == workshop.sft.appending("model.safetensors").string)
    }
  }

  @Test("an input whose size changed since it was planned is refused")
  func changedInput() throws {
    workshop.writeUsualPair()
    let plan = try workshop.plan()
    #expect(truncate(workshop.sft.appending("model.safetensors").string, 300_000) == 0)
    let job = MergeJob(plan: plan, output: workshop.output, context: RunContext(threads: 1))
    #expect(try codes { _ = try job.run() } == [.inputChanged])
    #expect(TemporaryFolder.names(in: workshop.folder.path) == ["aligned", "sft"])
  }
}
