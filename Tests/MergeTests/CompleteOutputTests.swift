import Coordinator
import Diagnostics
import FileIO
import Glibc
import Planning
import SystemPackage
import TestSupport
import Testing

@Suite("An output that is complete already")
struct CompleteOutputTests {
  let workshop = Workshop()
  static let recipe = Recipe(alpha: 0.5, maxFileSize: 500_000, shardSize: 65536)

  init() {
    workshop.writeUsualPair()
    workshop.folder.write("code", to: "aligned/sub/code.py")
  }

  @Test("the same merge again does nothing, and says so", arguments: [MergeJob.Sync.full, .none])
  func again(sync: MergeJob.Sync) throws {
    var options = MergeJob.Options()
    options.sync = sync
    let first = try workshop.merge(Self.recipe, options: options)
    workshop.folder.write("edited, as cards are", to: "out/README.md")
    let again = try workshop.merge(Self.recipe)
    #expect(!first.wasComplete && again.wasComplete)
    #expect(again.manifests == first.manifests)
    #expect(again.statistics.total == first.statistics.total)
    #expect(again.statistics.modules == first.statistics.modules)
    #expect(TemporaryFolder.contents(workshop.folder("out/README.md")) == Array("edited, as cards are".utf8))
    #expect(TemporaryFolder.names(in: workshop.folder.path) == ["aligned", "sft", "out"])
  }

  @Test("what is left of the journal's folder is tidied up")
  func tidied() throws {
    try workshop.merge(Self.recipe)
    workshop.folder.write("", to: "out/.expomerge/journal.sqlite-wal")
    #expect(try workshop.merge(Self.recipe).wasComplete)
    #expect(!TemporaryFolder.exists(workshop.folder("out/.expomerge")))
  }

  @Test("--overwrite merges again all the same")
  func overwritten() throws {
    try workshop.merge(Self.recipe)
    var options = MergeJob.Options()
    options.permissions.overwrite = true
    #expect(try !workshop.merge(Self.recipe, options: options).wasComplete)
  }

  enum Difference: String, CaseIterable {
    case recipe, input, shortWeights, missingWeights, editedConfig, newCompanion, missingIndex, manifest, wantsChecksums, journal
  }

  @Test("an output that is not what would be made is not taken for it", arguments: Difference.allCases)
  func differs(difference: Difference) throws {
    try workshop.merge(Self.recipe)
    let folder = workshop.folder
    let weights = folder("out/model-00002-of-00002.safetensors").string
    var (recipe, options) = (Self.recipe, MergeJob.Options())
    switch difference {
    case .recipe: recipe.alphas = [0.25]
    case .input:
      var contents = try #require(TemporaryFolder.contents(folder("sft/model.safetensors")))
      contents[contents.count - 5] ^= 1
      folder.write(contents, to: "sft/model.safetensors")
    case .shortWeights: #expect(truncate(weights, 1000) == 0)
    case .missingWeights: #expect(unlink(weights) == 0)
    case .editedConfig: folder.write("{}", to: "out/config.json")
    case .newCompanion: folder.write("new", to: "aligned/tokenizer.json")
    case .missingIndex: #expect(unlink(folder("out/model.safetensors.index.json").string) == 0)
    case .manifest: folder.write("{}", to: "out/expomerge.json")
    case .wantsChecksums: options.sha256 = true
    // Somebody may have renamed it before it was complete.
    case .journal: try unfinishedJournal()
    }
    #expect(try codes { try workshop.merge(recipe, options: options) } == [.outputExists])
    #expect(TemporaryFolder.names(in: folder.path) == ["aligned", "sft", "out"])
  }

  /// That of a merge which has not come to its end.
  private func unfinishedJournal() throws {
    var calls = SystemCalls()
    calls.fdatasync = { _ in
      errno = EIO
      return -1
    }
    let job = try MergeJob(
      plan: workshop.plan(Self.recipe), output: workshop.folder("other"), context: RunContext(threads: 1), calls: calls)
    #expect(throws: Failure.self) { try job.run() }
    #expect(rename(workshop.folder("other.partial/.expomerge").string, workshop.folder("out/.expomerge").string) == 0)
    try Directories.live.removeTree(workshop.folder("other.partial"))
  }
}
