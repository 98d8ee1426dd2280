import Synchronization
import Testing
import Threads

@Suite struct ThreadPoolTests {
  @Test("everything that was submitted is done before the threads end", arguments: [1, 4])
  func all(threads: Int) {
    let pool = ThreadPool(count: threads)
    let log = Log()
    for number in 0..<5000 { pool.submit { log.add(number) } }
    pool.stop()
    pool.join()
    #expect(log.numbers.sorted() == Array(0..<5000))
    // One thread keeps the order.
    if threads == 1 { #expect(log.numbers == Array(0..<5000)) }
  }

  private final class Log: Sendable {
    private let values = Mutex([Int]())

    func add(_ number: Int) { values.withLock { $0.append(number) } }
    var numbers: [Int] { values.withLock { $0 } }
  }

  @Test("threads that wait for each other at a mutex do not touch its value together")
  func contention() {
    let log = Log()
    ThreadTeam.run(count: 8) { thread in
      for number in 0..<5000 { log.add(thread * 5000 + number) }
    }
    #expect(log.numbers.sorted() == Array(0..<40_000))
  }

  @Test("the clock goes on")
  func clock() {
    let first = bootNanoseconds()
    #expect(first > 0 && bootNanoseconds() >= first)
  }
}
