import ArgumentParser
import Diagnostics
import FoundationEssentials
import Glibc

/// How a command talks: results on stdout, everything else on stderr.
struct Console: ParsableArguments {
  @Flag(name: .long, help: "Print results and errors as JSON, one object per line, on stdout.")
  var json = false

  @Flag(name: [.short, .long], help: "Print errors and warnings only.")
  var quiet = false

  @Flag(name: [.short, .long], help: "Print more.")
  var verbose = false

  /// For daemons, which only log: no options, errors as text.
  static var forDaemons: Console {
    var console = Console()
    (console.json, console.quiet, console.verbose) = (false, false, false)
    return console
  }

  /// A line of the result for people.
  func result(_ line: String) {
    if !json && !quiet { print(printable(line)) }
  }

  /// A line for people that `--quiet` does not take away.
  func finding(_ line: String) {
    if !json { print(printable(line)) }
  }

  func warn(_ warnings: [Problem]) {
    if json {
      for warning in warnings { emit(ProblemMessage("warning", warning)) }
    } else {
      for warning in warnings.prefix(Self.problemLimit) { Self.writeError("warning: \(warning)") }
      if warnings.count > Self.problemLimit {
        Self.writeError("... and \(warnings.count - Self.problemLimit) more warnings")
      }
    }
  }

  /// An object of the result for programs.
  func emit(_ message: some Encodable) {
    guard json else { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    guard let data = try? encoder.encode(message) else { preconditionFailure("a message is always valid JSON") }
    print(printableJSON(String(decoding: data, as: UTF8.self)))
  }

  /// Runs a command's work, and shows why it failed.
  func reporting(_ work: () throws(Failure) -> Void) throws {
    do throws(Failure) {
      try work()
    } catch {
      if json {
        for problem in error.problems { emit(ProblemMessage("error", problem, exitCode: error.exitCode)) }
      } else {
        for problem in error.problems.prefix(Self.problemLimit) { Self.writeError("error: \(problem)") }
        if error.problems.count > Self.problemLimit {
          Self.writeError("... and \(error.problems.count - Self.problemLimit) more errors, \(error.problems.count) in all")
        }
      }
      throw ReportedFailure(exitCode: error.exitCode)
    }
  }

  private static let problemLimit = 20

  static func writeErrorRaw(_ text: String) {
    var text = text
    // Nobody is left to tell if this fails.
    text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
  }

  static func writeError(_ line: String) {
    writeErrorRaw(line + "\n")
  }
}

/// A problem as `--json` shows it.
struct ProblemMessage: Encodable {
  let type: String
  let code: String
  let message: String
  let file: String?
  let tensor: String?
  let byte: Int?
  let remedy: String?
  let exitCode: Int32?

  init(_ type: String, _ problem: Problem, exitCode: Int32? = nil) {
    self.type = type
    code = problem.code.description
    message = problem.message
    file = problem.file
    tensor = problem.tensor
    byte = problem.byte
    remedy = problem.remedy
    self.exitCode = exitCode
  }
}
