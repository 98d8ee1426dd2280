import Diagnostics
import Testing

@Test("a failure of many problems is one line in a log")
func failureSummary() {
  let problems = (1...201).map { Problem(.init("differs"), "has another shape", tensor: "t\($0)") }
  #expect(Failure(.badData, problems[0]).summary == "\(problems[0])")
  #expect(Failure(.badData, Array(problems[..<2])).summary == "\(problems[0]) (and 1 more problem)")
  #expect(Failure(.badData, problems).summary == "\(problems[0]) (and 200 more problems)")
}
