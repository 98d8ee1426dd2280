import Coordinator
import Diagnostics
import Glibc
import Planning
import SystemPackage
import TestSupport
import Testing

@Suite("Verifying")
struct VerificationTests {
  let workshop = Workshop()

  private func verification() throws -> Verification {
    try Verification(workshop.output, context: RunContext(threads: 2))
  }

  private func merge() throws {
    workshop.writeUsualPair()
    var options = MergeJob.Options()
    options.sha256 = true
    try workshop.merge(options: options)
  }

  private func flip(_ file: FilePath, at byte: Int) throws {
    var contents = try #require(TemporaryFolder.contents(file))
    contents[byte] ^= 1
    let stream = try #require(fopen(file.string, "w"))
    fwrite(contents, 1, contents.count, stream)
    fclose(stream)
  }

  @Test("finds nothing in what was merged")
  func clean() throws {
    try merge()
    let digests = try verification().checkDigests()
    #expect(digests.problems.isEmpty && digests.shards > 10)
    #expect(try verification().checkSHA256().problems.isEmpty)
    let again = try verification().recompute()
    #expect(again.problems.isEmpty && again.shards == digests.shards)
    #expect(try verification().recompute(sample: 3).shards == 3)
  }

  @Test("finds one bit, in the header and in the data", arguments: [9, 200_000])
  func bit(byte: Int) throws {
    try merge()
    let file = workshop.output.appending("model.safetensors")
    try flip(file, at: byte)
    let report = try verification().checkDigests()
    #expect(report.problems.map(\.code) == [.shardDiffers])
    #expect(report.problems[0].file == file.string)
    #expect(report.problems[0].byte == byte / 65536 * 65536)
    #expect(try verification().checkSHA256().problems.map(\.code) == [.checksumDiffers])
  }

  @Test("finds files that are shorter, gone or edited, all at once")
  func files() throws {
    try merge()
    #expect(truncate(workshop.output.appending("model.safetensors").string, 100_000) == 0)
    try flip(workshop.output.appending("config.json"), at: 3)
    #expect(try verification().checkDigests().problems.map(\.code) == [.fileSizeDiffers, .fileDiffers])
    unlink(workshop.output.appending("model.safetensors").string)
    #expect(try verification().checkDigests().problems.map(\.code) == [.fileMissing, .fileDiffers])
  }

  @Test("finds a damaged index, and weights that do not belong")
  func index() throws {
    workshop.writeUsualPair()
    try workshop.merge(Recipe(alpha: 0.5, maxFileSize: 500_000, shardSize: 65536))
    workshop.folder.write("garbage", to: "out/model.safetensors.index.json")
    workshop.folder.write("stray", to: "out/extra.safetensors")
    #expect(try verification().checkDigests().problems.map(\.code) == [.fileSizeDiffers, .fileUnlisted])
  }

  @Test("an edited model card is nobody's business")
  func card() throws {
    try merge()
    try flip(workshop.output.appending("README.md"), at: 30)
    #expect(try verification().checkDigests().problems.isEmpty)
  }

  @Test("does not compute again from inputs that have changed")
  func changedInput() throws {
    try merge()
    // Small files are fingerprinted whole.
    try flip(workshop.sft.appending("model.safetensors"), at: 500_000)
    #expect(try codes { _ = try verification().recompute() } == [.inputChanged])
  }

  @Test("finds a manifest that does not belong to the inputs")
  func foreignManifest() throws {
    try merge()
    let path = workshop.output.appending("expomerge.json")
    let manifest = try #require(TemporaryFolder.contents(path))
    let text = String(decoding: manifest, as: UTF8.self).replacing("\"alpha\" : 0.5", with: "\"alpha\" : 0.25")
    workshop.folder.write(text, to: "out/expomerge.json")
    #expect(try codes { _ = try verification().recompute() } == [.planDiffers])
  }

  @Test("computes again from where the inputs are now")
  func moved() throws {
    try merge()
    #expect(rename(workshop.sft.string, workshop.folder("moved").string) == 0)
    #expect(try codes { _ = try verification().recompute() } == [.checkpointMissing])
    #expect(try verification().recompute(sft: workshop.folder("moved")).problems.isEmpty)
  }

  @Test(
    "refuses a manifest that is missing or not one",
    arguments: [nil, "", "{}", #"{"format": 2}"#, "[1]"])
  func manifest(text: String?) throws {
    if let text { workshop.folder.write(text, to: "out/expomerge.json") }
    #expect(try codes { _ = try verification() } == [.manifestInvalid])
  }

  @Test("refuses a manifest that leads out of the folder")
  func escape() throws {
    try merge()
    let path = workshop.output.appending("expomerge.json")
    let manifest = String(decoding: try #require(TemporaryFolder.contents(path)), as: UTF8.self)
    let changes = [
      ("\"config.json\"", "\"../aligned/config.json\""), ("\"model.safetensors\"", "\"../model.safetensors\""),
      ("\"model.safetensors\"", "\"model.safetensors\\u0000x\""), ("\"shardSize\" : 65536", "\"shardSize\" : 1"),
      ("\"shardSize\" : 65536", "\"shardSize\" : 4611686018427387904"), ("\"alpha\" : 0.5", "\"alpha\" : 0.5, \"dtype\" : \"I8\""),
    ]
    for (name, other) in changes {
      workshop.folder.write(manifest.replacing(name, with: other), to: "out/expomerge.json")
      #expect(try codes { _ = try verification() } == [.manifestInvalid], "\(other)")
    }
  }

  @Test("refuses a manifest without files, or whose digests contradict each other")
  func contradiction() throws {
    try merge()
    let path = workshop.output.appending("expomerge.json")
    let manifest = String(decoding: try #require(TemporaryFolder.contents(path)), as: UTF8.self)
    let start = try #require(manifest.firstRange(of: "\"shards\" : [")).upperBound
    let end = try #require(manifest[start...].firstRange(of: "]")).lowerBound
    let shards = String(manifest[start..<end])
    let first = try #require(shards.firstRange(of: "\"")).upperBound
    var other = shards
    other.replaceSubrange(first..<other.index(after: first), with: shards[first] == "0" ? "1" : "0")
    workshop.folder.write(manifest.replacing(shards, with: other), to: "out/expomerge.json")
    #expect(try codes { _ = try verification() } == [.manifestInvalid])
  }
}
