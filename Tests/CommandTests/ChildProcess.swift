import CTestSupport
import Foundation
import Synchronization
import SystemPackage
import Testing

/// How long a test waits for something that should take seconds before it gives up and says what it waited for. Nothing
/// passes by waiting: a run that hangs becomes one that fails.
let patience: Duration = .seconds(150)

/// Asks again and again until there is an answer.
///
/// - Returns: the answer; nil if there was none for so long that the test has failed, or if `isPossible` says that there
///   will be none.
func poll<Answer>(
  for what: @autoclosure () -> String, every microseconds: UInt32 = 10_000, while isPossible: () -> Bool = { true },
  sourceLocation: SourceLocation = #_sourceLocation, _ ask: () throws -> Answer?
) rethrows -> Answer? {
  let start = ContinuousClock.now
  while true {
    let isLast = !isPossible()
    if let answer = try ask() { return answer }
    if isLast { return nil }
    if start.duration(to: .now) > patience {
      Issue.record("waited in vain for \(what())", sourceLocation: sourceLocation)
      return nil
    }
    usleep(microseconds)
  }
}

/// A process that a test has started. It has none of this process' files and ends with the value.
///
/// Foundation's `Process` learns of an end by a socket that processes which are started at the same time may inherit,
/// and waits for as long as they live.
final class ChildProcess: Sendable {
  enum End: Equatable {
    case exited(Int32)
    case signalled(Int32)
  }

  let id: pid_t
  private let end = Mutex<End?>(nil)

  /// - Parameters:
  ///   - command: the executable's path and its arguments.
  ///   - folder: where it works; nil for where this process does.
  ///   - environment: in addition to that of this process.
  ///   - output: a file that standard output goes to, made if it is not there.
  ///   - errors: the same for standard error.
  init(
    _ command: [String], in folder: FilePath? = nil, environment: [String: String] = [:],
    output: FilePath = "/dev/null", errors: FilePath = "/dev/null"
  ) throws {
    let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }.map { "\($0)=\($1)" }
    var id: pid_t = 0
    let failure = Self.withPointers(command) { arguments in
      Self.withPointers(variables) {
        spawn_process(&id, arguments, $0, folder?.string, output.string, errors.string)
      }
    }
    guard failure == 0 else { throw Errno(rawValue: failure) }
    self.id = id
  }

  deinit {
    kill()
  }

  private static func withPointers<Value>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Value
  ) -> Value {
    var pointers = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return body(&pointers)
  }

  var isRunning: Bool { known == nil }

  /// How it has ended, if it has.
  private var known: End? {
    end.withLock { end in
      if end == nil {
        var status: Int32 = 0
        guard waitpid(id, &status, WNOHANG) == id else { return nil }
        end = status & 0x7F == 0 ? .exited(status >> 8 & 0xFF) : .signalled(status & 0x7F)
      }
      return end
    }
  }

  /// Waits until it has ended. One that does not is killed, and the test fails.
  @discardableResult
  func wait(sourceLocation: SourceLocation = #_sourceLocation) -> End {
    poll(for: "the end of process \(id)", every: 1000, sourceLocation: sourceLocation) { known } ?? kill()
  }

  func signal(_ number: Int32) {
    // Not reaped yet, so that the number is nobody else's.
    end.withLock { if $0 == nil { _ = Glibc.kill(id, number) } }
  }

  /// SIGKILL, unless it has ended.
  @discardableResult
  func kill() -> End {
    signal(SIGKILL)
    while true {
      if let known { return known }
      usleep(1000)
    }
  }
}

extension ChildProcess.End {
  /// The exit status, or the signal's number.
  var status: Int32 {
    switch self {
    case .exited(let status), .signalled(let status): status
    }
  }

  var signal: Int32? { if case .signalled(let number) = self { number } else { nil } }
}
