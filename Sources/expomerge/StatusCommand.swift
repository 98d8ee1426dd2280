import ArgumentParser
import Coordinator
import Diagnostics
import Figures
import Glibc
import Transport
import Wire

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show the jobs and workers of a coordinator.")

  @Argument(help: ArgumentHelp("Show one job, with its files.", valueName: "job"))
  var job: JobID?

  @Flag(help: "Show it again every second, until interrupted.")
  var watch = false

  @OptionGroup(title: "The coordinator") var client: ClientOptions
  @OptionGroup(title: "Printing") var console: Console

  func run() throws {
    try console.reporting { () throws(Failure) in
      let client = try client.client()
      while true {
        let status = try client.status(of: job)
        if console.json {
          console.emit(Message(status: status))
          fflush(nil)
        } else {
          let lines = StatusView(status: status, isDetailed: job != nil).lines
          if watch && isatty(1) == 1 { print("\u{1B}[H\u{1B}[2J", terminator: "") }
          for line in lines { console.result(line) }
          fflush(nil)
        }
        guard watch else { return }
        sleep(1)
      }
    }
  }

  /// The status with a `type` beside its members.
  private struct Message: Encodable {
    let status: Status

    private enum Key: CodingKey {
      case type
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: Key.self)
      try container.encode("status", forKey: .type)
      try status.encode(to: encoder)
    }
  }
}

/// A status as text.
struct StatusView {
  let status: Status
  /// Files and notes too.
  let isDetailed: Bool

  var lines: [String] {
    let coordinator = status.coordinator
    var lines = [
      "coordinator on \(coordinator.host), expomerge \(coordinator.version), up \(Format.duration(coordinator.uptimeSeconds))"
    ]
    lines += ["", "JOBS"]
    if status.jobs.isEmpty { lines.append("  none") }
    lines += table(
      ["job", "state", "done", "", "shards", "running", "rate", "ETA", "output"],
      status.jobs.map { job in
        [
          "\(job.job)", Self.state(of: job),
          job.bytes > 0 ? "\(job.bytesDone * 100 / job.bytes) %" : "-",
          job.bytes > 0 ? "of \(Format.bytes(job.bytes))" : "", "\(job.shardsDone)/\(job.shards)",
          job.state == .running ? "\(job.shardsRunning)" : "-", Format.rate(job.rate),
          job.etaSeconds.map { Format.duration($0) } ?? "-", job.output,
        ]
      }, isRight: [0, 2, 4, 5, 6, 7])
    for job in status.jobs {
      if isDetailed {
        lines += ["", "JOB \(job.job)"]
        lines += [
          "  sft      \(job.sft)", "  aligned  \(job.aligned)", "  output   \(job.output)", "  alpha    \(job.alphas.map { "\($0)" }.joined(separator: ", "))",
          "  priority \(job.priority), \(Format.plural(job.retries, "attempt")) more than shards, \(Format.duration(job.seconds)) so far",
        ]
        lines += table(
          ["file", "size", "shards"], job.files.map { [$0.name, Format.bytes($0.bytes), "\($0.done)/\($0.shards)"] },
          isRight: [1, 2])
      }
      for problem in job.problems { lines.append("  job \(job.job): \(problem.problem)") }
      if isDetailed { for warning in job.warnings { lines.append("  warning: \(warning.problem)") } }
    }
    lines += ["", "WORKERS"]
    if status.workers.isEmpty { lines.append("  none") }
    let hasKeys = status.workers.contains { $0.key != nil }
    lines += table(
      ["worker", hasKeys ? "key" : "", "state", "slots", "running", "queued", "shards", "rate", "inputs", "output", "seen"],
      status.workers.map { worker in
        [
          name(of: worker), worker.key ?? "", worker.state == .setAside ? "set aside" : worker.state.rawValue, "\(worker.slots)",
          "\(worker.running)", "\(worker.queued)", "\(worker.shards)", Format.rate(worker.rate), inputs(of: worker),
          output(of: worker), "\(decimal(worker.lastSeenSeconds, 1)) s ago",
        ]
      }, isRight: [3, 4, 5, 6, 7])
    for worker in status.workers {
      var told: Set<String> = []
      for job in worker.jobs {
        if let refusal = job.refusal { lines.append("  \(name(of: worker)), job \(job.job): \(refusal.problem)") }
        // One of a kind, unless a job is looked at.
        for note in job.notes where isDetailed || told.insert(note.code).inserted {
          lines.append("  \(name(of: worker)), job \(job.job): \(note.problem)")
        }
      }
    }
    return lines
  }

  private static func state(of job: Status.Job) -> String {
    if job.phase == Status.Job.waiting { return job.phase }
    return job.kind == .verify && job.state == .running ? "verifying" : job.state.rawValue
  }

  /// With its process where several have one name.
  private func name(of worker: Status.Worker) -> String {
    let isShared = status.workers.count { $0.name == worker.name } > 1
    return isShared ? "\(worker.name) (\(worker.host) \(worker.process))" : worker.name
  }

  private func inputs(of worker: Status.Worker) -> String {
    let direct = worker.jobs.reduce(0) { $0 + $1.directInputs }
    let streamed = worker.jobs.reduce(0) { $0 + $1.streamedInputs }
    if direct + streamed == 0 { return "-" }
    if streamed == 0 { return "direct" }
    return direct == 0 ? "streamed" : "\(direct) of \(direct + streamed) direct"
  }

  private func output(of worker: Status.Worker) -> String {
    let kinds = Set(worker.jobs.filter { $0.refusal == nil }.map(\.output.rawValue))
    return kinds.isEmpty ? "-" : kinds.sorted().joined(separator: ", ")
  }
}
