import Foundation
import SystemPackage
import TestSupport
import Testing

@Suite("Configuration of daemons, from the command line", .timeLimit(.minutes(10)))
struct ConfigurationCommandTests {
  let folder = TemporaryFolder()
  let tool: Tool

  init() {
    tool = Tool(folder: folder.path)
  }

  /// Of a command's table, the value and the source of each option.
  private func table(_ output: String) -> [String: [String]] {
    let rows = output.split(separator: "\n").filter { $0.hasPrefix("  ") }.dropFirst().map { line in
      line.split(separator: /\s{2,}/).map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }
    return Dictionary(rows.map { ($0[0], Array($0.dropFirst())) }) { first, _ in first }
  }

  /// The long options of a command that a configuration may say, by its help.
  private func options(of command: String) throws -> Set<String> {
    let lines = try tool(command, "--help").output.split(separator: "\n").filter { $0.hasPrefix("  -") }
    return Set(lines.flatMap { $0.matches(of: /--([a-z0-9-]+)/).prefix(1).map { String($0.output.1) } })
      .subtracting(["help", "version", "config", "check-config"])
  }

  @Test("the file, the environment and the command line are taken in this order, and shown")
  func check() throws {
    folder.makeFolder(folder("models"))
    folder.write("listen: tcp://127.0.0.1:7000\nlisten-data: tcp://127.0.0.1:7001\nstate: state\nlog-level: error\n", to: "c.yaml")
    let checked = try tool.run(
      ["coordinator", "--check-config", "--config", "c.yaml", "--log-format", "json"],
      environment: ["EXPOMERGE_LOG_LEVEL": "debug", "EXPOMERGE_ROOT": "models", "EXPOMERGE_STAET": "x", "EXPOMERGE_SLOTS": "2"])
    #expect(checked.status == 0, "\(checked.errors)")
    let rows = table(checked.output)
    #expect(rows["listen"] == ["tcp://127.0.0.1:7000", "c.yaml, line 1"])
    #expect(rows["log-level"] == ["debug", "$EXPOMERGE_LOG_LEVEL"])
    #expect(rows["log-format"] == ["json", "command line"])
    #expect(rows["root"] == ["models", "$EXPOMERGE_ROOT"])
    #expect(rows["read"] == ["auto", "default"])
    #expect(try Set(rows.keys) == options(of: "coordinator"))
    #expect(checked.errors.contains("EXPOMERGE_STAET, which is no option and does nothing; did you mean EXPOMERGE_STATE?"))
    #expect(!checked.errors.contains("SLOTS"))
    #expect(TemporaryFolder.names(in: folder.path) == ["models", "c.yaml"])
  }

