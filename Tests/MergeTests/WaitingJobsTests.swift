import Coordinator
import Diagnostics
import Dispatch
import FileIO
import Glibc
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Transport
import Wire

@Suite("Jobs of an earlier life", .timeLimit(.minutes(10)))
struct WaitingJobsTests {
  let workshop = Workshop()

  init() {
    workshop.writeUsualPair()
    workshop.folder.write("", to: "disk/here")
  }

  private var state: FilePath { workshop.folder("state") }

  /// A job, and the end of the coordinator that had it.
  private func begin() throws {
    let life = try CoordinatorLife(at: state)
    let submission = ClientRequest.Submission(
      aligned: workshop.aligned.string, sft: workshop.sft.string, output: workshop.folder("disk/out").string,
      recipe: .init(alpha: 0.5, shardSize: 65536))
    #expect(try life.client.ask(.submit(submission)) == .submitted(.init(job: JobID(1))))
    life.end()
  }

  private func move(_ from: String, _ to: String) {
    #expect(rename(workshop.folder(from).string, workshop.folder(to).string) == 0)
  }

  /// What is not there when the coordinator starts.
  enum Absent: String, CaseIterable {
    case folder = "sft", file = "sft/model.safetensors", disk = "disk"
  }

  @Test("what is not there yet is waited for; the job is shown with what it waits for", arguments: Absent.allCases)
  func waits(absent: Absent) throws {
    try begin()
    move(absent.rawValue, "away")
    if absent == .folder { workshop.folder.makeFolder(workshop.sft) }
    let life = try CoordinatorLife(at: state)
    let waiting = try life.wait(for: "a job that waits") { $0.phase == "waiting" }
    #expect(waiting.state == .preparing && waiting.exitCode == nil)
    let missing = absent == .file ? "sft" : absent.rawValue
    #expect(waiting.problems.map(\.file) == [workshop.folder(missing).string])
    #expect(try life.records().map(\.state) == [.running])
    #expect(!TemporaryFolder.exists(workshop.folder("disk")) == (absent == .disk))
    if absent == .folder { #expect(rmdir(workshop.sft.string) == 0) }
    move("away", absent.rawValue)
    #expect(try life.wait(for: "the job to run") { $0.phase == "merging" }.problems == [])
    life.end()
  }

  @Test("a filesystem that fails is waited for", arguments: [EIO, ESTALE, ENOTCONN, EACCES])
  func fails(number: Int32) throws {
    try begin()
    let switchOff = Switch()
    var calls = SystemCalls()
    calls.pread = { descriptor, buffer, count, offset in
      if switchOff.isOff { return pread(descriptor, buffer, count, offset) }
      errno = number
      return -1
    }
    let life = try CoordinatorLife(at: state, calls: calls)
    _ = try life.wait(for: "a job that waits") { $0.phase == "waiting" && !$0.problems.isEmpty }
    switchOff.turn()
    _ = try life.wait(for: "the job to run") { $0.state == .running }
    life.end()
  }

  private final class Switch: Sendable {
    private let state = Atomic(false)
    var isOff: Bool { state.load(ordering: .relaxed) }
    func turn() { state.store(true, ordering: .relaxed) }
  }

  @Test("what waiting cannot mend fails at once, and after waiting too", arguments: [false, true])
  func changed(isLate: Bool) throws {
    try begin()
    var contents = try #require(TemporaryFolder.contents(workshop.folder("sft/model.safetensors")))
    contents[contents.count - 5] ^= 1
    if isLate { move("sft", "away") } else { workshop.folder.write(contents, to: "sft/model.safetensors") }
    let life = try CoordinatorLife(at: state)
    if isLate {
      _ = try life.wait(for: "a job that waits") { $0.phase == "waiting" }
      workshop.folder.write(contents, to: "away/model.safetensors")
      move("away", "sft")
    }
    let failed = try life.wait(for: "the job to fail") { $0.state == .failed }
    #expect(failed.problems.map(\.code) == ["input-changed"] && failed.exitCode == 65)
    life.end()
    // Another life shows it as this one did.
    let next = try CoordinatorLife(at: state)
    let shown = try next.status()
    #expect(shown.state == .failed && shown.problems == failed.problems && shown.exitCode == 65)
    next.end()
  }

  @Test("a job that waits can be cancelled, and told to try now")
  func commands() throws {
    try begin()
    move("sft", "away")
    let life = try CoordinatorLife(at: state) { $0.retryMilliseconds = 3_600_000 }
    _ = try life.wait(for: "a job that waits") { $0.phase == "waiting" }
    // Refused with the reason, and it goes on waiting.
    guard case .error(let refusal) = try life.client.ask(.resume(.init(job: JobID(1)))) else {
      Issue.record("nothing is there to go on with")
      return
    }
    #expect(refusal.exitCode == 66 && refusal.problems.map(\.file) == [workshop.sft.string])
    #expect(try life.status().phase == "waiting")
    move("away", "sft")
    #expect(try life.client.ask(.resume(.init(job: JobID(1)))) == .submitted(.init(job: JobID(1))))
    #expect(try life.status().state == .running)
    life.end()

    move("sft", "away")
    let next = try CoordinatorLife(at: state)
    _ = try next.wait(for: "a job that waits") { $0.phase == "waiting" }
    _ = try next.client.ask(.cancel(.init(job: JobID(1))))
    _ = try next.wait(for: "the job to be cancelled") { $0.state == .cancelled }
    next.end()
    let last = try CoordinatorLife(at: state)
    #expect(try last.status().state == .cancelled)
    last.end()
  }

  @Test("a coordinator ends while a job waits, and the next one waits on")
  func ends() throws {
    try begin()
    move("sft", "away")
    for _ in 1...2 {
      let life = try CoordinatorLife(at: state)
      _ = try life.wait(for: "a job that waits") { $0.phase == "waiting" }
      #expect(life.endInOrder())
    }
  }

  @Test("a job whose options in the journal cannot be read is shown as failed, with the reason", arguments: ["{}", "no JSON"])
  func unreadable(options: String) throws {
    try begin()
    let edited = try CoordinatorLife(at: state)
    try edited.setOptions(options)
    edited.end()
    for _ in 1...2 {
      let life = try CoordinatorLife(at: state)
      let failed = try life.wait(for: "the job to fail") { $0.state == .failed }
      #expect(failed.problems.map(\.code) == ["options-unreadable"] && failed.exitCode == 65)
      guard case .error(let refusal) = try life.client.ask(.resume(.init(job: JobID(1)))) else {
        Issue.record("it cannot be gone on with")
        return
      }
      #expect(refusal.problems.map(\.code) == ["options-unreadable"])
      life.end()
    }
  }

  @Test("a coordinator ends although a filesystem hangs, and answers who waits for a job to be prepared")
  func hangs() throws {
    let (gate, isHanging) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    var calls = SystemCalls()
    calls.pread = { descriptor, buffer, count, offset in
      isHanging.signal()
      gate.wait()
      return pread(descriptor, buffer, count, offset)
    }
    let life = try CoordinatorLife(at: state, calls: calls) {
      ($0.graceMilliseconds, $0.threadMilliseconds) = (1, 1)
    }
    let submission = ClientRequest.Submission(
      aligned: workshop.aligned.string, sft: workshop.sft.string, output: workshop.folder("disk/out").string,
      recipe: .init(alpha: 0.5, shardSize: 65536))
    let (endpoint, answered) = (life.endpoint, DispatchSemaphore(value: 0))
    let answer = Mutex<Result<ClientReply, Failure>?>(nil)
    DispatchQueue.global().async {
      let result = Result { () throws(Failure) in try Client(endpoint, timeout: 60_000).ask(.submit(submission)) }
      answer.withLock { $0 = result }
      answered.signal()
    }
    isHanging.wait()
    #expect(!life.endInOrder())
    answered.wait()
    guard case .success(.error(let refusal))? = answer.withLock({ $0 }) else {
      Issue.record("no answer, but \(String(describing: answer.withLock { $0 }))")
      return
    }
    #expect(refusal.exitCode == 69 && refusal.problems.map(\.code) == ["coordinator-ending"])
    for _ in 1...100 { gate.signal() }
  }
}
