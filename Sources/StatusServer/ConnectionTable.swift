/// Which connections there are, what each does, and since when.
struct ConnectionTable<ID: Hashable> {
  private struct Turn {
    /// Otherwise the client is to send a request, all of it.
    var isAnswering: Bool
    var since: ContinuousClock.Instant
  }

  private let limit: Int
  private let patience: Duration
  private var turns: [ID: Turn] = [:]

  /// - Parameters:
  ///   - limit: connections at a time.
  ///   - patience: how long a request may take to come, and as long again an answer to be taken.
  init(limit: Int, patience: Duration) {
    (self.limit, self.patience) = (limit, patience)
  }

  /// - Returns: who has to go for it: who owes a request for the longest; where all are being answered, who takes longest.
  mutating func add(_ id: ID, at now: ContinuousClock.Instant) -> ID? {
    defer { turns[id] = Turn(isAnswering: false, since: now) }
    guard turns.count >= limit else { return nil }
    let idle = turns.filter { !$0.value.isAnswering }
    guard let last = (idle.isEmpty ? turns : idle).min(by: { $0.value.since < $1.value.since })?.key else { return nil }
    turns[last] = nil
    return last
  }

  /// A request has come, or its answer has gone.
  mutating func turn(_ id: ID, isAnswering: Bool, at now: ContinuousClock.Instant) {
    if turns[id] != nil { turns[id] = Turn(isAnswering: isAnswering, since: now) }
  }

  mutating func remove(_ id: ID) { turns[id] = nil }

  /// Who has been at it for too long.
  func overdue(at now: ContinuousClock.Instant) -> [ID] {
    turns.filter { now - $0.value.since >= patience }.map(\.key)
  }
}
