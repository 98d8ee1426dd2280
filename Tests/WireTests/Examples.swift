import Diagnostics
import Digests
import Kernels
import Planning
import Wire

/// One message of every type, with every member given, and a few with as little as may be.
enum Examples {
  static let session = SessionID(0x00ab_cdef_0123_4567)
  static let digest = Digest128(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff)
  static let attempt = Attempt(job: JobID(2), shard: 17, attempt: 3)
  static let fullReport = ProblemReport(
    Problem(
      .init("read-failed"), "cannot be \"read\"\n/\\ é 🧪", file: "/a/b", tensor: "w", byte: 12, remedy: "look"))
  static let shortReport = ProblemReport(Problem(.init("x"), ""))

  static let sums: DeltaSums = {
    var sums = DeltaSums()
    sums.deltaSquared = 0.1
    sums.alignedSquared = .infinity
    sums.dot = -.infinity
    sums.sftSquared = 5e-324
    sums.largestDelta = .greatestFiniteMagnitude
    sums.elements = .max
    sums.overflows = 3
    return sums
  }()

  static let worker: [WorkerMessage] = [
    .hello(.init(name: "n1", host: "node-1", process: 4711, slots: 8, version: "1.2.0", level: "x86-64-v4")),
    .beat(.init(number: 1, seen: 0, isDraining: false, jobs: [], held: [])),
    .beat(
      .init(
        number: .max, seen: .max, isDraining: true, jobs: [JobID(1), JobID(2)],
        held: [.init(attempt, progress: 1 << 40, isRunning: true)])),
    .prepared(.init(job: JobID(1))),
    .prepared(
      .init(
        job: JobID(1), aligned: [.direct, .streamed], sft: [.streamed], output: .direct,
        notes: [fullReport, shortReport], refusal: fullReport)),
    .finished(.init(attempt, digests: [digest], milliseconds: 0, segments: [])),
    .finished(
      .init(
        attempt, digests: [digest], milliseconds: 1234,
        segments: [
          .init(pair: 9, sums: sums, differingBytes: .max), .init(pair: 10, sums: .init(), differingBytes: 0),
        ])),
    .finished(
      .init(
        attempt, digests: [digest, Digest128(high: 1, low: .max)], milliseconds: 1234,
        segments: [.init(pair: 9, sums: sums, others: [OutputCounts(nonFinite: .max, overflows: 1)], differingBytes: 0)])),
    .goodbye(.init(reason: "drained")),
  ] + WorkerMessage.Failed.Cause.allCases.map {
    .failed(.init(attempt, cause: $0, input: $0 == .input ? .init(side: .sft, file: 3) : nil, problem: fullReport))
  }

  static let offer = CoordinatorMessage.JobOffer(
    job: JobID(2), plan: digest, descriptionBytes: 12345,
    aligned: .init(
      folder: "/models/aligned", files: [.init(name: "model.safetensors", bytes: 10, header: digest, pages: digest)]),
    sft: .init(folder: "/models/sft", files: []),
    output: .init(folder: "/models/out.partial", nonceFile: ".expomerge/nonce", nonce: "6f1c"))

  static let coordinator: [CoordinatorMessage] = [
    .welcome(.init(beatMilliseconds: 1000, leaseMilliseconds: 5000, dataPort: 5756, window: 32 << 20)),
    .rejected(.init(.version, "speaks 1")),
    .rejected(.init(.session, "the session is over")),
    .rejected(.init(.key, "its key is a viewer's")),
    .job(offer),
    .job({
      var proving = offer
      proving.purpose = .verify
      return proving
    }()),
    .forget(.init(job: JobID(2))),
    .grant(.init([attempt, Attempt(job: JobID(1), shard: 0, attempt: 1)])),
    .check(.init([attempt])),
    .sum(.init([attempt])),
    .acknowledge(.init([attempt])),
    .revoke(.init([])),
    .drain(.init()),
    .beat(.init()),
  ]

