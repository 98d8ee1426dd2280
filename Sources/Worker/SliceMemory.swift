import Glibc
import Synchronization

/// Memory for a chunk of a shard, given back to its pool with the last reference.
///
/// Sound to send: one thread fills it, a slot with output or a reader with a slice, and hands it on.
package final class SliceMemory: @unchecked Sendable {
  package let bytes: UnsafeMutableRawBufferPointer
  private let pool: SliceMemoryPool

  fileprivate init(_ bytes: UnsafeMutableRawBufferPointer, pool: SliceMemoryPool) {
    self.bytes = bytes
    self.pool = pool
  }

  deinit {
    pool.giveBack(bytes)
  }
}

/// Keeps memory that was used before: new pages would have to be cleared each time. What came back last is given out
/// first, as it may still be in a cache.
package final class SliceMemoryPool: Sendable {
  // Sound to send: mappings that nobody else has a pointer to.
  private struct Kept: @unchecked Sendable {
    var mappings: [UnsafeMutableRawBufferPointer] = []
  }

  private let kept = Mutex(Kept())
  private let limit: Int

  /// - Parameter limit: mappings that are kept for later.
  package init(limit: Int) {
    self.limit = limit
  }

  deinit {
    kept.withLock { for mapping in $0.mappings { munmap(mapping.baseAddress, mapping.count) } }
  }

  /// nil where the system has no memory left.
  package func take(_ count: Int) -> SliceMemory? {
    // Whole huge pages for what is large.
    let granule = count >= 2 << 20 ? 2 << 20 : 64 << 10
    let size = (max(count, 1) + granule - 1) / granule * granule
    let old = kept.withLock { kept in
      kept.mappings.lastIndex { $0.count == size }.map { kept.mappings.remove(at: $0) }
    }
    if let old { return SliceMemory(old, pool: self) }
    guard let address = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), address != MAP_FAILED
    else { return nil }
    if granule == 2 << 20 { madvise(address, size, 14 /* MADV_HUGEPAGE */) }
    return SliceMemory(UnsafeMutableRawBufferPointer(start: address, count: size), pool: self)
  }

  fileprivate func giveBack(_ mapping: UnsafeMutableRawBufferPointer) {
    let surplus = kept.withLock { kept -> UnsafeMutableRawBufferPointer? in
      kept.mappings.append(mapping)
      return kept.mappings.count > limit ? kept.mappings.removeFirst() : nil
    }
    if let surplus { munmap(surplus.baseAddress, surplus.count) }
  }

  /// Forgets what is kept.
  package func clear() {
    kept.withLock { kept in
      for mapping in kept.mappings { munmap(mapping.baseAddress, mapping.count) }
      kept.mappings = []
    }
  }
}
