import Search
import Testing

@Suite("What a score command says") struct ScoreTextTests {
  private func score(_ text: String) -> Double? {
    if case .score(let score) = ScoreText.score(in: Array(text.utf8)) { score } else { nil }
  }

  @Test(
    "the number of the last line that is not empty is the score",
    arguments: [
      ("0.73", 0.73), ("0.73\n", 0.73), ("1\n2\n\n \n", 2), ("loading\nscore 5\n -1.5e-3 \r\n", -0.0015), ("+4", 4), ("1e5\n", 1e5),
      (".5", 0.5), ("progress 1\r2", 2), ("-0", 0), ("\u{FEFF}x\n7", 7),
    ])
  func number(text: String, number: Double) {
    #expect(score(text) == number)
  }

  @Test(
    "anything else is no score",
    arguments: ["nan", "inf", "-Infinity", "0x10", "1 2", "score: 1", "1,5", "5\nend", "1e999", "0.7 ± 0.1", "1_000", "²"])
  func noNumber(text: String) {
    guard case .failed(let failure) = ScoreText.score(in: Array(text.utf8)) else {
      Issue.record("it was taken for a score")
      return
    }
    #expect(failure.reason == "printed no number in its last line: '\(text.split(separator: "\n").last ?? "")'")
  }

  @Test("nothing is no score either, and bytes that are not text do no harm")
  func nothing() {
    for text in ["", "\n \n"] { #expect(ScoreText.score(in: Array(text.utf8)) == .failed(ScoreFailure("printed nothing"))) }
    #expect(ScoreText.score(in: [0xFF, 0xFE, 10, 0x31]) == .score(1))
    guard case .failed(let failure) = ScoreText.score(in: Array(String(repeating: "long ", count: 50).utf8)) else { return }
    #expect(failure.reason.count < 120)
  }

  @Test("of a long output the end is read")
  func long() {
    let noise = [UInt8](repeating: UInt8(ascii: "7"), count: 200_000)
    #expect(ScoreText.score(in: noise + Array("\n0.5\n".utf8)) == .score(0.5))
    #expect(ScoreText.score(in: noise) == .failed(ScoreFailure("printed a last line that is too long for a number")))
  }

  @Test("the tail of what went wrong")
  func tail() {
    let lines = (1...9).map { "line\t\($0)\n" }.joined() + "\n"
    #expect(ScoreText.tail(of: Array(lines.utf8), lines: 3) == ["line 7", "line 8", "line 9"])
    #expect(ScoreText.tail(of: Array(String(repeating: "a", count: 500).utf8))[0].count == 200)
    #expect(ScoreText.tail(of: []).isEmpty)
  }

  @Test("places in the command are filled, paths quoted, and nothing twice")
  func command() {
    let command = ScoreCommand("score {model} --alpha {alpha} >{alpha}.log {job} ${HOME} {other} {")
    #expect(command.text(model: "/a b/it's", alpha: 0.3, job: 2) == #"score '/a b/it'\''s' --alpha 0.3 >0.3.log 2 ${HOME} {other} {"#)
    #expect(ScoreCommand("x {model}").text(model: "/{alpha}", alpha: 1, job: 0) == "x '/{alpha}'")
    #expect(command.takesModel && !ScoreCommand("score {alpha}").takesModel)
  }
}
