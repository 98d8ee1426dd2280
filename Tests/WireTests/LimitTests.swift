import Diagnostics
import Digests
import Planning
import Testing
import Wire

/// What no message may exceed, on either side.
@Suite struct LimitTests {
  private func isTaken(_ message: WorkerMessage) -> Bool {
    let bytes = WorkerEnvelope(session: Examples.session, epoch: 1, message: message).encoded()
    return (try? bytes.inbound()) != nil
  }

  private func isTaken(_ message: CoordinatorMessage) -> Bool {
    let bytes = CoordinatorEnvelope(session: Examples.session, epoch: 1, seq: 1, heard: 0, message: message).encoded()
    return (try? bytes.coordinatorMessage()) != nil
  }

  private func isTaken(_ request: ClientRequest) -> Bool {
    (try? request.encoded(request: 1).inbound()) != nil
  }

  @Test("a control message of more than 16 MiB is not even looked at")
  func controlSize() {
    let (fits, tooLarge) = (Limits.controlBytes, Limits.controlBytes + 1)
    let spaces = [UInt8](repeating: 32, count: tooLarge)
    #expect(throws: WireError.tooLarge(tooLarge)) { try spaces.inbound() }
    #expect(throws: WireError.tooLarge(tooLarge)) { try spaces.coordinatorMessage() }
    #expect(throws: WireError.tooLarge(tooLarge)) { try spaces.reply() }
    let padded = Array(HostileMessageTests.beat.utf8) + spaces.prefix(fits - HostileMessageTests.beat.utf8.count)
    #expect(throws: Never.self) { try padded.inbound() }
  }

  @Test("the JSON of a data message has 64 KiB at most")
  func dataSize() {
    let spaces = [UInt8](repeating: 32, count: Limits.dataHeaderBytes + 1)
    #expect(throws: WireError.tooLarge(spaces.count)) { try spaces.dataMessage() }
  }

  // MARK: workers

  @Test("a worker has 1 to 1024 slots", arguments: [(0, false), (1, true), (1024, true), (1025, false), (-1, false)])
  func slots(count: Int, isTaken: Bool) {
    let hello = WorkerMessage.Hello(name: "n", host: "", process: 1, slots: count, version: "", level: "")
    #expect(self.isTaken(.hello(hello)) == isTaken)
  }

  @Test("a worker has a name, of 255 bytes at most", arguments: [(0, false), (1, true), (255, true), (256, false)])
  func names(count: Int, isTaken: Bool) {
    let name = String(repeating: "n", count: count)
    let hello = WorkerMessage.Hello(name: name, host: "", process: 1, slots: 1, version: "", level: "")
    #expect(self.isTaken(.hello(hello)) == isTaken)
  }

  @Test("other texts of a hello have 255 bytes at most")
  func helloTexts() {
    let long = String(repeating: "é", count: 128)
    #expect(!isTaken(.hello(.init(name: "n", host: long, process: 1, slots: 1, version: "", level: ""))))
    #expect(!isTaken(.hello(.init(name: "n", host: "", process: 1, slots: 1, version: long, level: ""))))
    #expect(!isTaken(.hello(.init(name: "n", host: "", process: 1, slots: 1, version: "", level: long))))
  }

  @Test("what a worker calls itself cannot speak to a terminal", arguments: [
    "\u{1b}[31m", "a\nb", "a\rb", "\0", "\u{7f}", "\u{9b}2J", "\u{2028}", "\u{202e}", "\u{2066}", "\u{200f}",
  ])
  func controlCharacters(text: String) {
    #expect(isTaken(.hello(.init(name: "né 7", host: "節", process: 1, slots: 1, version: "1", level: "l"))))
    #expect(!isTaken(.hello(.init(name: "n" + text, host: "", process: 1, slots: 1, version: "", level: ""))))
    #expect(!isTaken(.hello(.init(name: "n", host: text, process: 1, slots: 1, version: "", level: ""))))
    #expect(!isTaken(.hello(.init(name: "n", host: "", process: 1, slots: 1, version: text, level: ""))))
    #expect(!isTaken(.hello(.init(name: "n", host: "", process: 1, slots: 1, version: "", level: text))))
  }

