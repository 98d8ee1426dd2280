import Search
import Testing

@Suite("A search") struct SearchStateTests {
  /// Answers what is asked for until there is nothing more.
  ///
  /// - Returns: the batches.
  @discardableResult
  private func run(
    _ state: inout SearchState, capacity: Int = .max, begun: Set<Double> = [], score: (Double) -> Double?
  ) -> [[Double]] {
    var batches: [[Double]] = []
    while case .evaluate(let alphas) = state.next(capacity: capacity, begun: begun) {
      batches.append(alphas)
      // Something is always asked for, and never twice.
      #expect(!alphas.isEmpty && alphas.allSatisfy { state.outcome(of: $0) == nil })
      for alpha in alphas { state.record(outcome(alpha, score(alpha))) }
      if batches.count > 200 { Issue.record("does not end"); break }
    }
    return batches
  }

  private func outcome(_ alpha: Double, _ score: Double?) -> Outcome {
    Outcome(alpha: alpha, result: score.map { .score($0) } ?? .failed(ScoreFailure("failed")), seconds: 1)
  }

  private let five = [0.1, 0.2, 0.3, 0.4, 0.5]

  @Test("batches are as large as there is room for beside what is kept")
  func batches() {
    var state = SearchState(.init(alphas: five))
    #expect(run(&state) { $0 } == [five])
    state = SearchState(.init(alphas: five))
    #expect(run(&state, capacity: 3) { $0 } == [[0.1, 0.2, 0.3], [0.4, 0.5]])
    state = SearchState(.init(alphas: five, keep: 2))
    #expect(run(&state, capacity: 3) { $0 } == [[0.1, 0.2, 0.3], [0.4], [0.5]])
    #expect(state.kept == [0.5, 0.4])
    // A failure leaves nothing to keep.
    state = SearchState(.init(alphas: five))
    #expect(run(&state, capacity: 2) { $0 < 0.35 ? nil : $0 } == [[0.1, 0.2], [0.3, 0.4], [0.5]])
  }

  @Test("what was begun comes first, and what has a score is not asked for again")
  func resumed() {
    var state = SearchState(.init(alphas: five), outcomes: [outcome(0.1, 1), outcome(0.4, nil), outcome(0.9, 2)])
    #expect(state.pendingCount == 3)
    #expect(run(&state, capacity: 3, begun: [0.5, 0.7]) { $0 } == [[0.5, 0.2], [0.3]])
    // Scores of alphas that the list does not have any more count.
    #expect(state.kept == [0.9])
  }

  @Test("the later of two outcomes of an alpha counts")
  func later() {
    let state = SearchState(.init(alphas: [0.1]), outcomes: [outcome(0.1, nil), outcome(0.1, 3)])
    #expect(state.ranking.best?.score == 3)
  }

  @Test("no more candidates are tried than are allowed")
  func limit() {
    var state = SearchState(.init(alphas: five, candidateLimit: 3))
    #expect(run(&state) { $0 } == [[0.1, 0.2, 0.3]])
    state = SearchState(.init(alphas: five, refinement: GoldenSection(tolerance: 0.001), candidateLimit: 7))
    #expect(run(&state) { -abs($0 - 0.27) }.joined().count == 7)
  }

  @Test("room is needed for the kept and one more, but not for more than there are")
  func leastCapacity() {
    #expect(SearchState(.init(alphas: five)).leastCapacity == 2)
    #expect(SearchState(.init(alphas: five, keep: 4)).leastCapacity == 5)
    #expect(SearchState(.init(alphas: five, keep: 9)).leastCapacity == 5)
    #expect(SearchState(.init(alphas: [0.1])).leastCapacity == 1)
    #expect(SearchState(.init(alphas: [0.1], refinement: GoldenSection(tolerance: 0.1))).leastCapacity == 2)
  }

