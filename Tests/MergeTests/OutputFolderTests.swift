import Checkpoint
@testable import Coordinator
import Diagnostics
import FileIO
import Glibc
import Planning
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite("The output's place")
struct OutputFolderTests {
  let workshop = Workshop()

  @Test("never replaces an output that exists, unless asked to")
  func existing() throws {
    workshop.writePair(aligned: [TensorBytes("w", [1])], sft: [TensorBytes("w", [2])])
    workshop.folder.write("mine", to: "out/notes.txt")
    workshop.folder.write("old", to: "out/model.safetensors")
    #expect(try codes { try workshop.merge() } == [.outputExists])
    #expect(TemporaryFolder.names(in: workshop.output) == ["notes.txt", "model.safetensors"])
    var options = MergeJob.Options()
    options.permissions.overwrite = true
    try workshop.merge(options: options)
    #expect(try workshop.values("w") == [0.5])
    #expect(!TemporaryFolder.exists(workshop.output.appending("notes.txt")))
    #expect(TemporaryFolder.names(in: workshop.folder.path) == ["aligned", "sft", "out"])
  }

  @Test("replaces nothing but a checkpoint, even when asked to")
  func notACheckpoint() throws {
    workshop.writePair(aligned: [TensorBytes("w", [1])], sft: [TensorBytes("w", [2])])
    workshop.folder.write("mine", to: "home/notes.txt")
    workshop.folder.write("mine", to: "file")
    symlink("nowhere", workshop.folder("dangling").string)
    var options = MergeJob.Options()
    options.permissions = .init(overwrite: true, restart: true)
    for name in ["home", "file", "file/below", "dangling", "missing/.."] {
      let failure = #expect(throws: Failure.self, "\(name)") { try workshop.merge(to: name, options: options) }
      #expect(failure?.category == .cannotCreate, "\(name)")
    }
    let empty = try MergeJob(plan: workshop.plan(), output: "", options: options, context: RunContext(threads: 1))
    #expect(try codes { _ = try empty.run() } == [.outputExists])
    #expect(TemporaryFolder.names(in: workshop.folder.path) == ["aligned", "sft", "home", "file", "dangling"])
    #expect(workshop.contents(of: "home") == ["notes.txt": Array("mine".utf8)])
  }

  @Test("replaces a checkpoint where the filesystem cannot let two folders change places")
  func overwriteWithoutExchange() throws {
    workshop.writePair(aligned: [TensorBytes("w", [1])], sft: [TensorBytes("w", [2])])
    workshop.folder.write("old", to: "out/model.safetensors")
    var calls = SystemCalls()
    calls.exchange = { _, _ in
      errno = EINVAL
      return -1
    }
    var options = MergeJob.Options()
    options.permissions.overwrite = true
    func job() throws -> MergeJob {
      try MergeJob(plan: workshop.plan(), output: workshop.output, options: options, context: RunContext(threads: 1), calls: calls)
    }
    _ = try job().run()
    #expect(try workshop.values("w") == [0.5])
    #expect(TemporaryFolder.names(in: workshop.folder.path) == ["aligned", "sft", "out"])

    // The second rename fails: the old output stays, and the new one is complete beside it.
    let renames = Atomic(0)
    calls.rename = { from, to in
      if renames.wrappingAdd(1, ordering: .relaxed).newValue == 2 {
        errno = EIO
        return -1
      }
      return rename(from, to)
    }
    let failure = #expect(throws: Failure.self) { try job().run() }
    #expect(failure?.problems.first?.remedy?.contains("complete in") == true)
    #expect(try workshop.values("w") == [0.5])
    #expect(try workshop.values("w", in: "out.partial") == [0.5])
  }

  @Test("follows a link to where the output is to be")
  func linkedOutput() throws {
    workshop.writePair(aligned: [TensorBytes("w", [1])], sft: [TensorBytes("w", [2])])
    workshop.folder.makeFolder(workshop.folder("disk/models"))
    symlink("disk/models", workshop.folder("link").string)
    try workshop.merge(to: "link/out")
    #expect(try workshop.values("w", in: "disk/models/out") == [0.5])
    // `..` behind a link is where the kernel says that it is.
    try workshop.merge(to: "link/../other")
    #expect(try workshop.values("w", in: "disk/other") == [0.5])
  }

