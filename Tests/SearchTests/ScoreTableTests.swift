import Search
import Testing

@Suite("What a search shows") struct ScoreTableTests {
  private func outcome(_ alpha: Double, _ score: Double?, _ seconds: Double = 7) -> Outcome {
    Outcome(alpha: alpha, result: score.map { .score($0) } ?? .failed(ScoreFailure("exited with 1, \"so\"", exitStatus: 1)), seconds: seconds)
  }

  private var ranking: Ranking {
    Ranking([outcome(0.1, 0.25), outcome(0.2, 0.75, 3661), outcome(0.45, nil), outcome(0.3, 0.5)], lowerIsBetter: false)
  }

  @Test("a table")
  func table() {
    #expect(
      ScoreTable.lines(ranking, kept: [0.2]) == [
        "rank  alpha   score     time",
        "   1  0.2    0.7500  1:01:01  kept",
        "   2  0.3    0.5000     0:07",
        "   3  0.1    0.2500     0:07",
        "   -  0.45   failed     0:07  exited with 1, \"so\"",
      ])
  }

  @Test("scores are shown with as many decimals as tell them apart")
  func places() {
    func shown(_ scores: Double...) -> [String] {
      let ranking = Ranking(scores.enumerated().map { outcome(Double($0.offset), $0.element) }, lowerIsBetter: false)
      return ScoreTable.lines(ranking, kept: []).dropFirst().map { $0.split(separator: " ").map(String.init)[2] }
    }
    #expect(shown(81.25, 79.5) == ["81.2500", "79.5000"])
    #expect(shown(0.71234567, 0.71234) == ["0.712345670", "0.712340000"])
    #expect(shown(1_000_000, 10) == ["1000000", "10"])
    #expect(shown(5) == ["5.000"])
    #expect(shown(0, 0) == ["0", "0"])
    #expect(shown(1e300, -1e300) == ["1e+300", "-1e+300"])
  }

  @Test("a sheet for programs")
  func csv() {
    #expect(
      ScoreTable.csv(ranking, kept: [0.2]) { "/s/alpha-\($0)" } == [
        "rank,alpha,score,seconds,checkpoint,failure", "1,0.2,0.75,3661.000,/s/alpha-0.2,", "2,0.3,0.5,7.000,,",
        "3,0.1,0.25,7.000,,", ",0.45,,7.000,,\"exited with 1, \"\"so\"\"\"", "",
      ].joined(separator: "\r\n"))
  }

  @Test("a curve")
  func curve() {
    let lines = ScoreCurve.lines(ranking, width: 40, height: 5)
    #expect(
      lines == [
        "0.7500 │        ·◆·",
        "       │      ··   ····",
        "       │    ··         ··●",
        "       │  ··",
        "0.2500 │●·                            x",
        "       └───────────────────────────────",
        "        0.1         alpha          0.45",
      ])
  }

  @Test("nothing is drawn of one score; equal ones are a line; any number has its place")
  func oddCurves() {
    #expect(ScoreCurve.lines(Ranking([outcome(0.1, 1), outcome(0.2, nil)], lowerIsBetter: false)).isEmpty)
    let flat = ScoreCurve.lines(Ranking([outcome(0.1, 2), outcome(0.5, 2)], lowerIsBetter: false), width: 30, height: 3)
    #expect(flat.count == 5 && flat[1].contains("2.0000 │◆") && flat[1].hasSuffix("●") && flat[0].hasSuffix("│"))
    for scores in [[1e308, -1e308], [0, Double.leastNonzeroMagnitude], [-0.0001, 0.00001], [123_456_789, 0.5]] {
      for width in [1, 20, 200] {
        let ranking = Ranking(zip([-8.5, 10], scores).map { outcome($0, $1) }, lowerIsBetter: true)
        let lines = ScoreCurve.lines(ranking, width: width)
        #expect(lines.count == 13 && lines.joined().contains("◆"))
      }
    }
  }
}
