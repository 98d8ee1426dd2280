import Glibc

/// Page-aligned memory, freed with the value.
package struct Memory: ~Copyable {
  package let bytes: UnsafeMutableRawBufferPointer

  package init(count: Int) {
    bytes = .allocate(byteCount: count, alignment: 4096)
  }

  deinit {
    bytes.deallocate()
  }
}

/// Memory that is made when it is needed, and anew where more is.
struct GrowingMemory: ~Copyable {
  private var memory: Memory?

  /// Its first bytes. What was in them before may be lost.
  mutating func bytes(_ count: Int) -> UnsafeMutableRawBufferPointer {
    if (memory?.bytes.count ?? -1) < count { memory = Memory(count: count) }
    guard let bytes = memory?.bytes else { preconditionFailure("it was just made") }
    return UnsafeMutableRawBufferPointer(rebasing: bytes[..<count])
  }
}
