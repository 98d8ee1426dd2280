import Synchronization

/// Results of numbered pieces of work, filled in by many threads.
final class ResultSlots<Value: Sendable>: Sendable {
  private let slots: Mutex<[Value?]>

  init(count: Int) {
    slots = Mutex(Array(repeating: nil, count: count))
  }

  func set(_ value: Value, at index: Int) {
    slots.withLock { $0[index] = value }
  }

  var values: [Value?] { slots.withLock { $0 } }
}
