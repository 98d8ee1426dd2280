import Glibc
import Processes
import SystemPackage
import TestSupport
import Testing
import Threads

@Suite("Commands", .timeLimit(.minutes(10))) struct CommandRunnerTests {
  let folder = TemporaryFolder()

  private func command(_ text: String, limit: Duration? = nil) -> CommandRunner.Command {
    .init(text, output: folder("out"), errors: folder("err"), timeLimit: limit)
  }

  private func text(_ name: String) -> String { String(decoding: TemporaryFolder.contents(folder(name)) ?? [], as: UTF8.self) }

  /// Whether a process that wrote its number to a file runs.
  private func runs(_ name: String) throws -> Bool {
    let id = try #require(Int32(text(name).split(separator: "\n").first ?? ""))
    // Of one that has ended, the status may wait to be taken by a process above this one.
    let state = TemporaryFolder.contents(FilePath("/proc/\(id)/stat")).map { String(decoding: $0, as: UTF8.self) }
    return state.map { !$0.contains(") Z ") } ?? false
  }

  @Test("tells how they ended, and what they printed")
  func ends() throws {
    let runner = try CommandRunner()
    #expect(try runner.run(command("echo one; echo two >&2; exit 3")) == .exited(3))
    #expect(text("out") == "one\n" && text("err") == "two\n")
    #expect(try runner.run(command("echo again")) == .exited(0))
    #expect(text("out") == "again\n" && text("err") == "")
    #expect(try runner.run(command("kill -9 $$")) == .signalled(SIGKILL))
    #expect(try runner.run(command("no-such-command-anywhere")) == .exited(127))
    #expect(text("err").contains("no-such-command-anywhere"))
  }

  @Test("nothing is read from here, and no file of this process is open there")
  func isolated() throws {
    let secret = open(folder.write("secret", to: "secret").string, O_RDONLY)
    defer { close(secret) }
    let end = try CommandRunner().run(command("cat; ls /proc/self/fd | wc -l; [ -e /proc/self/fd/\(secret) ] || echo closed"))
    // ls has one open of its own.
    #expect(end == .exited(0) && text("out").split(separator: "\n") == ["4", "closed"])
  }

  @Test("no signal is blocked or ignored there")
  func signals() throws {
    signal(SIGXFSZ, SIG_IGN)
    defer { signal(SIGXFSZ, SIG_DFL) }
    let end = try CommandRunner().run(command("sed -n 's/^Sig\\(Blk\\|Ign\\):[[:space:]]*//p' /proc/self/status"))
    #expect(end == .exited(0))
    // 32 and 33 are the C library's own.
    let masks = text("out").split(separator: "\n").compactMap { UInt64($0, radix: 16) }.map { $0 & ~(3 << 31) }
    #expect(masks == [0, 0])
  }

  @Test("a time limit ends the whole group")
  func timeLimit() throws {
    // The name of the folder tells these from all other processes.
    let sleep = "sh -c 'while :; do sleep 600; done' '\(folder.path)'"
    #expect(try CommandRunner().run(command("\(sleep) & \(sleep)", limit: .milliseconds(200))) == .timedOut)
    let running = TemporaryFolder.names(in: "/proc").filter { name in
      String(decoding: TemporaryFolder.contents(FilePath("/proc/\(name)/cmdline")) ?? [], as: UTF8.self).contains(folder.path.string)
    }
    #expect(running.isEmpty)
  }

  @Test("a group that does not mind SIGTERM ends by SIGKILL")
  func stubborn() throws {
    let stubborn = "sh -c 'trap \"\" TERM; echo $$ >\"$1\"; while :; do sleep 0.01; done' - '\(folder("child"))'"
    // Its first process minds, and its child does not.
    let text = "\(stubborn) & until [ -s '\(folder("child"))' ]; do sleep 0.01; done; echo ready; wait"
    let runner = try CommandRunner(grace: .milliseconds(100))
    let end = try runner.run(command(text)) { self.text("out") == "ready\n" }
    #expect(end == .cancelled)
    #expect(try !runs("child"))
  }

  @Test("what a command leaves running ends with it")
  func leftovers() throws {
    let end = try CommandRunner().run(command("sleep 600 & echo $! >'\(folder("child"))'; exit 0"))
    #expect(end == .exited(0))
    #expect(try !runs("child"))
  }

  @Test("commands may run side by side")
  func sideBySide() async throws {
    let runner = try CommandRunner()
    let folder = folder
    // Each waits for all the others.
    let wait = "until [ $(ls '\(folder.path)' | grep -c '^at-') = 4 ]; do sleep 0.01; done"
    let ends = try await withThrowingTaskGroup(of: CommandRunner.End.self) { group in
      for index in 0..<4 {
        group.addTask {
          try await withCheckedThrowingContinuation { continuation in
            _ = ThreadTeam(count: 1) { _ in
              let command = CommandRunner.Command(
                "touch '\(folder("at-\(index)"))'; \(wait)", output: folder("out\(index)"), errors: folder("err\(index)"),
                timeLimit: .seconds(100))
              continuation.resume(with: Result { try runner.run(command) })
            }
          }
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(ends == Array(repeating: .exited(0), count: 4))
  }
}
