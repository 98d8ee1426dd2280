import Diagnostics
import Search
import Testing

@Suite("A search's journal") struct SearchJournalTests {
  private let identity = SearchIdentity(
    inputs: ["aligned/model.safetensors": "1 2", "sft/model.safetensors": "3 4"], recipe: "--dtype f16", scoreCommand: "score 'é' {model}")
  private let outcomes = [
    Outcome(alpha: 0.1, result: .score(0.1 + 0.2), seconds: 1.25),
    Outcome(alpha: 0.2, result: .failed(ScoreFailure("exited with 3\n", exitStatus: 3)), seconds: 0),
    Outcome(alpha: -1e-7, result: .score(-1e300), seconds: 7),
    Outcome(alpha: 0.3, result: .failed(ScoreFailure("killed by signal 9", signal: 9)), seconds: 2),
  ]

  private var lines: [[UInt8]] { [SearchJournal.line(identity, version: "1.2.3")] + outcomes.map { SearchJournal.line($0) } }

  @Test("what was written is read, to the last bit")
  func roundTrip() throws {
    let bytes = lines.flatMap { $0 }
    let journal = try #require(try SearchJournal(bytes, file: "j"))
    #expect(journal.identity == identity && journal.outcomes == outcomes && journal.length == bytes.count)
  }

  @Test("cut off at any byte it has what was whole, and nothing by halves")
  func truncated() throws {
    let bytes = lines.flatMap { $0 }
    let ends = lines.indices.map { lines[...$0].joined().count }
    for count in 0...bytes.count {
      let journal = try SearchJournal(Array(bytes[..<count]), file: "j")
      let whole = ends.filter { $0 <= count }.count
      #expect((journal == nil) == (whole == 0))
      #expect(journal?.outcomes ?? [] == Array(outcomes.prefix(max(0, whole - 1))))
      #expect(journal?.length ?? 0 == (whole == 0 ? 0 : ends[whole - 1]))
      // Zeros are what a filesystem may leave there after a power cut.
      let zeros = try SearchJournal(Array(bytes[..<count]) + [UInt8](repeating: 0, count: 300), file: "j")
      #expect(zeros?.outcomes == journal?.outcomes && zeros?.length == journal?.length)
    }
  }

  @Test("damage in a whole line is refused, and named")
  func damaged() {
    for line in lines.indices {
      var damaged = lines
      damaged[line][0] = UInt8(ascii: "x")
      #expect { try SearchJournal(damaged.flatMap { $0 }, file: "j") } throws: { error in
        let problem = (error as? Failure)?.problems[0]
        return problem?.code == .searchInvalid && problem?.message.contains("line \(line + 1) ") == true
      }
    }
  }

  @Test(
    "what is no outcome, or of another format, is refused",
    arguments: [
      #"{"alpha":1,"seconds":1}"#, #"{"alpha":1,"score":1,"reason":"x","seconds":1}"#, #"{"score":1,"seconds":1}"#, "[]", "",
      #"{"alpha":"1","score":1,"seconds":1}"#, #"{"alpha":1e999,"score":1,"seconds":1}"#,
    ])
  func noOutcome(line: String) {
    #expect(throws: Failure.self) { try SearchJournal(lines[0] + Array("\(line)\n".utf8), file: "j") }
  }

  @Test("a newer format says so")
  func newer() {
    #expect { try SearchJournal(Array(#"{"format":2,"version":"9"}"#.utf8) + [10], file: "j") } throws: { error in
      (error as? Failure)?.problems[0].message.contains("format 2") == true
    }
  }

  @Test("a search for something else is refused with all that differs")
  func differences() throws {
    try identity.requireSame(identity, folder: "f")
    let other = SearchIdentity(
      inputs: ["aligned/model.safetensors": "1 9", "aligned/new": "1"], recipe: "", scoreCommand: "other")
    #expect { try identity.requireSame(other, folder: "f") } throws: { error in
      guard let failure = error as? Failure else { return false }
      let messages = failure.problems.map(\.message).joined(separator: "\n")
      return failure.category == .cannotCreate && failure.problems.count == 5
        && messages.contains("aligned/model.safetensors has changed") && messages.contains("aligned/new is new")
        && messages.contains("sft/model.safetensors is not there any more")
        && messages.contains("the recipe was '--dtype f16', and is without options")
        && messages.contains("the score command was 'score 'é' {model}', and is 'other'")
        && failure.problems[0].remedy?.contains("--restart") == true
    }
  }
}