  @Test("a beat lists 4096 leases and 10,000 jobs at most", arguments: [
    (4096, 10_000, true), (4097, 0, false), (0, 10_001, false),
  ])
  func beats(held: Int, jobs: Int, isTaken: Bool) {
    let beat = WorkerMessage.Beat(
      number: 1, seen: 0, isDraining: false, jobs: (0..<jobs).map { JobID($0) },
      held: (0..<held).map { .init(Attempt(job: JobID(1), shard: $0, attempt: 1), progress: 0, isRunning: false) })
    #expect(self.isTaken(.beat(beat)) == isTaken)
  }

  @Test("an answer has 1000 notes at most", arguments: [(1000, true), (1001, false)])
  func notes(count: Int, isTaken: Bool) {
    let notes = Array(repeating: Examples.shortReport, count: count)
    #expect(self.isTaken(.prepared(.init(job: JobID(1), notes: notes))) == isTaken)
  }

  @Test("a shard takes no less than no time, and less than 35 years", arguments: [
    (-1, false), (0, true), ((1 << 40) - 1, true), (1 << 40, false),
  ])
  func milliseconds(count: Int, isTaken: Bool) {
    let finished = WorkerMessage.Finished(Examples.attempt, digests: [Examples.digest], milliseconds: count, segments: [])
    #expect(self.isTaken(.finished(finished)) == isTaken)
  }

  @Test("a shard has 32 variants at most, whose digests go with that of all", arguments: [(1, true), (2, true), (32, true), (33, false)])
  func variants(count: Int, isTaken: Bool) {
    let digests = (0..<count).map { Digest128(high: 1, low: UInt64($0)) }
    var finished = WorkerMessage.Finished(Examples.attempt, digests: digests, milliseconds: 1, segments: [])
    #expect(self.isTaken(.finished(finished)) == isTaken)
    finished.variants = digests
    #expect(self.isTaken(.finished(finished)) == (isTaken && count > 1))
    finished.variants?.swapAt(0, count - 1)
    #expect(!self.isTaken(.finished(finished)))
  }

  // MARK: the coordinator

  @Test("intervals and window of a welcome make sense", arguments: [
    (1000, 5000, 32 << 20, true), (1, 1, 4 << 20, true), (3_600_000, 86_400_000, 1 << 40, true),
    (0, 5000, 4 << 20, false), (3_600_001, 86_400_000, 4 << 20, false), (1000, 999, 4 << 20, false),
    (1000, 86_400_001, 4 << 20, false), (1000, 5000, (4 << 20) - 1, false), (1000, 5000, (1 << 40) + 1, false),
    (-1, -1, -1, false),
  ])
  func welcome(beat: Int, lease: Int, window: Int, isTaken: Bool) {
    let welcome = CoordinatorMessage.Welcome(
      beatMilliseconds: beat, leaseMilliseconds: lease, dataPort: 5756, window: window)
    #expect(self.isTaken(.welcome(welcome)) == isTaken)
  }

  @Test("the port for data is one", arguments: [(-1, false), (0, true), (65535, true), (65536, false)])
  func dataPort(number: Int, isTaken: Bool) {
    let welcome = CoordinatorMessage.Welcome(
      beatMilliseconds: 1000, leaseMilliseconds: 5000, dataPort: number, window: 32 << 20)
    #expect(self.isTaken(.welcome(welcome)) == isTaken)
  }

  @Test("4096 leases are granted, acknowledged or revoked at a time", arguments: [(4096, true), (4097, false)])
  func leases(count: Int, isTaken: Bool) {
    let leases = (0..<count).map { Attempt(job: JobID(1), shard: $0, attempt: 1) }
    #expect(self.isTaken(.grant(.init(leases))) == isTaken)
    #expect(self.isTaken(.check(.init(leases))) == isTaken)
    #expect(self.isTaken(.acknowledge(.init(leases))) == isTaken)
    #expect(self.isTaken(.revoke(.init(leases))) == isTaken)
  }

  @Test("shards count from 0 and attempts from 1", arguments: [(0, 1, true), (-1, 1, false), (0, 0, false)])
  func leaseNumbers(shard: Int, attempt: Int, isTaken: Bool) {
    #expect(self.isTaken(.grant(.init([Attempt(job: JobID(1), shard: shard, attempt: attempt)]))) == isTaken)
  }