  @Test("the best come first, in either direction; of equals the nearer to 0; failures last")
  func ranking() {
    let outcomes = [outcome(0.5, 2), outcome(0.1, 2), outcome(0.3, 3), outcome(0.2, nil), outcome(-0.1, 2), outcome(0.15, nil), outcome(0.4, 1)]
    let up = Ranking(outcomes, lowerIsBetter: false)
    #expect(up.outcomes.map(\.alpha) == [0.3, -0.1, 0.1, 0.5, 0.4, 0.15, 0.2])
    #expect(up.outcomes.indices.map { up.rank(at: $0) } == [1, 2, 2, 2, 5, nil, nil])
    #expect(up.scored.count == 5 && up.failed.count == 2 && up.best?.alpha == 0.3)
    #expect(Ranking(outcomes, lowerIsBetter: true).outcomes.map(\.alpha) == [0.4, -0.1, 0.1, 0.5, 0.3, 0.15, 0.2])
    #expect(Ranking([outcome(0.1, nil)], lowerIsBetter: false).best == nil)
  }

  @Test(
    "golden section finds the maximum to within the tolerance, wherever it is",
    arguments: Array(stride(from: 0.1, through: 0.5, by: 0.0137)), [0.05, 0.01, 0.003])
  func refine(optimum: Double, tolerance: Double) throws {
    for shape in [{ -($0 - optimum) * ($0 - optimum) }, { -abs($0 - optimum) }, { $0 > optimum ? -10 * ($0 - optimum) : $0 }] {
      var state = SearchState(.init(alphas: five, refinement: GoldenSection(tolerance: tolerance)))
      let batches = run(&state, score: shape)
      let best = try #require(state.ranking.best?.alpha)
      #expect(abs(best - optimum) <= tolerance * 1.11)
      // Each is a pass over the inputs.
      #expect(batches.count <= (tolerance == 0.05 ? 5 : tolerance == 0.01 ? 9 : 14))
      // Names of folders stay short.
      #expect(batches.joined().allSatisfy { "\($0)".count <= 6 })
    }
  }

  @Test("it narrows from below as well, and to an end of the range")
  func refineElsewhere() throws {
    let golden = GoldenSection(tolerance: 0.01)
    var state = SearchState(.init(alphas: five, lowerIsBetter: true, refinement: golden))
    run(&state) { ($0 - 0.37) * ($0 - 0.37) }
    #expect(abs(try #require(state.ranking.best?.alpha) - 0.37) <= 0.011)
    #expect(!GoldenSection.isAtEdge(state.ranking))
    state = SearchState(.init(alphas: five, refinement: golden))
    run(&state) { $0 }
    #expect(state.ranking.best?.alpha == 0.5 && GoldenSection.isAtEdge(state.ranking))
    // Beyond 0.33 the command fails.
    state = SearchState(.init(alphas: five, refinement: golden))
    run(&state) { $0 > 0.33 ? nil : $0 }
    #expect(abs(try #require(state.ranking.best?.alpha) - 0.33) <= 0.011)
    state = SearchState(.init(alphas: five, refinement: golden))
    #expect(run(&state) { _ in nil } == [five])
    state = SearchState(.init(alphas: [0.3], refinement: golden))
    #expect(run(&state) { $0 } == [[0.3]])
  }

  @Test("it goes on after an interruption as it would have")
  func refineResumed() {
    let settings = SearchState.Settings(alphas: five, refinement: GoldenSection(tolerance: 0.01))
    let score = { (alpha: Double) in -(alpha - 0.37) * (alpha - 0.37) }
    var state = SearchState(settings)
    let all = run(&state, score: score).flatMap { $0 }
    for count in all.indices {
      var again = SearchState(settings, outcomes: all[..<count].map { outcome($0, score($0)) })
      #expect(run(&again, score: score).flatMap { $0 } == Array(all[count...]))
    }
  }

  @Test("a plateau and noise end, too")
  func noise() {
    for seed in 1...50 {
      var state = SearchState(.init(alphas: five, refinement: GoldenSection(tolerance: 0.001)))
      run(&state) { alpha in Double((Int(alpha * 10_000) &* seed) % 7) }
      #expect(state.ranking.outcomes.count < 60)
    }
  }
}
