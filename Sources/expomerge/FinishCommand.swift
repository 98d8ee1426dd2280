import ArgumentParser
import Diagnostics
import FoundationEssentials
import Glibc
import Wire

/// A command of the user that is run on this machine when a job is over.
struct FinishCommand {
  let text: String
  /// Where its standard output goes to standard error, as ours is for programs.
  let isQuiet: Bool

  /// Waits for it.
  ///
  /// - Parameter exitCode: what the waiting command will end with.
  /// - Returns: what became of it, if not well.
  func run(_ job: Status.Job, exitCode: Int32) -> Problem? {
    fflush(nil)
    let told = [
      "EXPOMERGE_JOB": "\(job.job)", "EXPOMERGE_STATE": job.state.rawValue, "EXPOMERGE_OUTPUT": job.output,
      "EXPOMERGE_EXIT_CODE": "\(exitCode)",
    ]
    let environment = ProcessInfo.processInfo.environment.merging(told) { $1 }
    var id: pid_t = 0
    let failure = spawn(&id, environment.map { "\($0)=\($1)" })
    guard failure == 0 else { return problem("cannot be run: \(String(cString: strerror(failure)))") }
    var status: Int32 = 0
    while waitpid(id, &status, 0) < 0 {
      guard errno == EINTR else { return problem("cannot be waited for: \(String(cString: strerror(errno)))") }
    }
    let signal = status & 0x7F
    if signal != 0 { return problem("was ended by signal \(signal)") }
    let code = status >> 8 & 0xFF
    return code == 0 ? nil : problem("ended with \(code)")
  }

  private func problem(_ what: String) -> Problem {
    Problem(.init("on-finish-failed"), "the command of --on-finish \(what); the job is not touched by that")
  }

  /// posix_spawn(3), with signals as a shell expects them: those that this process takes itself are blocked in it.
  private func spawn(_ id: inout pid_t, _ environment: [String]) -> Int32 {
    var attributes = posix_spawnattr_t()
    var actions = posix_spawn_file_actions_t()
    posix_spawnattr_init(&attributes)
    posix_spawn_file_actions_init(&actions)
    defer {
      posix_spawnattr_destroy(&attributes)
      posix_spawn_file_actions_destroy(&actions)
    }
    var (none, defaults) = (sigset_t(), sigset_t())
    sigemptyset(&none)
    sigemptyset(&defaults)
    for number in [SIGXFSZ, SIGPIPE] { sigaddset(&defaults, number) }
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    if isQuiet { posix_spawn_file_actions_adddup2(&actions, 2, 1) }
    var words: [UnsafeMutablePointer<CChar>?] = (["/bin/sh", "-c", text] as [String]).map { strdup($0) } + [nil]
    var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
    defer { for pointer in words + variables { free(pointer) } }
    return posix_spawn(&id, "/bin/sh", &actions, &attributes, &words, &variables)
  }
}

struct FinishOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Wait, and run this with /bin/sh on this machine when the job is over; EXPOMERGE_STATE and others tell it how.",
      valueName: "command"))
  var onFinish: String?

  func command(_ console: Console) -> FinishCommand? {
    onFinish.map { FinishCommand(text: $0, isQuiet: console.json) }
  }
}