  @Test("takes an empty folder for its output")
  func emptyFolder() throws {
    workshop.writePair(aligned: [TensorBytes("w", [1])], sft: [TensorBytes("w", [2])])
    workshop.folder.makeFolder(workshop.output)
    try workshop.merge()
    #expect(try workshop.values("w") == [0.5])
  }

  @Test("never throws away what an interrupted merge left, unless asked to")
  func leftOver() throws {
    workshop.writePair(aligned: [TensorBytes("w", [1])], sft: [TensorBytes("w", [2])])
    workshop.folder.write("half", to: "out.partial/model.safetensors")
    var options = MergeJob.Options()
    options.permissions.restart = true
    // Somebody else's folder of that name is not even discarded on demand.
    #expect(try codes { try workshop.merge(options: options) } == [.partialExists])
    workshop.folder.write("process 1", to: "out.partial/.expomerge/lock")
    #expect(try codes { try workshop.merge() } == [.partialExists])
    #expect(TemporaryFolder.exists(workshop.partial.appending("model.safetensors")))
    try workshop.merge(options: options)
    #expect(!TemporaryFolder.exists(workshop.partial))
  }

  @Test("does not disturb another merge into the same folder, even with --restart")
  func concurrent() throws {
    workshop.writePair(aligned: [TensorBytes("w", [1])], sft: [TensorBytes("w", [2])])
    let other = try OutputFolder.create(workshop.output, inputs: [], permissions: .init())
    var options = MergeJob.Options()
    options.permissions.restart = true
    #expect(try codes { try workshop.merge(options: options) } == [.locked])
    #expect(TemporaryFolder.exists(workshop.partial))
    other.discard()
    #expect(!TemporaryFolder.exists(workshop.partial))
  }

  @Test("refuses an output that is an input, holds one or lies in one", arguments: ["aligned", "sft", "aligned/sub/out", "."])
  func outputIsInput(name: String) throws {
    workshop.writePair(aligned: [TensorBytes("w", [1])], sft: [TensorBytes("w", [2])])
    var options = MergeJob.Options()
    options.permissions.overwrite = true
    #expect(try codes { try workshop.merge(to: name, options: options) } == [.outputIsInput])
    #expect(try Checkpoint.open(workshop.aligned).tensors.count == 1)
  }

  @Test("refuses an input in the place of the partial folder, or linked to from one")
  func inputInTheWay() throws {
    workshop.writePair(aligned: [TensorBytes("w", [1])], sft: [TensorBytes("w", [2])])
    var options = MergeJob.Options()
    options.permissions = .init(overwrite: true, restart: true)
    #expect(rename(workshop.sft.string, workshop.partial.string) == 0)
    symlink("out.partial", workshop.sft.string)
    #expect(try codes { try workshop.merge(options: options) } == [.outputIsInput])
    workshop.folder.makeFolder(workshop.folder("store"))
    #expect(
      rename(workshop.aligned.appending("model.safetensors").string, workshop.folder("store/weights.safetensors").string) == 0)
    symlink("../store/weights.safetensors", workshop.aligned.appending("model.safetensors").string)
    #expect(try codes { try workshop.merge(to: "store", options: options) } == [.outputIsInput])
    #expect(try workshop.plan().pairs.count == 1)
  }

  @Test("counts what overflows in rows that are only converted")
  func convertedOverflow() throws {
    workshop.writePair(
      aligned: [TensorBytes("lm_head.weight", [1, 2, 1e6, .nan], shape: [2, 2])],
      sft: [TensorBytes("lm_head.weight", [1, 2], shape: [1, 2])])
    let total = try workshop.merge(Recipe(alpha: 1, dtype: .f16, vocabulary: .overlap)).statistics.total
    #expect((total.overflows, total.nonFiniteInputs, total.nonFiniteOutputs) == (1, 1, 2))
    #expect(total.elements == 2)
  }

  @Test("survives weights whose change is beyond all bounds")
  func enormousChange() throws {
    workshop.writePair(aligned: [TensorBytes("w", [1e-14, 1e-14])], sft: [TensorBytes("w", [1, 1])])
    #expect(try workshop.merge().warnings.map(\.code) == [.deltaTooLarge])
  }
}
