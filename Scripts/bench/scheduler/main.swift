import Digests
import FoundationEssentials
import Planning
import Scheduling
import Wire

// How fast the scheduler grants: a million shards in 200 files, a thousand workers of two slots, nothing else to wait
// for. Prints one JSON object.

let (shards, files, workers, slots) = (1_000_000, 200, 1_000, 2)

func job() -> Scheduler.JobSpecification {
  let zero = Digest128(high: 0, low: 0)
  let input = CoordinatorMessage.JobOffer.Input(
    folder: "/in", files: (0..<files).map { .init(name: "f\($0)", bytes: 1, header: zero, pages: zero) })
  let offer = CoordinatorMessage.JobOffer(
    job: JobID(1), plan: zero, descriptionBytes: 1, aligned: input, sft: input,
    output: .init(folder: "/out", nonceFile: "nonce", nonce: "x"))
  let stretches = (0..<files).map { file in
    Scheduler.JobSpecification.Stretch(
      shards: file * shards / files..<(file + 1) * shards / files,
      inputs: [.init(side: .aligned, file: file), .init(side: .sft, file: file)])
  }
  return .init(offer: offer, stretches: stretches)
}

/// Kibibytes of /proc/self/status, in bytes.
func memory(_ name: String) -> Int {
  guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
    let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name + ":") }),
    let number = line.split(separator: " ").compactMap({ Int($0) }).first
  else { return 0 }
  return number * 1024
}

/// Leases that were granted and not yet reported.
var queue: [(session: SessionID, key: Attempt)] = []
var grants = 0
var isDone = false
let route = Route([1, 2, 3, 4, 5])
var now = Instant(nanoseconds: 1_000_000_000)
var scheduler = Scheduler(epoch: 1, at: now)

@MainActor
func handle(_ event: Scheduler.Event) {
  for command in scheduler.handle(event, at: now) {
    switch command {
    case .send(let envelope, _):
      guard case .grant(let leases) = envelope.message else { continue }
      grants += leases.leases.count
      for key in leases.leases { queue.append((envelope.session, key)) }
    case .commit(let finished, _): handle(.committed(finished.key))
    case .jobDone: isDone = true
    default: break
    }
  }
}

@MainActor
func say(_ message: WorkerMessage, as session: SessionID) {
  handle(.received(WorkerEnvelope(session: session, epoch: 1, message: message), from: route))
}

handle(.add(job()))
let clock = ContinuousClock()
let start = clock.now
for number in 1...workers {
  let session = SessionID(UInt64(number))
  say(
    .hello(.init(name: "w\(number)", host: "h", process: 1, slots: slots, version: "0", level: "portable")), as: session)
  let access = Array(repeating: Access.direct, count: files)
  say(.prepared(.init(job: JobID(1), aligned: access, sft: access, output: .direct)), as: session)
}
while !queue.isEmpty {
  let batch = queue
  queue = []
  for (session, key) in batch {
    let digest = Digest128(high: 0, low: UInt64(key.shard))
    say(.finished(.init(key, digests: [digest], milliseconds: 1, segments: [])), as: session)
  }
  // A round takes a second, and every worker has said something in it.
  now = now.adding(milliseconds: 1000)
  handle(.tick)
}
let seconds = Double((clock.now - start) / .nanoseconds(1)) / 1e9
guard isDone else { fatalError("the job is not done") }
print(
  #"{"grants": \#(grants), "seconds": \#(seconds), "grantsPerSecond": \#(Int(Double(grants) / seconds)), "#
    + #""peakMemoryBytes": \#(memory("VmHWM"))}"#)
