import Foundation
import SystemPackage
import TestSupport
import Testing

/// Searches by processes, with a score that has its maximum at 0.37.
@Suite("Searches, from the command line", .timeLimit(.minutes(10))) struct SearchCommandTests {
  let site = Site()

  /// Counts its calls, in the file `calls`, and prints -(alpha - 0.37)².
  static let score = """
    test -s {model}/model.safetensors && echo {alpha} >>calls && \
    awk 'BEGIN { d = {alpha} - 0.37; print "noise"; printf "%.9f\\n", -d * d }'
    """

  private func search(_ more: [String], command: String = score, alphas: String = "0.1:0.5:0.1") -> [String] {
    Self.search(more, command: command, alphas: alphas)
  }

  static func search(_ more: [String], command: String = score, alphas: String = "0.1:0.5:0.1") -> [String] {
    [
      "search", "--sft", "pair/sft", "--aligned", "pair/aligned", "--shard-size", "64KiB", "--range", alphas, "--score-command", command,
      "--output", "s", "--sync", "none",
    ] + more
  }

  private func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> Tool.Result {
    let tool = site.tool
    return try await onThread { try tool.run(arguments, environment: environment) }
  }

  private func text(_ name: String) -> String { String(decoding: TemporaryFolder.contents(site.folder(name)) ?? [], as: UTF8.self) }

  /// The alphas that were scored, in order.
  private var calls: [String] { text("calls").split(separator: "\n").map(String.init) }
  private var names: Set<String> { TemporaryFolder.names(in: site.folder("s")) }
  private var checkpoints: Set<String> { Set(names.filter { $0.hasPrefix("alpha") }) }
  private var best: String? { try? FileManager.default.destinationOfSymbolicLink(atPath: site.folder("s/best").string) }

  @Test("the best is kept, and shown with the others")
  func best() async throws {
    let found = try await run(search([]))
    #expect(found.status == 0, "\(found.errors)")
    let rows = found.output.split(separator: "\n").prefix(6).map { $0.split(separator: " ").map(String.init) }
    #expect(rows.dropFirst().map { $0[1] } == ["0.4", "0.3", "0.5", "0.2", "0.1"])
    #expect(rows.dropFirst().map { $0[2] } == ["-0.00090", "-0.00490", "-0.01690", "-0.02890", "-0.07290"])
    #expect(rows[1].last == "kept" && found.output.contains("◆"))
    #expect(found.output.contains("best: alpha 0.4, score -0.0009, in "))
    #expect(names == [".lock", "alpha-0.4", "best", "logs", "scores.csv", "search.jsonl"])
    #expect(best == "alpha-0.4")
    #expect(text("s/scores.csv").hasPrefix("rank,alpha,score,seconds,checkpoint,failure\r\n1,0.4,-0.0009,"))
    #expect(text("s/logs/alpha-0.2.out") == "noise\n-0.028900000\n")
    #expect(calls == ["0.1", "0.2", "0.3", "0.4", "0.5"])
    // It is what merge makes.
    let merged = try await run(Site.merge("merged").map { $0 == "0.3" ? "0.4" : $0 })
    #expect(merged.status == 0)
    #expect(site.contents("merged") == site.contents("s/alpha-0.4"))
    #expect(text("s/alpha-0.4/README.md").contains("--alpha 0.1,0.2,0.3,0.4,0.5 --shard-size 65536 --output \(site.folder("s"))"))
  }

  @Test("--refine comes near to the maximum; again, nothing is left to do")
  func refine() async throws {
    let found = try await run(search(["--refine", "--tolerance", "0.02", "--json"]))
    #expect(found.status == 0, "\(found.errors)")
    let result = try #require(found.objects.last)
    let alpha = try #require((result["best"] as? [String: Any])?["alpha"] as? Double)
    #expect(abs(alpha - 0.37) < 0.02 && result["type"] as? String == "search")
    let before = calls
    #expect(before.count > 5 && before.count <= 10 && Set(before).count == before.count)
    let again = try await run(search(["--refine", "--tolerance", "0.02", "--json"]))
    #expect(again.status == 0 && calls == before)
    #expect((again.objects.last?["best"] as? [String: Any])?["alpha"] as? Double == alpha)
    #expect(again.objects.count == 1)
    let limited = try await run(search(["--refine", "--max-candidates", "\(before.count + 1)", "--tolerance", "0.0001"]))
    #expect(limited.status == 0 && calls.count == before.count + 1)
  }

  @Test("more are kept, lower is better, and an earlier search is gone on with")
  func more() async throws {
    #expect(try await run(search(["--keep", "2"], alphas: "0.1:0.3:0.1")).status == 0)
    #expect(checkpoints == ["alpha-0.2", "alpha-0.3"])
    // Of the old scores none is computed again; a checkpoint that was deleted is merged again.
    let lower = try await run(search(["--keep", "2", "--lower-is-better"], alphas: "0.3:0.5:0.1"))
    #expect(lower.status == 0, "\(lower.errors)")
    #expect(calls == ["0.1", "0.2", "0.3", "0.4", "0.5"])
    #expect(checkpoints == ["alpha-0.1", "alpha-0.2"] && best == "alpha-0.1")
    #expect(lower.output.contains("it is the least alpha that was tried"))
    #expect(try await run(["verify", "s/alpha-0.1", "--recompute"]).status == 0)
  }

  @Test("as many are there at a time as fit the budget")
  func budget() async throws {
    let command = "ls -d {model}/../alpha-* | wc -l >>there; " + Self.score
    // One has 1.3 MB with what stands beside the weights.
    #expect(try await run(search(["--disk-budget", "3MB"], command: command)).status == 0)
    // Two, then the best and one more.
    #expect(text("there").split(separator: "\n").compactMap { Int($0) }.max() == 2)
    #expect(calls.count == 5 && best == "alpha-0.4")
    // Nothing is left to do, and nothing needs room.
    #expect(try await run(search(["--disk-budget", "2MB"], command: command)).status == 0)
    let small = try await run(search(["--disk-budget", "2MB", "--restart"], command: command))
    #expect(small.status == 73 && small.errors.contains("2 checkpoints of 1."))
    #expect(small.errors.contains("raise --disk-budget"))
  }

  @Test("a command that fails is told with its last words, and the search goes on")
  func failures() async throws {
    let command = """
      echo {alpha} >>calls; case {alpha} in 0.1) echo words >&2; exit 3;; 0.2) kill -9 $$;; 0.3) echo many;; 0.4) exit 0;; *) echo 1; : {model};; esac
      """
    let found = try await run(search([], command: command))
    #expect(found.status == 0)
    for text in [
      "alpha 0.1 has no score: the command exited with 3; it wrote:\n  words", "alpha 0.2 has no score: the command was killed by signal 9",
      "alpha 0.3 has no score: the command printed no number in its last line: 'many'",
      "alpha 0.4 has no score: the command printed nothing",
    ] { #expect(found.errors.contains(text)) }
    #expect(best == "alpha-0.5" && found.output.contains("failed"))
    #expect(text("s/scores.csv").contains(",0.1,,") && text("s/scores.csv").contains("exited with 3"))
    // They stay failed unless it is asked for.
    #expect(try await run(search([], command: command)).status == 0)
    #expect(calls.count == 5)
    let again = try await run(search(["--retry-failed", "--json"], command: command))
    #expect(again.status == 0 && calls.count == 9)
    let first = again.objects.first { $0["alpha"] as? Double == 0.1 }
    #expect(first?["exitStatus"] as? Int == 3 && first?["errors"] as? [String] == ["words"])
  }

  @Test("where all fail there is no best, and the exit status says so")
  func allFail() async throws {
    let found = try await run(search([], command: "echo {model}; exit 1"))
    #expect(found.status == 69 && found.errors.contains("the score command failed for each of 5 alphas"))
    #expect(names == [".lock", "candidates", "logs", "scores.csv", "search.jsonl"])
    // Another command scores what is there.
    let before = inodes("s/candidates")
    let again = try await run(search(["--restart", "--keep", "5"]))
    #expect(again.status == 0, "\(again.errors)")
    #expect(inodes("s") == before && before.count == 5)
    let third = try await run(search(["--restart", "--keep", "5", "--lower-is-better"], command: Self.score + " # again"))
    #expect(third.status == 0 && best == "alpha-0.1" && inodes("s") == before)
  }

  /// Those of the checkpoints in a folder, by name.
  private func inodes(_ name: String) -> [String: Int] {
    var inodes: [String: Int] = [:]
    for checkpoint in TemporaryFolder.names(in: site.folder(name)) where checkpoint.hasPrefix("alpha") {
      let path = site.folder(name).appending(checkpoint).appending("model.safetensors")
      inodes[checkpoint] = (try? FileManager.default.attributesOfItem(atPath: path.string))?[.systemFileNumber] as? Int
    }
    return inodes
  }

  @Test("a parent that does not want to know of its children's ends changes nothing")
  func ignoredChildren() async throws {
    var tool = site.tool
    tool.launcher = ["/bin/sh", "-c", "trap '' CHLD; exec \"$@\"", "sh"]
    let (ignoring, arguments) = (tool, search([]))
    let found = try await onThread { try ignoring.run(arguments) }
    #expect(found.status == 0 && best == "alpha-0.4", "\(found.errors)")
  }

  @Test("a search that has no scores yet may become another")
  func unscored() async throws {
    // It has no space.
    #expect(try await run(search(["--disk-budget", "1kB"])).status == 73)
    #expect(try await run(search(["--disk-budget", "1kB", "--dtype", "f16"])).status == 73)
    let merged = try await run(search([]), environment: ["EXPOMERGE_CRASH_AT": "search-merged"])
    #expect(merged.signal == SIGKILL)
    let before = inodes("s/candidates")
    let recipe = try await run(search(["--dtype", "f16"]))
    #expect(recipe.status == 73 && recipe.errors.contains("the recipe was"))
    let command = try await run(search(["--keep", "5"], command: Self.score + " # another"))
    #expect(command.status == 0 && calls.count == 5 && inodes("s") == before && before.count == 5)
  }

  @Test("a time limit fails a candidate, and leaves no process")
  func timeLimit() async throws {
    let sleep = "sh -c 'while :; do sleep 600; done' {model}"
    let found = try await run(
      search(["--score-timeout", "0.2s", "--score-jobs", "2"], command: "\(sleep) & \(sleep)", alphas: "0.1:0.2:0.1"))
    #expect(found.status == 69 && found.errors.contains("alpha 0.2 has no score: the command did not end in 0.2 s"))
    #expect(processes.isEmpty)
  }

  /// Those with the name of the test's folder in their commands.
  private var processes: Set<String> {
    TemporaryFolder.names(in: "/proc").filter { id in
      let command = String(decoding: TemporaryFolder.contents(FilePath("/proc/\(id)/cmdline")) ?? [], as: UTF8.self)
      return command.contains(site.folder.path.string)
    }
  }

  @Test("SIGINT ends commands and search; so does SIGKILL; the score is computed again", arguments: [SIGINT, SIGKILL])
  func interrupted(signal: Int32) async throws {
    // It minds no SIGTERM at first, and waits at the second alpha.
    let command = """
      echo {alpha} >>calls; [ {alpha} = 0.2 ] && ! [ -e go ] && touch waits && sh -c 'while :; do sleep 600; done' {model}; echo {alpha}
      """
    let arguments = search([], command: command)
    let (stopped, left) = try await onThread(isIdle: true) {
      let run = try site.tool.start(arguments)
      _ = poll(for: "a command") { TemporaryFolder.exists(site.folder("waits")) && !processes.isEmpty ? true : nil }
      run.process.signal(signal)
      let result = run.result()
      // Of a process that was killed others must do it.
      let left = poll(for: "the end of the command") { processes.isEmpty ? processes : nil }
      return (result, left)
    }
    #expect(left == [])
    if signal == SIGINT {
      #expect(stopped.status == 75 && stopped.errors.contains("run the same command to go on"))
    } else {
      #expect(stopped.signal == SIGKILL)
    }
    #expect(text("s/search.jsonl").split(separator: "\n").count == 2)
    site.folder.write("", to: "go")
    let again = try await run(arguments)
    #expect(again.status == 0 && again.errors.contains("going on with a search: 1 alpha done, 4 of the list to do"))
    #expect(calls == ["0.1", "0.2", "0.2", "0.3", "0.4", "0.5"] && best == "alpha-0.5")
  }

  @Test("a second search in the folder is kept out, and told by whom")
  func locked() async throws {
    let arguments = search([], command: "touch waits; until [ -e go ]; do sleep 0.01; done; echo 1 # {model}")
    let (second, first) = try await onThread(isIdle: true) {
      let run = try site.tool.start(arguments)
      _ = poll(for: "a command") { TemporaryFolder.exists(site.folder("waits")) ? true : nil }
      let second = try site.tool.run(arguments)
      let id = run.process.id
      site.folder.write("", to: "go")
      return ((second, id), run.result())
    }
    #expect(second.0.status == 73 && second.0.errors.contains("in use by another expomerge (process \(second.1))"))
    #expect(first.status == 0)
  }

  @Test("changed inputs, recipe or command are refused with what differs; --restart begins again")
  func changed() async throws {
    #expect(try await run(search([], alphas: "0.3:0.4:0.1")).status == 0)
    let recipe = try await run(search(["--dtype", "f16"], alphas: "0.3:0.4:0.1"))
    #expect(recipe.status == 73)
    #expect(recipe.errors.contains("the recipe was '--shard-size 65536', and is '--dtype f16 --shard-size 65536'"))
    let command = try await run(search([], command: "echo 1 # {model}", alphas: "0.3:0.4:0.1"))
    #expect(command.status == 73 && command.errors.contains("and is 'echo 1 # {model}'") && command.errors.contains("--restart"))
    Site.flip(site.weights("pair/sft"), at: 100_000)
    site.folder.write("{}", to: "pair/aligned/tokenizer_config.json")
    let inputs = try await run(search([], alphas: "0.3:0.4:0.1"))
    #expect(inputs.status == 73 && inputs.errors.contains("the input sft/model.safetensors has changed"))
    #expect(inputs.errors.contains("the input aligned/tokenizer_config.json has changed"))
    #expect(calls.count == 2)
    let restarted = try await run(search(["--restart"], alphas: "0.2:0.3:0.1"))
    #expect(restarted.status == 0, "\(restarted.errors)")
    #expect(calls.count == 4 && checkpoints == ["alpha-0.3"])
  }

  @Test("a folder of somebody else, or an input, is not touched")
  func taken() async throws {
    site.folder.write("mine", to: "s/file")
    #expect(try await run(search([])).status == 73)
    #expect(try await run(search(["--restart"])).status == 73)
    #expect(names == ["file"])
    for output in ["pair", "pair/sft", "pair/aligned/s"] {
      let result = try await run(search(["--output", output]))
      #expect(result.status == 73 && result.errors.contains("lie in each other"))
    }
    #expect(!TemporaryFolder.exists(site.folder("pair/aligned/s")))
    // One that a search has kept is an input, too.
    let merged = try await run(search(["--output", "t"], alphas: "0.3:0.3:1"))
    #expect(merged.status == 0)
    #expect(try await run(search(["--output", "t", "--sft", "t/alpha-0.3", "--restart"])).status == 73)
    #expect(TemporaryFolder.exists(site.folder("t/alpha-0.3/model.safetensors")))
  }

  @Test(
    "what cannot be is refused before anything is done",
    arguments: [
      (64, ["--alphas", "0.1"]), (64, ["--range", "0.1:0.2"]), (64, ["--score-command", "echo 1"]), (64, ["--keep", "0"]), (64, ["--keep", "9223372036854775807"]),
      (64, ["--score-timeout", "-1s"]), (64, ["--score-timeout", "soon"]), (64, ["--tolerance", "0"]), (64, ["--score-jobs", "0"]),
      (64, ["--max-candidates", "0"]), (64, ["--alpha", "0.3"]), (78, ["--shard-size", "1MB"]),
      (66, ["--sft", "nowhere"]), (78, ["--rule", "no.such.tensor:0.1"]),
    ])
  func refused(status: Int, more: [String]) async throws {
    let result = try await run(search(more))
    #expect(result.status == Int32(status), "\(result.errors)")
    #expect(!TemporaryFolder.exists(site.folder("s")) && calls.isEmpty)
  }

  @Test("a recipe says the same, and rules hold for every alpha")
  func recipe() async throws {
    site.folder.write(
      """
      sft: pair/sft
      aligned: pair/aligned
      alpha: 0.9
      alphas: 0.2,0.3
      score_command: "\(Self.score.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))"
      output: s
      rules:
        - {part: mlp, alpha: 0.05}
      """, to: "recipe.yaml")
    let found = try await run(["search", "--recipe", "recipe.yaml"])
    #expect(found.status == 0, "\(found.errors)")
    #expect(calls == ["0.2", "0.3"])
    let merged = try await run(
      ["merge", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--rule", "part=mlp:0.05", "--output", "merged"])
    #expect(merged.status == 0 && site.contents("merged") == site.contents("s/alpha-0.3"))
    let typed = try await run(["search", "--recipe", "recipe.yaml", "--range", "0.3:0.4:0.1"])
    #expect(typed.status == 0 && calls == ["0.2", "0.3", "0.4"])
  }
}