  @Test("all that is wrong is told at once, and nothing is started")
  func problems() throws {
    folder.write("", to: "file")
    let coordinator = try tool(
      "coordinator", "--check-config", "--listen", "tcp://*:5755", "--state", "file/state", "--root", "none-1", "--root", "none-2")
    #expect(coordinator.status == 77)
    for words in ["there are no keys", "file: is not a folder", "none-1: there is no such folder", "none-2: there"] {
      #expect(coordinator.errors.contains(words), "\(words)")
    }
    let worker = try tool("worker", "--check-config", "--coordinator", "head", "--keys", "none")
    #expect(worker.status == 64)
    #expect(worker.errors.contains("'head' is not an address") && worker.errors.contains("--server-key one is missing"))
    folder.write("state: s\nlisten: tcp://127.0.0.1:1\nrooot: /\n", to: "wrong.yaml")
    let wrong = try tool("coordinator", "--config", "wrong.yaml")
    #expect(wrong.status == 78)
    #expect(wrong.errors == "error: wrong.yaml: line 3: there is no key 'rooot'; did you mean root?\n")
    let value = try tool.run(["worker", "--coordinator", "tcp://head:1"], environment: ["EXPOMERGE_SLOTS": "many"])
    #expect(value.status == 78)
    #expect(value.errors.hasPrefix("error: EXPOMERGE_SLOTS is 'many'; expected is <n>: Shards computed at a time"), "\(value.errors)")
    folder.write("coordinator: tcp://head:1\nname: n\nlimit-rate: fast\nlog-format: plain\n", to: "values.yaml")
    let values = try tool.run(["worker", "--config", "values.yaml"], environment: ["EXPOMERGE_EXIT_WHEN_IDLE": "0"])
    #expect(values.status == 78)
    let lines = values.errors.split(separator: "\n").sorted()
    #expect(
      lines == [
        "error: EXPOMERGE_EXIT_WHEN_IDLE: --exit-when-idle must be from 1 to 31536000",
        "error: values.yaml: line 3: limit-rate is 'fast'; expected is <size>: Bytes of output a second at most, as in 200MB",
        "error: values.yaml: line 4: log-format is 'plain'; choose one of text, json",
      ], "\(values.errors)")
    let typed = try tool("worker", "--config", "values.yaml", "--limit-rate", "slow", "--log-format", "text")
    #expect(typed.status == 64)
    #expect(typed.errors.contains("'slow' is invalid") && !typed.errors.contains("values.yaml"), "\(typed.errors)")
    #expect(try tool.run(["worker", "--help"], environment: ["EXPOMERGE_CONFIG": "none"]).status == 0)
    let missing = try tool.run(["worker"], environment: ["EXPOMERGE_CONFIG": "none.yaml"])
    #expect(missing.status == 66)
    #expect(missing.errors.contains("none.yaml: cannot open"))
  }

  @Test("options that the parser refuses keep nothing else from being checked")
  func refusedOptions() throws {
    let both = ["--root", "none", "--http", "nowhere", "--check-config"]
    folder.write("threads: 0\nread: gently\n", to: "c.yaml")
    let keys = ["--keys", "no-1", "--authorized", "no-2", "--insecure"]
    let coordinator = try tool.run(["coordinator", "--config", "c.yaml", "--listen", "here", "--state", "s"] + keys + both)
    #expect([64, 78].contains(coordinator.status))
    for words in [
      "for '--http", "line 1: --threads must be", "line 2: read is 'gently'; choose one of auto, mmap, pread", "'here' is not an address",
      "none: there is no such folder",
    ] { #expect(coordinator.errors.contains(words), "\(words): \(coordinator.errors)") }
    let worker = try tool.run(["worker", "--coordinator", "tcp://h:1", "--keys", "no-1", "--server-key", "no-2"] + both)
    #expect(worker.status == 64)
    for words in ["for '--http", "error: no-1: ", "error: no-2: ", "none: there is no such folder"] {
      #expect(worker.errors.contains(words), "\(words): \(worker.errors)")
    }
    #expect(worker.output.contains("nowhere") && !worker.output.contains("nothing wrong"))
    #expect(try tool("worker", "--check-config", "--coordinator", "tcp://h:1", "--htp", "x").status == 64)
    let missing = try tool("coordinator", "--config", "c.yaml")
    #expect(missing.status == 78)
    #expect(missing.errors.contains("line 2: read is") && missing.errors.contains("Missing expected argument '--state <dir>'"))
  }

  @Test("a key file that cannot be read is told with where its path is from")
  func origins() throws {
    folder.write("coordinator: tcp://127.0.0.1:1\nkeys: none\n", to: "w.yaml")
    folder.write("no certificate", to: "bad.key")
    let worker = try tool.run(["worker", "--config", "w.yaml"], environment: ["EXPOMERGE_SERVER_KEY": "bad.key"])
    #expect(worker.status == 78)
    let lines = worker.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
    #expect(lines.count == 2, "\(worker.errors)")
    #expect(lines.first?.contains("bad.key") == true && lines.first?.contains("$EXPOMERGE_SERVER_KEY") == true)
    #expect(lines.last?.hasPrefix("error: none: ") == true && lines.last?.contains("w.yaml, line 2") == true)
    let status = try tool.run(["status", "--server-key", "bad.key"], environment: ["EXPOMERGE_KEYS": "none"])
    #expect(status.errors.contains("--server-key") && status.errors.contains("$EXPOMERGE_KEYS"), "\(status.errors)")
    let coordinator = try tool("coordinator", "--state", "s", "--keys", "none.key_secret", "--authorized", "nobody")
    #expect(coordinator.errors.contains("--keys") && coordinator.errors.contains("--authorized"), "\(coordinator.errors)")
  }

  @Test("daemons start with what a file and the environment say")
  func daemons() throws {
    #expect(try tool("sample", "--shape", "tiny", "--output", "pair").status == 0)
    folder.write("listen: tcp://127.0.0.1:0\nstate: state\nroot: ['\(folder.path)']\n", to: "coordinator.yaml")
    let coordinator = try Daemon(["coordinator"], in: folder.path, environment: ["EXPOMERGE_CONFIG": "coordinator.yaml"])
    let line = try #require(coordinator.waitFor("listens at"))
    let address = try #require(line.firstMatch(of: /listens at (tcp:[^,]*),/)).output.1
    folder.write("slots: 3\nname: from-file\n", to: "worker.yaml")
    let worker = try Daemon(
      ["worker", "--config", "worker.yaml", "--name", "typed"], in: folder.path,
      environment: ["EXPOMERGE_COORDINATOR": String(address), "EXPOMERGE_ROOT": "\(folder.path):/usr"])
    #expect(worker.waitFor("joined") != nil)
    let client = ["--coordinator", String(address)]
    let status = try tool.run(["status", "--json"] + client).objects.first
    let workers = status?["workers"] as? [[String: Any]]
    #expect(workers?.map { $0["name"] as? String } == ["typed"])
    #expect(workers?.map { $0["slots"] as? Int } == [3])
    let merged = try tool.run(
      ["submit", "--wait", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--output", "out"] + client)
    #expect(merged.status == 0, "\(merged.errors)")
    #expect(worker.text.contains("output direct"))
    #expect(worker.terminate() == 0)
    #expect(coordinator.terminate() == 0)
  }

  @Test("the example files are right and have every option", arguments: ["coordinator", "worker"])
  func examples(_ command: String) throws {
    let source = FilePath(#filePath).removingLastComponent().appending("../../Cluster/config/\(command).yaml")
    let text = try String(contentsOfFile: source.string, encoding: .utf8)
    let keys = text.matches(of: /(?m)^(?:# )?([a-z-]+): ?(?:[^ ].*)?$/).map { String($0.output.1) }.filter { $0 != "true" }
    let all = try options(of: command)
    #expect(Set(keys).intersection(all) == all, "missing: \(all.subtracting(keys))")
    // With the folders that it names in another place, and what is behind # as well.
    let keyring = try Keyring(folder.path)
    try keyring.make("worker", roles: ["worker"])
    folder.makeFolder(folder("models"))
    let here = text.replacing("/etc/expomerge/authorized", with: "authorized").replacing("/etc/expomerge/keys", with: "keys")
      .replacing("/etc/expomerge", with: "keys")
      .replacing("/var/lib/expomerge", with: "lib").replacing("- /models\n", with: "- models\n")
    let full = here.replacing(/(?m)^# (?=[a-z-]+:(?: |$)|  - )/, with: "")
      .replacing(/(?m)^(true|false): .*$/, with: "").replacing(/(?m)^(.*expomerge (coordinator|worker).*|such as .*)$/, with: "")
    for (name, contents) in [("as-it-is", here), ("full", full)] {
      folder.write(contents, to: "\(name).yaml")
      let checked = try tool(command, "--config", "\(name).yaml", "--check-config")
      #expect(checked.status == 0, "\(checked.errors)\n\(contents)")
      let rows = table(checked.output)
      #expect(Set(rows.keys) == all)
      if name == "full" { #expect(rows.values.allSatisfy { $0.last?.hasPrefix("full.yaml") == true }, "\(rows)") }
    }
  }
}
