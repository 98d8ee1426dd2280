import Foundation
import SystemPackage
import TestSupport
import Testing

/// Pages of the manual, and whether programs that show them have something to say.
@Suite("The manual", .timeLimit(.minutes(10)))
struct ManualTests {
  let folder = TemporaryFolder()

  /// Commands that check a page and say nothing about a good one; of those that are installed.
  static let checkers: [[String]] = {
    let known = [["groff", "-ww", "-man", "-Tutf8", "-z"], ["mandoc", "-T", "lint", "-W", "warning"]]
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
    return known.compactMap { (words: [String]) -> [String]? in
      let paths = folders.map { $0 + "/" + words[0] }
      guard let path = paths.first(where: { access($0, X_OK) == 0 }) else { return nil }
      return [path] + words.dropFirst()
    }
  }()

  private func pages() throws -> [String: String] {
    let tool = Tool(folder: folder.path)
    let made = try tool("generate-manual", "--output", "man/man1", "--date", "2026-01-31")
    #expect(made.status == 0 && made.output.isEmpty && made.errors.isEmpty)
    let names = TemporaryFolder.names(in: folder("man/man1"))
    return Dictionary(
      names.map { ($0, String(decoding: TemporaryFolder.contents(folder("man/man1").appending($0)) ?? [], as: UTF8.self)) }) { $1 }
  }

  /// What a checker says of a page.
  private func words(of checker: [String], about page: FilePath) throws -> String {
    let (output, errors) = (folder("output"), folder("errors"))
    for file in [output, errors] { unlink(file.string) }
    try ChildProcess(checker + [page.string], output: output, errors: errors).wait()
    return [output, errors].map { String(decoding: TemporaryFolder.contents($0) ?? [], as: UTF8.self) }.joined()
  }

  @Test("a page for each command, with all its options, and nothing that a macro could be")
  func contents() throws {
    let pages = try pages()
    let tool = Tool(folder: folder.path)
    let help = try tool("--help").output
    let commands = (help.components(separatedBy: "SUBCOMMANDS:").last ?? "").split(separator: "\n")
      .compactMap { $0.firstMatch(of: /^\s{2}([a-z]+)\s/).map { String($0.output.1) } }
    #expect(Set(pages.keys) == Set(["expomerge.1"] + commands.map { "expomerge-\($0).1" }))
    let macros: Set = ["TH", "SH", "SS", "TP", "B", "BI", "BR", "I", "RI", "PP"]
    for (name, page) in pages {
      let lines = page.split(separator: "\n")
      #expect(lines.first?.hasPrefix(".TH EXPOMERGE") == true && lines[0].contains("\"2026-01-31\" \"expomerge "))
      for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"] {
        #expect(lines.contains(".SH \(section)"), "\(section) of \(name)")
      }
      for line in lines where line.hasPrefix(".") {
        #expect(macros.contains(line.dropFirst().split(separator: " ")[0].description), "\(name): \(line)")
      }
      #expect(!lines.contains { $0.hasPrefix("'") })
    }
    for command in commands {
      let page = try #require(pages["expomerge-\(command).1"]).replacing("\\-", with: "-")
      let help = try tool(command, "--help").output
      let options = help.split(separator: "\n").filter { $0.hasPrefix("  -") }.compactMap { $0.firstMatch(of: /--[a-z0-9-]+/)?.output }
      #expect(options.count >= 2)
      for option in options { #expect(page.contains("\(option) ") || page.contains("\(option)\""), "\(option) of \(command)") }
    }
    #expect(pages["expomerge-worker.1"]?.contains("EXPOMERGE_LIMIT_RATE") == true)
    #expect(pages["expomerge-coordinator.1"]?.contains(".SS Keys") == true)
  }

  @Test("exit codes are those of docs/operations.md")
  func exitCodes() throws {
    let source = FilePath(#filePath).removingLastComponent().appending("../../docs/operations.md")
    let rows = try String(contentsOfFile: source.string, encoding: .utf8).matches(of: /(?m)^\| ([0-9]+) \| (.*) \|$/)
      .map { ($0.output.1, $0.output.2.replacing("`", with: "").replacing("'", with: "\\(aq")) }
    #expect(rows.count == 11)
    let page = try #require(try pages()["expomerge.1"])
    let section = try #require(page.components(separatedBy: ".SH EXIT STATUS\n").last?.components(separatedBy: ".SH ").first)
    #expect(section.replacing("\\-", with: "-") == rows.map { ".TP\n.B \"\($0)\"\n\($1)\n" }.joined())
  }

  @Test("pages are shown without a warning", .enabled(if: !checkers.isEmpty), arguments: checkers)
  func rendered(_ checker: [String]) throws {
    let bad = folder.write(".TH X 1\n.SH NAME\nx \\- y\n.XYZ\n.TP\n", to: "bad.1")
    #expect(try !words(of: checker, about: bad).isEmpty)
    for name in try pages().keys.sorted() {
      #expect(try words(of: checker, about: folder("man/man1").appending(name)) == "", "\(name)")
    }
  }
}
