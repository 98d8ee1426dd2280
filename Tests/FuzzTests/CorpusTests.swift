import Foundation
import FuzzTargets
import Testing

/// Inputs that the fuzzers have found worth keeping, those that once broke something among them.
@Suite("Corpora of the fuzzers") struct CorpusTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fuzz/Corpora")

  @Test("every input is refused, or gives what later code counts on", arguments: FuzzTarget.allCases)
  func corpus(target: FuzzTarget) throws {
    let folder = Self.folder.appendingPathComponent(target.rawValue)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    try #require(names.count >= 5)
    for name in names {
      let bytes = try Data(contentsOf: folder.appendingPathComponent(name))
      bytes.withUnsafeBytes { target.run($0) }
    }
  }
}
