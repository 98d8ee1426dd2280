import Foundation
import SystemPackage
import TestSupport
import Testing

@Suite("Commands that are run when a job is over", .timeLimit(.minutes(10)))
struct FinishCommandTests {
  let folder = TemporaryFolder()

  private func cluster() throws -> TestCluster {
    #expect(try Tool(folder: folder.path)("sample", "--shape", "tiny", "--output", "pair").status == 0)
    return try TestCluster(folder.path)
  }

  /// A command that says what it is told, in a file.
  private let telling = #"echo "$EXPOMERGE_JOB $EXPOMERGE_STATE $EXPOMERGE_OUTPUT $EXPOMERGE_EXIT_CODE" >> told; "#

  private var told: String { TemporaryFolder.contents(folder("told")).map { String(decoding: $0, as: UTF8.self) } ?? "" }

  @Test("they know of a job that is complete, failed or cancelled, and what becomes of them changes nothing")
  func ends() throws {
    let cluster = try cluster()
    let worker = try cluster.worker("w1", roots: ["/"])
    #expect(worker.waitFor("joined") != nil)
    let complete = try cluster.submit("out", "--on-finish", telling + "echo said; exit 3")
    #expect(complete.status == 0)
    #expect(complete.output.contains("Merged into") && complete.output.hasSuffix("said\n"))
    #expect(complete.errors.contains("warning: the command of --on-finish ended with 3"))
    let quiet = try cluster.submit("out-2", "--json", "--on-finish", "echo said; kill -TERM $$; echo alive")
    #expect(quiet.status == 0)
    #expect(quiet.objects.map { $0["type"] as? String } == ["submitted", "merged", "warning"])
    #expect(quiet.errors == "said\n" && !quiet.output.contains("said"))
    #expect(worker.terminate() == 0)
    // Nobody works on it, so that it is there to be cancelled.
    let waiting = try cluster.tool.start(cluster.submission("out-3", ["--on-finish", telling]))
    try cluster.wait(for: "running", job: 3)
    #expect(try cluster.tool("cancel", "3", "--coordinator", cluster.address).status == 0)
    #expect(waiting.result().status == 75)
    let out = folder.path.string + "/out"
    #expect(told == "1 complete \(out) 0\n3 cancelled \(out)-3 75\n")
    #expect(cluster.coordinator.terminate() == 0)
  }

  @Test("a job whose input goes away ends with why it failed, and the command knows")
  func failed() throws {
    let cluster = try cluster()
    let waiting = try cluster.tool.start(cluster.submission("out", ["--on-finish", telling]))
    try cluster.wait(for: "running")
    // Another file of the same size: what is read is not what was planned.
    let file = folder("pair/sft/model.safetensors")
    try #require(truncate(file.string, 4096) == 0)
    let worker = try cluster.worker("w1", roots: ["/"])
    let result = waiting.result()
    #expect(![0, 75].contains(result.status), "\(result.errors)")
    #expect(result.errors.contains("model.safetensors"))
    #expect(told == "1 failed \(folder.path.string)/out \(result.status)\n")
    #expect(worker.terminate() == 0)
    #expect(cluster.coordinator.terminate() == 0)
  }

  @Test("a job can be waited for later, by several, and when it is over; a number that is no job's is refused")
  func later() throws {
    let cluster = try cluster()
    #expect(try cluster.submit("out").status == 0)
    let waiting = try (1...2).map { number in
      try cluster.tool.start(["wait", "1", "--coordinator", cluster.address] + (number == 1 ? ["--on-finish", telling] : []))
    }
    let second = try cluster.submit("../\(folder.path.lastComponent!)/out")
    #expect(second.status == 73 && second.errors.contains("job 1 writes there already"), "\(second.errors)")
    let worker = try cluster.worker("w1", roots: ["/"])
    for wait in waiting {
      let result = wait.result()
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.output.contains("Merged into \(folder.path.string)/out"))
    }
    #expect(told == "1 complete \(folder.path.string)/out 0\n")
    #expect(try cluster.tool("wait", "1", "--coordinator", cluster.address).status == 0)
    // A variable that is empty says nothing: nobody is at the usual address, or somebody else.
    #expect(try ![0, 64].contains(cluster.tool.run(["wait", "1", "--timeout", "1"], environment: ["EXPOMERGE_COORDINATOR": ""]).status))
    let unknown = try cluster.tool("wait", "7", "--coordinator", cluster.address)
    #expect(unknown.status == 66 && unknown.errors.contains("job 7"), "\(unknown.errors)")
    #expect(worker.terminate() == 0)
    #expect(cluster.coordinator.terminate() == 0)
  }

  @Test("an interrupt ends the waiting and not the job, and runs nothing")
  func interrupted() throws {
    let cluster = try cluster()
    let waiting = try cluster.tool.start(cluster.submission("out", ["--on-finish", telling]))
    try cluster.wait(for: "running")
    waiting.process.signal(SIGINT)
    let result = waiting.result()
    #expect(result.status == 75)
    #expect(result.errors.contains("no longer waiting; job 1 goes on"))
    let worker = try cluster.worker("w1", roots: ["/"])
    #expect(try cluster.wait(for: "complete") == "complete")
    #expect(told == "")
    #expect(worker.terminate() == 0)
    #expect(cluster.coordinator.terminate() == 0)
  }
}
