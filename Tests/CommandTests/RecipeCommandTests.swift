import Foundation
import SystemPackage
import TestSupport
import Testing

@Suite("Recipes, from the command line")
struct RecipeCommandTests {
  let folder = TemporaryFolder()
  let tool: Tool

  init() {
    tool = Tool(folder: folder.path)
  }

  private static let commands = ["merge", "search", "plan", "submit"]

  /// The long options of a command, by its help.
  private func options(of command: String) throws -> Set<String> {
    let lines = try tool(command, "--help").output.split(separator: "\n").filter { $0.hasPrefix("  -") }
    return Set(lines.flatMap { $0.matches(of: /--([a-z0-9-]+)/).prefix(1).map { String($0.output.1) } })
      .subtracting(["help", "version", "recipe", "rule", "on-finish"])
  }

  /// The keys that a recipe may have, by what it says of one that it may not.
  private func keys() throws -> Set<String> {
    folder.write("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz: 1", to: "keys.yaml")
    let errors = try tool("plan", "--recipe", "keys.yaml").errors
    let list = try #require(errors.firstMatch(of: /choose one of (.*)/)).output.1
    return Set(list.split(separator: ",").map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }).subtracting(["rules"])
  }

  @Test("every option has its place in a recipe, and every command takes a recipe with the options of others")
  func options() throws {
    let keys = try keys()
    let all = try Self.commands.map { try options(of: $0) }
    #expect(keys == all.reduce([]) { $0.union($1) })
    for (command, own) in zip(Self.commands, all) {
      for key in keys.subtracting(own) {
        folder.write("\(key): true", to: "other.yaml")
        let errors = try tool(command, "--recipe", "other.yaml").errors
        #expect(!errors.contains("Unknown option"), "\(command) with \(key)")
      }
    }
  }

  @Test("what is typed comes before what a recipe says, and rules that are typed before its rules")
  func order() throws {
    #expect(try tool("sample", "--shape", "tiny", "--output", "pair").status == 0)
    folder.write(
      """
      sft: pair/sft
      aligned: pair/aligned
      alpha: 0.3
      quiet: true
      rules:
        - {part: mlp, alpha: 0.1}
        - {part: attention, alpha: 0.2}
      """, to: "recipe.yaml")
    func rules(_ more: String...) throws -> [String] {
      let plan = try tool.run(["plan", "--json", "--recipe", "recipe.yaml"] + more)
      #expect(plan.status == 0)
      let rules = try #require(plan.objects.first?["rules"] as? [[String: Any]])
      return rules.map { "\($0["conditions"] ?? "") \($0["leastAlpha"] ?? "")" }
    }
    #expect(try rules() == ["mlp 0.1", "attention 0.2", "no rule 0.3"])
    #expect(try rules("--alpha", "0.4") == ["mlp 0.1", "attention 0.2", "no rule 0.4"])
    #expect(try rules("--gamma", "0.5") == ["mlp 0.1", "attention 0.2", "no rule -0.5"])
    #expect(try rules("--rule", "part=norm:0.7") == ["norm 0.7", "mlp 0.1", "attention 0.2", "no rule 0.3"])
  }

  @Test("a recipe, which may be somebody else's, runs no command")
  func commands() throws {
    folder.write("sft: a\naligned: b\nalpha: 1\non-finish: touch ran\n", to: "theirs.yaml")
    for command in Self.commands {
      let refused = try tool(command, "--recipe", "theirs.yaml", "--output", "out")
      #expect(refused.status == 78)
      #expect(refused.errors.contains("theirs.yaml: line 4: there is no key 'on-finish'"))
    }
  }

  @Test("errors name the file, and lose nothing")
  func errors() throws {
    let missing = try tool("merge", "--recipe", "none.yaml", "--output", "out")
    #expect(missing.status == 66)
    #expect(missing.errors.contains("none.yaml: cannot open"))
    folder.write("sft: a\nalhpa: 1\n", to: "wrong.yaml")
    let wrong = try tool("merge", "--recipe", "wrong.yaml", "--output", "out")
    #expect(wrong.status == 78)
    #expect(wrong.errors.contains("wrong.yaml: line 2: there is no key 'alhpa'; did you mean alpha?"))
    folder.write("sft: a\naligned: b\nalpha: much\n", to: "value.yaml")
    let value = try tool("merge", "--recipe", "value.yaml", "--output", "out")
    #expect(value.status == 64)
    #expect(value.errors.contains("value.yaml says some of the options"))
    #expect(TemporaryFolder.names(in: folder.path) == ["wrong.yaml", "value.yaml"])
  }
}
