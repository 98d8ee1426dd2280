import Scheduling

/// Things that happen at moments of a clock of their own, in order.
struct VirtualTime<Happening> {
  private struct Entry {
    let time: Int64
    let number: Int
    let happening: Happening

    func comes(before other: Entry) -> Bool { (time, number) < (other.time, other.number) }
  }

  private(set) var now: Int64 = 1_000_000_000
  private var heap: [Entry] = []
  private var count = 0

  var instant: Instant { Instant(nanoseconds: now) }

  /// What is scheduled for the same moment happens in the order of the calls.
  mutating func schedule(_ happening: Happening, inMilliseconds delay: Double) {
    count += 1
    heap.append(Entry(time: now + Int64(delay * 1e6), number: count, happening: happening))
    var child = heap.count - 1
    while child > 0, heap[child].comes(before: heap[(child - 1) / 2]) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func next() -> Happening? {
    guard let first = heap.first, let last = heap.popLast() else { return nil }
    if !heap.isEmpty {
      heap[0] = last
      var parent = 0
      while true {
        var least = parent
        for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].comes(before: heap[least]) {
          least = child
        }
        if least == parent { break }
        heap.swapAt(parent, least)
        parent = least
      }
    }
    now = first.time
    return first.happening
  }
}