  /// Each change makes an offer that no worker should look at.
  static let badOffers: [(String, @Sendable (inout CoordinatorMessage.JobOffer) -> Void)] = [
    ("an empty description", { $0.descriptionBytes = 0 }),
    ("a description of more than 256 MiB", { $0.descriptionBytes = (256 << 20) + 1 }),
    ("a long path", { $0.aligned.folder = String(repeating: "p", count: 4097) }),
    ("a path with a zero byte", { $0.sft.folder = "/a\0b" }),
    ("an output with a zero byte", { $0.output.folder = "\0" }),
    ("a nonce file with a zero byte", { $0.output.nonceFile = "a\0" }),
    ("a long nonce", { $0.output.nonce = String(repeating: "n", count: 256) }),
    ("an input of negative size", {
      $0.sft.files = [.init(name: "a", bytes: -1, header: Examples.digest, pages: Examples.digest)]
    }),
    ("an input of impossible size", {
      $0.sft.files = [.init(name: "a", bytes: 1 << 60, header: Examples.digest, pages: Examples.digest)]
    }),
    ("an input's name with a zero byte", {
      $0.aligned.files = [.init(name: "a\0", bytes: 1, header: Examples.digest, pages: Examples.digest)]
    }),
  ]

  @Test("an offer that cannot be meant is refused", arguments: badOffers.indices)
  func offers(index: Int) {
    #expect(isTaken(.job(Examples.offer)))
    var offer = Examples.offer
    Self.badOffers[index].1(&offer)
    #expect(!isTaken(.job(offer)), "\(Self.badOffers[index].0)")
  }

  // MARK: clients

  @Test("paths of a submission have 4096 bytes at most, and no zero byte", arguments: [
    (4096, "p", true), (4097, "p", false), (2, "\0", false),
  ])
  func submissions(count: Int, character: Character, isTaken: Bool) {
    let path = String(repeating: character, count: count)
    let recipe = Recipe(alpha: 0.3)
    #expect(self.isTaken(.submit(.init(aligned: path, sft: "/s", output: "/o", recipe: recipe))) == isTaken)
    #expect(self.isTaken(.submit(.init(aligned: "/a", sft: path, output: "/o", recipe: recipe))) == isTaken)
    #expect(self.isTaken(.submit(.init(aligned: "/a", sft: "/s", output: path, recipe: recipe))) == isTaken)
  }

  @Test("a worker that is to be drained has a name of 255 bytes at most", arguments: [(255, true), (256, false)])
  func drains(count: Int, isTaken: Bool) {
    #expect(self.isTaken(.drainWorker(.init(worker: String(repeating: "n", count: count)))) == isTaken)
  }

  // MARK: data

  private func isTaken(_ message: DataMessage) -> Bool { (try? message.encoded().dataMessage()) != nil }

  @Test("a chunk has 1 byte to 4 MiB", arguments: [
    (0, false), (1, true), (4 << 20, true), ((4 << 20) + 1, false), (-1, false),
  ])
  func chunks(count: Int, isTaken: Bool) {
    let fetch = DataMessage.Fetch(
      session: Examples.session, tag: 1, job: JobID(1), source: .aligned, file: 0, offset: 0, count: count)
    #expect(self.isTaken(.fetch(fetch)) == isTaken)
  }

  @Test("places in files lie where files can have bytes", arguments: [
    (0, 0, true), (7, (1 << 60) - 1, true), (-1, 0, false), (0, -1, false), (0, 1 << 60, false), (0, .max, false),
  ])
  func places(file: Int, offset: Int, isTaken: Bool) {
    let fetch = DataMessage.Fetch(
      session: Examples.session, tag: 1, job: JobID(1), source: .sft, file: file, offset: offset, count: 1)
    #expect(self.isTaken(.fetch(fetch)) == isTaken)
    guard file == 0 else { return }
    let store = DataMessage.Store(session: Examples.session, tag: 1, attempt: Examples.attempt, offset: offset)
    #expect(self.isTaken(.store(store)) == isTaken)
  }
}
