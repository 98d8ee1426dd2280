import Checkpoint
@testable import Coordinator
import Diagnostics
import Dispatch
import FileIO
import Glibc
import Journal
import Planning
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Transport
import ZeroMQ

@Suite("Going on with a merge")
struct ResumeTests {
  let workshop = Workshop()
  /// Two files, of 13 and 4 shards.
  static let recipe = Recipe(alpha: 0.5, maxFileSize: 500_000, shardSize: 65536)
  static let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]

  init() {
    workshop.writeUsualPair()
    workshop.folder.write("code", to: "aligned/sub/code.py")
    workshop.folder.write("notes", to: "aligned/notes.txt")
  }

  private func run(_ options: MergeJob.Options = .init(), calls: SystemCalls = .live) throws -> MergeJob.Outcome {
    try MergeJob(
      plan: workshop.plan(Self.recipe), output: workshop.output, options: options, context: RunContext(threads: 2),
      calls: calls
    ).run()
  }

  /// Merges up to the rename, which fails. All is done and synced.
  private func interrupt(_ options: MergeJob.Options = .init()) throws {
    var calls = SystemCalls()
    calls.rename = { _, _ in
      errno = EIO
      return -1
    }
    #expect(throws: Failure.self) { try run(options, calls: calls) }
    #expect(!TemporaryFolder.exists(workshop.output) || options.permissions.overwrite)
  }

  private func weights(_ file: Int = 0) -> FilePath { workshop.partial.appending(Self.names[file]) }

  /// Whether the output is what the merge gives when nothing disturbs it.
  private func isRight() throws -> Bool {
    try contents("out") == Self.undisturbed.get()
      && Verification(workshop.output, context: RunContext(threads: 1)).checkDigests().problems.isEmpty
  }

  private static let undisturbed = Result {
    let undisturbed = ResumeTests()
    _ = try undisturbed.run()
    return undisturbed.contents("out")
  }

  /// But for what names paths or times.
  private func contents(_ name: String) -> [String: [UInt8]] {
    var files = workshop.contents(of: name)
    for name in ["README.md", "report.html", Manifest.fileName] { files[name] = nil }
    files["sub/code.py"] = TemporaryFolder.contents(workshop.folder("\(name)/sub/code.py"))
    return files
  }

  // MARK: what is left is not believed

  enum Tampering: String, CaseIterable {
    case nothing, flipped, flippedHeader, truncated, truncatedToNothing, extended, removed, replaced, folder, fullFolder
    case link, danglingLink, hardLink, pipe

    /// Shards of the first file, of which there are 13, that have to be computed again.
    var redone: Int {
      switch self {
      case .nothing, .extended: 0
      case .flipped, .flippedHeader: 1
      case .truncated: 11
      default: 13
      }
    }
  }

  private func tamper(_ tampering: Tampering) throws {
    let (file, victim) = (weights().string, workshop.folder("victim"))
    switch tampering {
    case .nothing: break
    case .flipped: try flip(at: 5 * 65536 + 77)
    case .flippedHeader: try flip(at: 9)
    case .truncated: #expect(truncate(file, 2 * 65536 + 1) == 0)
    case .truncatedToNothing: #expect(truncate(file, 0) == 0)
    case .extended:
      let size = try #require(TemporaryFolder.contents(weights())).count
      #expect(truncate(file, size + 100_000) == 0)
    case .removed: unlink(file)
    case .replaced:
      let size = try #require(TemporaryFolder.contents(weights())).count
      unlink(file)
      workshop.folder.write([UInt8](repeating: 7, count: size), to: "out.partial/\(Self.names[0])")
    case .folder, .fullFolder:
      unlink(file)
      workshop.folder.makeFolder(weights())
      if tampering == .fullFolder { workshop.folder.write("x", to: "out.partial/\(Self.names[0])/x") }
    case .link, .hardLink:
      unlink(file)
      workshop.folder.write([UInt8](repeating: 7, count: 900_000), to: "victim")
      #expect((tampering == .link ? symlink(victim.string, file) : link(victim.string, file)) == 0)
    case .danglingLink:
      unlink(file)
      #expect(symlink(victim.string, file) == 0)
    case .pipe:
      unlink(file)
      #expect(mkfifo(file, 0o666) == 0)
    }
  }

  private func flip(at byte: Int, of file: Int = 0) throws {
    let stream = try #require(fopen(weights(file).string, "r+"))
    defer { fclose(stream) }
    fseek(stream, byte, SEEK_SET)
    let old = fgetc(stream)
    fseek(stream, byte, SEEK_SET)
    fputc(old ^ 1, stream)
  }

  @Test("whatever happened to a file: its shards are computed again, and no others", arguments: Tampering.allCases)
  func tampered(tampering: Tampering) throws {
    try interrupt()
    try tamper(tampering)
    let outcome = try run()
    #expect((outcome.resumed, outcome.redone) == (17, tampering.redone))
    #expect(try isRight())
    #expect(!TemporaryFolder.exists(workshop.partial))
    // Nothing was written through a link.
    switch tampering {
    case .link, .hardLink:
      #expect(TemporaryFolder.contents(workshop.folder("victim")) == [UInt8](repeating: 7, count: 900_000))
    default: #expect(!TemporaryFolder.exists(workshop.folder("victim")))
    }
  }

  @Test(
    "trust in what was synced ends where a file is not what it was",
    arguments: [Tampering.nothing, .flipped, .truncated, .extended, .removed, .replaced, .link]
  )
  func trusting(tampering: Tampering) throws {
    try interrupt()
    try tamper(tampering)
    var options = MergeJob.Options()
    options.trustsSynced = true
    let outcome = try run(options)
    // That is what trust means: only another size tells.
    let isBelieved = [.flipped, .flippedHeader, .replaced].contains(tampering)
    #expect((outcome.resumed, outcome.redone) == (17, isBelieved ? 0 : tampering.redone))
    #expect(try isRight() == !isBelieved)
  }

  @Test("a synced file of which shards are computed again is no longer synced")
  func syncedAgain() throws {
    try interrupt()
    try flip(at: 5 * 65536)
    // Read back and repaired, but not synced.
    var calls = SystemCalls()
    calls.fdatasync = { _ in
      errno = ENOSPC
      return -1
    }
    #expect(throws: Failure.self) { try run(calls: calls) }
    try flip(at: 5 * 65536)
    var options = MergeJob.Options()
    options.trustsSynced = true
    _ = try run(options)
    #expect(try Verification(workshop.output, context: RunContext(threads: 2)).checkDigests().problems.isEmpty)
  }

  @Test("what an earlier run has put beside the weights is made anew")
  func beside() throws {
    var options = MergeJob.Options()
    options.sha256 = true
    try interrupt(options)
    for name in ["SHA256SUMS", "notes.txt", "sub/code.py"] { #expect(TemporaryFolder.exists(workshop.folder("out.partial/\(name)"))) }
    unlink(workshop.folder("aligned/notes.txt").string)
    workshop.folder.write("stray", to: "out.partial/model-00003-of-00003.safetensors")
    // Links to where nothing must be written.
    workshop.folder.write("mine", to: "victim/code.py")
    workshop.folder.write("mine", to: "victim/config.json")
    unlink(workshop.folder("out.partial/sub/code.py").string)
    rmdir(workshop.folder("out.partial/sub").string)
    symlink(workshop.folder("victim").string, workshop.folder("out.partial/sub").string)
    unlink(workshop.folder("out.partial/config.json").string)
    symlink(workshop.folder("victim/config.json").string, workshop.folder("out.partial/config.json").string)
    let outcome = try run()
    #expect((outcome.resumed, outcome.redone) == (17, 0))
    #expect(try contents("out") == Self.undisturbed.get().filter { $0.key != "notes.txt" })
    for name in ["code.py", "config.json"] {
      #expect(TemporaryFolder.contents(workshop.folder("victim/\(name)")) == Array("mine".utf8))
    }
  }

  @Test("nothing is written through links in the merge's own folder", arguments: ["", "/lock", "/nonce", "/journal.sqlite"])
  func ownLinks(name: String) throws {
    try interrupt()
    let own = workshop.folder("out.partial/.expomerge\(name)")
    #expect(rename(own.string, workshop.folder("moved").string) == 0)
    #expect(symlink(workshop.folder("moved").string, own.string) == 0)
    let before = workshop.contents(of: name.isEmpty ? "moved" : ".")
    let failure = #expect(throws: Failure.self) { try run() }
    #expect(failure?.category == .cannotCreate && failure?.problems[0].file == own.string)
    #expect(workshop.contents(of: name.isEmpty ? "moved" : ".") == before)
    unlink(own.string)
    #expect(rename(workshop.folder("moved").string, own.string) == 0)
    #expect(try run().resumed == 17)
  }

  // MARK: what was asked for must be the same

  @Test(
    "another recipe is refused, and told",
    arguments: [
      (Recipe(alpha: 0.25, maxFileSize: 500_000, shardSize: 65536), "alpha was 0.5 and is 0.25"),
      (Recipe(alpha: 0.5, dtype: .bf16, maxFileSize: 500_000, shardSize: 65536), "dtype was that of aligned and is BF16"),
      (Recipe(alpha: 0.5, maxFileSize: 500_000, shardSize: 131072), "the shard size was 65536 and is 131072"),
      (Recipe(alpha: 0.5, maxFileSize: 900_000, shardSize: 65536), "the largest file size was 500000 and is 900000"),
    ])
  func otherRecipe(recipe: Recipe, words: String) throws {
    try interrupt()
    let before = workshop.contents(of: "out.partial")
    let failure = #expect(throws: Failure.self) { try workshop.merge(recipe) }
    #expect(failure?.category == .cannotCreate)
    #expect(failure?.problems.map(\.code) == [.recipeDiffers])
    #expect(failure?.problems[0].message.contains(words) == true, "\(failure?.problems[0].message ?? "")")
    #expect(failure?.problems[0].remedy?.contains("--restart") == true)
    #expect(workshop.contents(of: "out.partial") == before)
    #expect(try run().resumed == 17)
  }

  @Test("changed inputs are refused, and named", arguments: ["aligned", "sft"], [false, true])
  func changedInput(side: String, isHeader: Bool) throws {
    // Large enough that fingerprints look at some pages only.
    let count = 1009 * 300
    func write(_ seed: Int, _ metadata: [String: String] = [:], to side: String) {
      let header = SafetensorsHeader.encode(
        tensors: [.init(name: "w", dtype: .f32, shape: [count], range: 0..<count * 4)], metadata: metadata, alignment: 1)
      // Different pages hold different bytes.
      let block = (0..<1009).map { UInt8(($0 + seed) % 100) }
      workshop.folder.write(header + [[UInt8]](repeating: block, count: 1200).flatMap { $0 }, to: "\(side)/model.safetensors")
    }
    write(1, to: "aligned")
    write(2, to: "sft")
    try interrupt()
    let original = try #require(TemporaryFolder.contents(workshop.folder("\(side)/model.safetensors")))
    // A longer header gives another plan, for the same tensors.
    let seed = side == "aligned" ? 1 : 2
    if isHeader { write(seed, ["made": "again"], to: side) } else { write(seed + 2, to: side) }
    let failure = #expect(throws: Failure.self) { try run() }
    #expect(failure?.category == .badData)
    #expect(failure?.problems.map(\.code) == [.inputChanged])
    #expect(failure?.problems.map(\.file) == [workshop.folder("\(side)/model.safetensors").string])
    #expect(failure?.problems[0].remedy?.contains("--restart") == true)
    workshop.folder.write(original, to: "\(side)/model.safetensors")
    let outcome = try run()
    #expect(outcome.resumed > 0 && outcome.redone == 0)
  }

  @Test("restart begins again, with whatever is asked for then")
  func restart() throws {
    try interrupt()
    workshop.write([TensorBytes("w", [1, 2, 3])], to: "aligned")
    workshop.write([TensorBytes("w", [1, 1, 1])], to: "sft")
    #expect(try codes { _ = try run() } == [.inputChanged, .inputChanged])
    var options = MergeJob.Options()
    options.permissions.restart = true
    #expect(try run(options).resumed == 0)
    #expect(try workshop.values("w") == [1, 2.5, 4])
  }

  @Test("a merge of another pair of that shape is not the one whose publishing was interrupted")
  func publishedOther() throws {
    try interrupt()
    #expect(rename(workshop.partial.string, workshop.output.string) == 0)
    workshop.writePair(aligned: [TensorBytes("w", [1])], sft: [TensorBytes("w", [2])])
    workshop.writeUsualPair()
    try flipInput()
    #expect(try codes { _ = try run() } == [.outputExists])
    #expect(!TemporaryFolder.exists(workshop.folder("out/.expomerge")))
  }

  private func flipInput() throws {
    let path = workshop.sft.appending("model.safetensors")
    var contents = try #require(TemporaryFolder.contents(path))
    contents[contents.count - 5] ^= 1
    workshop.folder.write(contents, to: "sft/model.safetensors")
  }

  @Test("a folder that somebody renamed by hand: complete it is finished, and else keeps its journal", arguments: [true, false])
  func renamedByHand(isComplete: Bool) throws {
    if isComplete { try interrupt() } else { try cancel(after: 6) }
    #expect(rename(workshop.partial.string, workshop.output.string) == 0)
    if isComplete {
      #expect(try run().resumed == 17)
      #expect(!TemporaryFolder.exists(workshop.folder("out/.expomerge")))
    } else {
      #expect(try codes { _ = try run() } == [.outputExists])
      #expect(rename(workshop.output.string, workshop.partial.string) == 0)
      let outcome = try run()
      #expect(outcome.resumed > 0 && outcome.redone == 0)
    }
    #expect(try isRight())
  }

  /// Stops a merge after some blocks.
  private func cancel(after count: Int) throws {
    let (cancellation, blocks) = (Cancellation(), Blocks())
    var calls = SystemCalls()
    calls.pwrite = { descriptor, buffer, size, offset in
      if blocks.next() == count { cancellation.cancel() }
      return pwrite(descriptor, buffer, size, offset)
    }
    let job = try MergeJob(
      plan: workshop.plan(Self.recipe), output: workshop.output, context: RunContext(threads: 1, cancellation: cancellation),
      calls: calls)
    #expect(try codes { _ = try job.run() } == [.interrupted])
  }

  private final class Blocks: Sendable {
    private let count = Atomic(0)
    func next() -> Int { count.wrappingAdd(1, ordering: .relaxed).newValue }
  }

  // MARK: the disk

  @Test("the old output survives what comes between two renames, and is replaced by the next run")
  func betweenRenames() throws {
    workshop.folder.write("old", to: "out/model.safetensors")
    var options = MergeJob.Options()
    options.permissions.overwrite = true
    var calls = SystemCalls()
    calls.exchange = { _, _ in
      errno = EINVAL
      return -1
    }
    // As if the process had ended after the first rename.
    let renames = Blocks()
    calls.rename = { from, to in
      if renames.next() == 1 { return rename(from, to) }
      errno = EIO
      return -1
    }
    #expect(throws: Failure.self) { try run(options, calls: calls) }
    #expect(workshop.contents(of: "out.replaced") == ["model.safetensors": Array("old".utf8)])
    #expect(!TemporaryFolder.exists(workshop.output))
    calls.rename = { rename($0, $1) }
    #expect(try run(options, calls: calls).redone == 0)
    #expect(try isRight())
    #expect(TemporaryFolder.names(in: workshop.folder.path) == ["aligned", "sft", "out"])
  }

  /// fdatasync(2) that fails some times for weights; counts calls.
  private func failingSync(_ times: Int, _ number: Int32 = EIO, of name: String = ".safetensors") -> SystemCalls {
    var calls = SystemCalls()
    let failures = Blocks()
    calls.fdatasync = { descriptor in
      var path = [CChar](repeating: 0, count: 4096)
      readlink("/proc/self/fd/\(descriptor)", &path, path.count - 1)
      let isMeant = String(decoding: path.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).hasSuffix(name)
      if isMeant, failures.next() <= times {
        errno = number
        return -1
      }
      return fdatasync(descriptor)
    }
    return calls
  }

  @Test("what could not be synced is computed again before it is synced again")
  func failedSync() throws {
    let bytes = Blocks()
    var calls = failingSync(1, of: Self.names[1])
    let writes = Mutex<[String: Int]>([:])
    calls.pwrite = { descriptor, buffer, size, offset in
      _ = bytes.next()
      var path = [CChar](repeating: 0, count: 4096)
      readlink("/proc/self/fd/\(descriptor)", &path, path.count - 1)
      let name = String(decoding: path.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      writes.withLock { $0[String(name.split(separator: "/").last ?? ""), default: 0] += size }
      return pwrite(descriptor, buffer, size, offset)
    }
    let outcome = try run(calls: calls)
    #expect((outcome.resumed, outcome.redone) == (0, 0))
    #expect(try isRight())
    let sizes = try Self.names.map { try Self.undisturbed.get()[$0]?.count ?? 0 }
    #expect(writes.withLock { [$0[Self.names[0]], $0[Self.names[1]]] } == [sizes[0], 2 * sizes[1]])
  }

  @Test("a sync that keeps failing ends the merge; its shards are computed again by the next run", arguments: [EIO, ENOSPC])
  func alwaysFailingSync(number: Int32) throws {
    let failure = #expect(throws: Failure.self) { try run(calls: failingSync(.max, number, of: Self.names[1])) }
    #expect(failure?.category == .inputOutput)
    #expect(failure?.problems[0].code == (number == EIO ? .syncFailed : .noSpace))
    #expect(failure?.problems[0].file == weights(1).string)
    #expect(!TemporaryFolder.exists(workshop.output))
    // The page cache still has them, but that is no proof.
    let outcome = try run()
    #expect((outcome.resumed, outcome.redone) == (13, 0))
    #expect(try isRight())
  }

  @Test("a file beside the weights that cannot be synced is written anew before that is tried again")
  func failedSyncBeside() throws {
    let failure = #expect(throws: Failure.self) { try run(calls: failingSync(1, of: "config.json")) }
    #expect(failure?.problems.map(\.code) == [.syncFailed])
    #expect(try run().resumed == 17)
  }

  // MARK: a coordinator in this process

  /// Without workers.
  private func coordinator(_ state: borrowing StateFolder, calls: SystemCalls = .live) throws -> CoordinatorService {
    var configuration = CoordinatorService.Configuration()
    configuration.epoch = state.epoch
    configuration.journal = state.journal
    configuration.nextJob = try state.journal.nextJobNumber()
    configuration.calls = calls
    configuration.context = RunContext(threads: 1)
    let service = CoordinatorService(
      configuration, context: Context(), loop: EventLoop(name: "test"), logger: .init(label: "test"))
    let endpoint = try Endpoint("inproc://resume-\(UInt64.random(in: 0...UInt64.max))")
    try service.listen([.init(control: endpoint, data: endpoint.dataEndpoint)])
    return service
  }

  /// Reads of inputs that wait until they may go on.
  private func waitingReads(_ gate: DispatchSemaphore, _ isWaiting: DispatchSemaphore) -> SystemCalls {
    var calls = SystemCalls()
    let reads = Blocks()
    calls.pread = { descriptor, buffer, count, offset in
      if reads.next() == 1 {
        isWaiting.signal()
        gate.wait()
      }
      return pread(descriptor, buffer, count, offset)
    }
    return calls
  }

  private func wait(until isDone: () throws -> Bool) rethrows {
    while try !isDone() { usleep(1000) }
  }

  @Test("a job that takes long to prepare gets its number after later ones", .timeLimit(.minutes(10)))
  func slowPreparation() throws {
    let state = try StateFolder.open(workshop.folder("state"))
    let (gate, isWaiting) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    let service = try coordinator(state, calls: waitingReads(gate, isWaiting))
    let failures = Mutex<[String]>([])
    for number in 1...2 {
      let id = service.submit(try workshop.plan(), output: workshop.folder("out\(number)"), options: .init()) { result in
        if case .failure(let failure) = result { failures.withLock { $0.append("\(failure)") } }
      }
      #expect(id.number == number)
      if number == 1 { isWaiting.wait() }
    }
    try wait { try state.journal.jobs().count == 1 }
    gate.signal()
    try wait { try state.journal.jobs().count == 2 || failures.withLock { !$0.isEmpty } }
    #expect(failures.withLock { $0 } == [])
    #expect(try state.journal.jobs().map(\.number) == [1, 2])
    #expect(try state.journal.jobs().map(\.output) == ["out1", "out2"].map { workshop.folder($0).string })
    service.stop()
    service.finishThreads()
  }

  @Test("a job that is cancelled while it is prepared does not begin at the next start", .timeLimit(.minutes(10)))
  func cancelledPreparation() throws {
    let state = try StateFolder.open(workshop.folder("state"))
    let (gate, isWaiting) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    let service = try coordinator(state, calls: waitingReads(gate, isWaiting))
    let isOver = DispatchSemaphore(value: 0)
    let id = service.submit(try workshop.plan(), output: workshop.output, options: .init()) { _ in isOver.signal() }
    isWaiting.wait()
    service.cancel(id)
    gate.signal()
    isOver.wait()
    #expect(try state.journal.jobs().map(\.state) == [.cancelled])
    #expect(!TemporaryFolder.exists(workshop.partial))
    service.stop()
    service.finishThreads()
  }
}
