import Diagnostics
import GRDB
import Glibc
import Synchronization
public import SystemPackage
import Threads

/// What outlives a coordinator: its epochs, jobs, and the shards that are done; an SQLite database.
///
/// Whatever is asked of it waits in one line, and is done in that order by one thread. The thread takes all that waits
/// and commits it as one transaction, so that many records cost one sync of the disk, and a single one waits for nothing
/// else.
///
/// Functions that throw return once what they changed is durable, and so block: they are for threads that may wait, and
/// must not be called from a completion. Several journals of one file are kept apart by the caller's lock; SQLite's own
/// is only the second fence.
public final class Journal: Sendable {
  /// One thing to do in the next transaction.
  struct Entry: Sendable {
    /// Throws a `Failure` if only this entry is at fault.
    let work: @Sendable (Database) throws -> Void
    let completion: @Sendable (Result<Void, Failure>) -> Void
  }

  private struct Line {
    var waiting: [Entry] = []
    /// Whether the thread is at it, or will be.
    var isServed = false
    var isClosed = false
  }

  public let path: FilePath
  private let database: DatabaseQueue
  /// The next job's number when this life began.
  let firstNewJob: Int
  private let line = Mutex(Line())
  /// One thread.
  private let pool = ThreadPool(count: 1)
  /// The pool's thread, once it runs.
  private let thread = Atomic<UInt>(0)

  init(path: FilePath, database: DatabaseQueue, firstNewJob: Int) {
    self.path = path
    self.firstNewJob = firstNewJob
    self.database = database
  }

  // MARK: - The line

  /// Adds to the line, or completes at once where the journal is closed.
  func enqueue(_ entry: Entry) {
    let isAccepted = line.withLock { line in
      guard !line.isClosed else { return false }
      line.waiting.append(entry)
      if !line.isServed {
        line.isServed = true
        // Under the lock, so that closing comes after it.
        pool.submit { self.serve() }
      }
      return true
    }
    if !isAccepted { entry.completion(.failure(closed)) }
  }

  /// Adds to the line and waits.
  func perform<Value: Sendable>(_ work: @escaping @Sendable (Database) throws -> Value) throws(Failure) -> Value {
    preconditionMayWait()
    let answer = Monitor<(value: Value?, result: Result<Void, Failure>?)>((nil, nil))
    enqueue(
      Entry(
        work: { db in
          let value = try work(db)
          answer.update(waking: .nobody) { $0.value = value }
        },
        completion: { result in answer.update { $0.result = result } }))
    let (value, result) = answer.wait { answer in answer.result.map { (answer.value, $0) } }
    try result.get()
    guard let value else { preconditionFailure("work that succeeded has a value") }
    return value
  }

  private func serve() {
    thread.store(pthread_self(), ordering: .relaxed)
    while true {
      let group = line.withLock { line in
        let group = line.waiting
        line.waiting = []
        line.isServed = !group.isEmpty
        return group
      }
      if group.isEmpty { return }
      commit(group)
    }
  }

  /// One transaction, and its completions in order.
  private func commit(_ group: [Entry]) {
    var results = [Result<Void, Failure>](repeating: .success(()), count: group.count)
    errno = 0
    do {
      try database.inTransaction(.immediate) { db in
        for (index, entry) in group.enumerated() {
          do {
            try entry.work(db)
          } catch let failure as Failure {
            results[index] = .failure(failure)
          }
        }
        return .commit
      }
    } catch {
      // Rolled back. If it was the sync that failed, the records may yet be found after a crash: none was promised, but
      // each is right.
      let failure = Failure.journal(error, path, systemError: errno)
      for index in results.indices { results[index] = .failure(failure) }
    }
    for (entry, result) in zip(group, results) { entry.completion(result) }
  }

  // MARK: - The end

  /// Waits until all that was recorded is durable and completed, moves it from the log to the database, and closes that.
  ///
  /// Everything asked for later fails: completions get `journalClosed` on the thread that asks. Closing again only
  /// waits.
  public func close() {
    preconditionMayWait()
    line.withLock { line in
      guard !line.isClosed else { return }
      line.isClosed = true
      // The last connection checkpoints; where that fails, the log stays, and is read at the next opening.
      pool.submit { try? self.database.close() }
    }
    pool.stop()
    pool.join()
  }

  private var closed: Failure {
    Failure(
      .interrupted,
      Problem(.journalClosed, "is closed", file: path.string, remedy: "run again: what was recorded before is kept"))
  }

  private func preconditionMayWait() {
    precondition(thread.load(ordering: .relaxed) != pthread_self(), "a completion of the journal would wait for itself")
  }
}
