import CLinux
public import Diagnostics
import Glibc
public import SystemPackage

extension Problem.Code {
  public static let commandNotStarted = Self("command-not-started")
}

/// Runs commands of the user, each in a process group of its own. None of them outlives this process: a guard, a process that
/// sees when this one ends, ends what is left then.
public final class CommandRunner: Sendable {
  /// How a command ended.
  public enum End: Sendable, Equatable {
    case exited(Int32)
    case signalled(Int32)
    /// The time limit was over.
    case timedOut
    case cancelled
  }

  public struct Command: Sendable {
    /// For /bin/sh.
    public var text: String
    /// Files that its standard output and standard error are written to; emptied before.
    public var output: FilePath
    public var errors: FilePath
    public var timeLimit: Duration?

    public init(_ text: String, output: FilePath, errors: FilePath, timeLimit: Duration? = nil) {
      self.text = text
      self.output = output
      self.errors = errors
      self.timeLimit = timeLimit
    }
  }

  private let guardDescriptor: Int32
  private let guardID: Int32
  private let grace: Duration

  /// - Parameter grace: between SIGTERM and SIGKILL.
  public init(grace: Duration = .seconds(5)) throws(Failure) {
    self.grace = grace
    var id: Int32 = 0
    guardDescriptor = linux_start_guard(Int32(grace / .milliseconds(1)), &id)
    guardID = id
    guard guardDescriptor >= 0 else { throw Self.failure("start the process that watches over commands", errno) }
  }

  deinit {
    close(guardDescriptor)
    var status: Int32 = 0
    while waitpid(guardID, &status, 0) < 0 && errno == EINTR {}
  }

  /// Runs a command and waits. Its whole group has ended when this returns, whatever it left running.
  ///
  /// Blocks. Any number of threads may do so.
  ///
  /// - Parameter isCancelled: asked again and again.
  public func run(_ command: Command, isCancelled: () -> Bool = { false }) throws(Failure) -> End {
    let id = try start(command)
    let start = SuspendingClock.now
    var end: End?
    while linux_has_ended(id) == 0, end == nil {
      if isCancelled() {
        end = .cancelled
      } else if let limit = command.timeLimit, start.duration(to: .now) >= limit {
        end = .timedOut
      } else {
        usleep(Self.interval)
      }
    }
    endGroup(id)
    // A process that not even SIGKILL ends waits for a disk or a device, and is left to the system.
    guard linux_has_ended(id) != 0 else { return end ?? .signalled(SIGKILL) }
    var status: Int32 = 0
    guard linux_end_group(guardDescriptor, id, &status) == 0 else { throw Self.failure("wait for a command", errno) }
    return end ?? (status & 0x7F == 0 ? .exited(status >> 8 & 0xFF) : .signalled(status & 0x7F))
  }

  /// Microseconds.
  private static let interval: UInt32 = 10_000

  private func start(_ command: Command) throws(Failure) -> Int32 {
    let words = ["/bin/sh", "-c", command.text]
    var arguments = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    let id = command.output.withPlatformString { output in
      command.errors.withPlatformString { errors in
        linux_start_group(guardDescriptor, &arguments, environ, output, errors)
      }
    }
    guard id > 0 else { throw Self.failure("start a command", errno) }
    return id
  }

  /// SIGTERM to what is left of a group, and SIGKILL to what does not end then. The number is the group's for as long as the
  /// status of its first process was not taken.
  private func endGroup(_ id: Int32) {
    guard runs(id) else { return }
    kill(-id, SIGTERM)
    if waits(for: id) { return }
    kill(-id, SIGKILL)
    _ = waits(for: id)
  }

  private func waits(for id: Int32) -> Bool {
    let start = SuspendingClock.now
    while runs(id) {
      if start.duration(to: .now) >= grace { return false }
      usleep(Self.interval)
    }
    return true
  }

  private func runs(_ id: Int32) -> Bool {
    let runs = linux_group_runs(id)
    return runs < 0 ? linux_has_ended(id) == 0 : runs == 1
  }

  private static func failure(_ action: String, _ number: Int32) -> Failure {
    Failure(
      .unavailable,
      Problem(
        .commandNotStarted, "cannot \(action): \(String(cString: strerror(number)))",
        remedy: number == EAGAIN || number == ENOMEM ? "see whether processes (ulimit -u) or memory are short" : nil))
  }
}
