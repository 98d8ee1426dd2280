import Foundation
import Testing
import Wire

/// docs/protocol.md is what others write workers and clients from.
@Suite struct DocumentationTests {
  private static let page: String = {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return (try? String(contentsOf: tests.appending(path: "../docs/protocol.md"), encoding: .utf8)) ?? ""
  }()

  /// Blocks that are marked as JSON.
  static let examples: [String] = page.components(separatedBy: "```json\n").dropFirst().map {
    $0.components(separatedBy: "\n```")[0]
  }

  static let types = [
    "hello", "beat", "prepared", "finished", "failed", "goodbye", "welcome", "rejected", "job", "forget", "grant", "check", "sum",
    "acknowledge", "revoke", "drain", "fetch", "chunk", "store", "stored", "refused", "status", "submit", "cancel", "resume",
    "drain-worker", "submitted", "done", "error",
  ]

  @Test("every example is a message", arguments: Self.examples.indices)
  func readable(index: Int) {
    let bytes = [UInt8](json: Self.examples[index])
    let readers: [() throws -> Void] = [
      { _ = try bytes.inbound() }, { _ = try bytes.coordinatorMessage() }, { _ = try bytes.dataMessage() }, { _ = try bytes.reply() },
    ]
    let errors = readers.compactMap { reader in
      do {
        try reader()
        return nil as (any Error)?
      } catch {
        return error
      }
    }
    #expect(errors.count < readers.count, "\(Self.examples[index])\n\(errors)")
  }

  @Test("every type of message has an example", arguments: Self.types)
  func complete(name: String) {
    #expect(Self.examples.contains { $0.contains(#""type": "\#(name)""#) })
  }
}
