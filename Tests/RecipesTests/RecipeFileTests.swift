import Diagnostics
import Planning
import Recipes
import Testing

@Suite("Recipe files")
struct RecipeFileTests {
  static let options = RecipeFile.Options(valued: ["sft", "aligned", "alpha", "max-file-size"], flags: ["sha256"])

  func read(_ text: String) throws -> RecipeFile { try RecipeFile(text, file: "recipe.yaml", options: Self.options) }

  func refusal(_ text: String) -> Problem? {
    do {
      _ = try read(text)
      return nil
    } catch {
      let failure = error as? Failure
      #expect(failure?.category == .badRecipe)
      #expect(failure?.problems.first?.file == "recipe.yaml")
      return failure?.problems.first
    }
  }

  @Test("options have their place, with lines or dashes between their words, and rules theirs")
  func settings() throws {
    let recipe = try read(
      """
      sft: models/sft   # where training started
      aligned: models/aligned
      alpha: 0.3
      max_file_size: 2GB
      sha256: yes
      rules:
        - tensors: "*.mlp.*"
          layers: 0-15
          alpha: 0.1
        - part: attention
          layers: [16, 31]
          alpha: [0.2, 0.5]
        - regex: "^lm_head"
          alpha: 0
      """)
    #expect(
      recipe.settings == [
        .init("sft", "models/sft"), .init("aligned", "models/aligned"), .init("alpha", "0.3"), .init("max-file-size", "2GB"),
        .init("sha256", nil),
      ])
    #expect(
      recipe.rules == [
        AlphaRule(glob: "*.mlp.*", layers: 0...15, alphas: [0.1]), AlphaRule(part: .attention, layers: 16...31, alphas: [0.2, 0.5]),
        AlphaRule(regex: "^lm_head", alphas: [0]),
      ])
    #expect(try read("sha256: false\nalpha: 1").settings == [.init("alpha", "1")])
    #expect(try read("alpha: [0.1, -0.5]").settings == [.init("alpha", "0.1,-0.5")])
  }

  @Test("what is wrong is named with its line, and what was meant")
  func refusals() {
    #expect(refusal("sft: a\nalhpa: 1")?.message == "line 2: there is no key 'alhpa'")
    #expect(refusal("sft: a\nalhpa: 1")?.remedy == "did you mean alpha?")
    #expect(refusal("rules:\n  - tensor: x\n    alpha: 1")?.remedy == "did you mean tensors?")
    #expect(refusal("rules:\n  - part: brain\n    alpha: 1")?.message.contains("no part 'brain'") == true)
    #expect(refusal("rules:\n  - part: mlp")?.message.contains("has no alpha") == true)
    #expect(refusal("rules:\n  - layers: 5-3\n    alpha: 1")?.message.contains("5-3") == true)
    #expect(refusal("rules:\n  - alpha: [1, x]")?.message.contains("'x', not a number") == true)
    #expect(refusal("sha256: perhaps")?.message.contains("not true or false") == true)
    #expect(refusal("rules: {tensors: 'a;b', alpha: 1}")?.remedy == "write ? for it")
    #expect(refusal("sft: {a: b}")?.message.contains("not a single value") == true)
    for text in ["", "- a\n- b", "just words", "a: [1", "a: 1\na: 2", "\u{0}", String(repeating: "#", count: 2 << 20)] {
      #expect(refusal(text) != nil)
    }
  }

  @Test("what is not YAML is told in one line, with its number")
  func notYAML() {
    for (text, message) in [
      ("sft: a\nalpha: [1\n", "line 3: is not YAML: did not find expected ',' or ']' while parsing a flow sequence"),
      ("sft: a\n b: c\n", "line 2: is not YAML: mapping values are not allowed in this context"),
      ("sft: a\n\nalpha: *x\n", "line 3: is not YAML: found undefined alias"),
      ("sft: a\nalpha: \u{1}\n", "line 2: is not YAML: control characters are not allowed"),
      ("rules:\n  - alpha: 1\n    alpha: 2\n", "line 2: alpha is there twice"),
    ] {
      #expect(refusal(text)?.message == message)
    }
  }

  @Test("aliases that would make a file huge are not followed")
  func aliases() {
    var text = "a0: &a0 [x]\n"
    for level in 1..<40 { text += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
    #expect(refusal(text) != nil)
  }
}
