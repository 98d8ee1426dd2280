import Diagnostics
import Digests
import Testing
import Wire

/// Every message is read back as it was.
@Suite struct RoundTripTests {
  @Test("a worker's message comes back as it was", arguments: Examples.worker)
  func worker(message: WorkerMessage) throws {
    let envelope = WorkerEnvelope(session: Examples.session, epoch: 5, message: message)
    #expect(try envelope.encoded().inbound() == .worker(envelope))
  }

  @Test("a coordinator's message comes back as it was", arguments: Examples.coordinator)
  func coordinator(message: CoordinatorMessage) throws {
    let envelope = CoordinatorEnvelope(session: Examples.session, epoch: 5, seq: 6, heard: 7, message: message)
    #expect(try envelope.encoded().coordinatorMessage() == envelope)
  }

  @Test("a data message comes back as it was", arguments: Examples.data)
  func data(message: DataMessage) throws {
    #expect(try message.encoded().dataMessage() == message)
  }

  @Test("a client's request comes back as it was, with its number", arguments: Examples.requests)
  func request(request: ClientRequest) throws {
    #expect(try request.encoded(request: 42).inbound() == .client(request, request: 42))
  }

  @Test("a reply comes back as it was, with the request's number", arguments: Examples.replies)
  func reply(reply: ClientReply) throws {
    let read = try reply.encoded(request: 42).reply()
    #expect(read.reply == reply)
    #expect(read.request == 42)
  }

  @Test("a failure that goes through a reply is the same failure")
  func failure() throws {
    let failure = Failure(.notPermitted, [Examples.fullReport.problem, Examples.shortReport.problem])
    guard case .error(let report) = try ClientReply.error(.init(failure)).encoded(request: 1).reply().reply else {
      Issue.record("not an error")
      return
    }
    #expect(report.failure == failure)
  }

  @Test("an error without reasons, or of an unknown kind, is a failure all the same")
  func failureWithoutReason() throws {
    let json = #"{"v":1,"type":"error","request":1,"exitCode":3,"problems":[]}"#
    guard case .error(let report) = try [UInt8](json: json).reply().reply else {
      Issue.record("not an error")
      return
    }
    #expect(report.failure.category == .internalError)
    #expect(report.failure.problems.count == 1)
  }

  @Test("numbers in sums that are not finite are told apart")
  func notFinite() throws {
    var sums = Examples.sums
    sums.dot = .nan
    let finished = WorkerMessage.Finished(
      Examples.attempt, digests: [Examples.digest], milliseconds: 1,
      segments: [.init(pair: 0, sums: sums, differingBytes: 0)])
    let envelope = WorkerEnvelope(session: Examples.session, epoch: 1, message: .finished(finished))
    guard case .finished(let read) = try envelope.encoded().asWorkerMessage().message else {
      Issue.record("not a result")
      return
    }
    #expect(read.segments[0].sums.dot.isNaN)
    #expect(read.segments[0].sums.alignedSquared == .infinity)
  }

  // MARK: the text itself

  /// Other programs are written against these.
  @Test("the JSON of a message does not change", arguments: [
    (
      WorkerMessage.beat(
        .init(
          number: 3, seen: 9, isDraining: false, jobs: [JobID(2)],
          held: [.init(Examples.attempt, progress: 1024, isRunning: true)])),
      #"{"epoch":5,"held":[{"attempt":3,"isRunning":true,"job":2,"progress":1024,"shard":17}],"isDraining":false,"#
        + #""jobs":[2],"number":3,"seen":9,"session":"00abcdef01234567","type":"beat","v":1}"#
    ),
    (
      .hello(.init(name: "n1", host: "node/1", process: 7, slots: 8, version: "1.2.0", level: "neon")),
      #"{"epoch":5,"host":"node/1","level":"neon","name":"n1","process":7,"session":"00abcdef01234567","slots":8,"#
        + #""type":"hello","v":1,"version":"1.2.0"}"#
    ),
    (
      .failed(.init(Examples.attempt, cause: .input, input: .init(side: .sft, file: 3), problem: Examples.shortReport)),
      #"{"attempt":3,"cause":"input","epoch":5,"input":{"file":3,"side":"sft"},"job":2,"#
        + #""problem":{"code":"x","message":""},"session":"00abcdef01234567","shard":17,"type":"failed","v":1}"#
    ),
    (
      .finished(
        .init(
          Examples.attempt, digests: [Examples.digest], milliseconds: 12,
          segments: [.init(pair: 1, sums: .init(), differingBytes: 0)])),
      #"{"attempt":3,"digest":"00112233445566778899aabbccddeeff","epoch":5,"job":2,"milliseconds":12,"segments":["#
        + #"{"differingBytes":0,"pair":1,"sums":{"alignedSquared":0,"deltaSquared":0,"dot":0,"elements":0,"#
        + #""largestDelta":0,"nonFiniteInputs":0,"nonFiniteOutputs":0,"overflows":0,"sftSquared":0,"unchanged":0}}],"#
        + #""session":"00abcdef01234567","shard":17,"type":"finished","v":1}"#
    ),
  ])
  func golden(message: WorkerMessage, text: String) {
    let bytes = WorkerEnvelope(session: Examples.session, epoch: 5, message: message).encoded()
    #expect(String(decoding: bytes, as: UTF8.self) == text)
  }

  @Test("nor does that of a coordinator's, data and client messages")
  func goldenOthers() {
    let grant = CoordinatorEnvelope(
      session: Examples.session, epoch: 5, seq: 6, heard: 7, message: .grant(.init([Examples.attempt])))
    let fetch = DataMessage.fetch(
      .init(session: Examples.session, tag: 1, job: JobID(2), source: .sft, file: 0, offset: 4096, count: 1024))
    let texts = [
      (
        grant.encoded(),
        #"{"epoch":5,"heard":7,"leases":[{"attempt":3,"job":2,"shard":17}],"seq":6,"session":"00abcdef01234567","#
          + #""type":"grant","v":1}"#
      ),
      (
        fetch.encoded(),
        #"{"count":1024,"file":0,"job":2,"offset":4096,"session":"00abcdef01234567","source":"sft","tag":1,"#
          + #""type":"fetch","v":1}"#
      ),
      (ClientRequest.status(.init()).encoded(request: 1), #"{"request":1,"type":"status","v":1}"#),
      (
        ClientRequest.drainWorker(.init(worker: "n1")).encoded(request: 2),
        #"{"request":2,"type":"drain-worker","v":1,"worker":"n1"}"#
      ),
      (
        ClientReply.submitted(.init(job: JobID(3))).encoded(request: 2),
        #"{"job":3,"request":2,"type":"submitted","v":1}"#
      ),
    ]
    for (bytes, text) in texts { #expect(String(decoding: bytes, as: UTF8.self) == text) }
  }
}