  static let data: [DataMessage] = [
    .fetch(.init(session: session, tag: 7, job: JobID(2), source: .aligned, file: 3, offset: 1 << 40, count: 4 << 20)),
    .fetch(.init(session: session, tag: -1, job: JobID(2), source: .sft, file: 0, offset: 0, count: 1)),
    .fetch(.init(session: session, tag: 7, job: JobID(2), source: .description, file: 0, offset: 0, count: 100)),
    .chunk(.init(tag: 7)),
    .store(.init(session: session, tag: 8, attempt: attempt, offset: 4 << 20)),
    .stored(.init(tag: 8)),
    .refused(.init(tag: 9, problem: fullReport)),
  ]

  static let requests: [ClientRequest] = [
    .status(.init()),
    .status(.init(job: JobID(4))),
    .submit(
      .init(aligned: "/a", sft: "/s", output: "/o", recipe: Recipe(alpha: 0.3))),
    .submit(
      .init(
        aligned: "/a", sft: "/s", output: "/o",
        recipe: Recipe(
          alpha: -0.5, arithmetic: .reference, dtype: .bf16, vocabulary: .overlap, maxFileSize: 1, shardSize: 1 << 16),
        priority: -3, syncsFully: false, sha256: true, overwrite: true, restart: true, command: "expomerge submit")),
    .verify(.init(folder: "/o")),
    .verify(.init(folder: "/o", aligned: "/a", sft: "/s", sample: 3, priority: -1)),
    .cancel(.init(job: JobID(1))),
    .resume(.init(job: JobID(1), trustsSynced: true)),
    .drainWorker(.init(worker: "n1")),
  ]

  static let status: Status = {
    var job = Status.Job(
      job: JobID(1), state: .running, phase: "", priority: 0, aligned: "/a", sft: "/s", output: "/o", alphas: [0.3])
    job.bytes = 140_000_000_000
    job.bytesDone = 70_000_000_000
    job.rate = 2.5e9
    job.etaSeconds = 28
    job.files = [.init(name: "model.safetensors", bytes: 5, shards: 2, done: 1)]
    job.problems = [fullReport]
    job.warnings = [shortReport]
    let bare = Status.Job(
      job: JobID(2), state: .preparing, phase: "reading headers", priority: 1, aligned: "", sft: "", output: "",
      alphas: [8, 0.5])
    let access = Status.Worker.JobAccess(
      job: JobID(1), directInputs: 2, streamedInputs: 1, output: .streamed, notes: [shortReport], refusal: fullReport)
    return Status(
      coordinator: .init(
        version: "1.2.0", host: "head", process: 1, epoch: 3, uptimeSeconds: 1.5, discarded: ["late-result": 2]),
      jobs: [job, bare],
      workers: [
        .init(
          name: "n1", session: session, key: "0123456789abcdef", host: "node-1", process: 4711, version: "1.2.0", level: "x86-64-v4",
          state: .setAside, slots: 8, running: 8, queued: 4, shards: 100, bytes: 1 << 40, failures: 3, rate: 1e9,
          lastSeenSeconds: 0.25, jobs: [access])
      ])
  }()

  static let replies: [ClientReply] = [
    .status(status),
    .status(Status(coordinator: status.coordinator, jobs: [], workers: [])),
    .submitted(.init(job: JobID(5))),
    .done(.init(message: "job 5 is cancelled")),
    .error(.init(Failure(.badData, [fullReport.problem, shortReport.problem]))),
  ]
}

extension [UInt8] {
  init(json: String) { self = Array(json.utf8) }

  func asWorkerMessage() throws -> WorkerEnvelope {
    guard case .worker(let envelope) = try inbound() else { throw WireError.unknownType("of a client") }
    return envelope
  }

  func inbound() throws -> Inbound { try withUnsafeBytes { try Inbound.decode($0) } }
  func coordinatorMessage() throws -> CoordinatorEnvelope { try withUnsafeBytes { try CoordinatorEnvelope.decode($0) } }
  func dataMessage() throws -> DataMessage { try withUnsafeBytes { try DataMessage.decode($0) } }
  func reply() throws -> (reply: ClientReply, request: Int) { try withUnsafeBytes { try ClientReply.decode($0) } }
}
