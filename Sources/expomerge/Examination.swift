import Diagnostics
import Figures

/// What `doctor` finds.
struct Examination {
  enum Verdict: String, Encodable {
    case ok, warning, problem
  }

  struct Finding: Encodable {
    let type = "finding"
    let verdict: Verdict
    /// What was looked at, as in `locks`.
    let subject: String
    let message: String
    let remedy: String?
    /// What a command would end with because of it.
    let exitCode: Int32?
  }

  private(set) var findings: [Finding] = []

  mutating func ok(_ subject: String, _ message: String) {
    findings.append(Finding(verdict: .ok, subject: subject, message: message, remedy: nil, exitCode: nil))
  }

  mutating func warning(_ subject: String, _ message: String, _ remedy: String) {
    findings.append(Finding(verdict: .warning, subject: subject, message: message, remedy: remedy, exitCode: nil))
  }

  mutating func problem(_ subject: String, _ failure: Failure) {
    for problem in failure.problems {
      var bare = problem
      bare.remedy = nil
      findings.append(
        Finding(verdict: .problem, subject: subject, message: bare.description, remedy: problem.remedy, exitCode: failure.exitCode))
    }
  }

  mutating func problem(_ subject: String, _ category: Failure.Category, _ message: String, _ remedy: String) {
    problem(subject, Failure(category, Problem(.init("doctor"), message, remedy: remedy)))
  }

  /// - Returns: nil where it fails, which is a problem.
  @discardableResult
  mutating func attempt<Value: ~Copyable>(_ subject: String, _ body: () throws(Failure) -> Value) -> Value? {
    do throws(Failure) {
      return try body()
    } catch {
      problem(subject, error)
      return nil
    }
  }

  /// That of the first problem; 0 without any.
  var exitCode: Int32 { findings.lazy.compactMap(\.exitCode).first ?? 0 }

  /// A table, with what to do beneath each finding.
  var lines: [String] {
    let (warnings, problems) = (findings.count { $0.verdict == .warning }, findings.count { $0.verdict == .problem })
    return Self.lines(of: findings) + ["", "\(Format.plural(problems, "problem")), \(Format.plural(warnings, "warning"))"]
  }

  /// Of what is not right; none where all is.
  var quietLines: [String] { Self.lines(of: findings.filter { $0.verdict != .ok }) }

  private static func lines(of findings: [Finding]) -> [String] {
    let rows = findings.flatMap { finding -> [[String]] in
      let row = [finding.verdict.rawValue, finding.subject, finding.message]
      return [row] + (finding.remedy.map { [["", "", "-> \($0)"]] } ?? [])
    }
    return table(["verdict", "of", "finding"], rows)
  }
}
