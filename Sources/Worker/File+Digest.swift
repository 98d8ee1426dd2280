public import Digests
public import Diagnostics
public import FileIO

extension File {
  /// XXH3-128 of a range, read in blocks that stay in the cache.
  ///
  /// - Parameters:
  ///   - mayContinue: asked before each block; false ends it.
  ///   - didRead: told the bytes of each block.
  /// - Returns: nil if it was ended.
  public func digest(
    of range: Range<Int>, mayContinue: () -> Bool = { true }, didRead: (Int) -> Void = { _ in }
  ) throws(Failure) -> Digest128? {
    let memory = Memory(count: min(256 << 10, max(range.count, 1)))
    var hash = XXH3()
    var offset = range.lowerBound
    while offset < range.upperBound {
      guard mayContinue() else { return nil }
      let block = UnsafeMutableRawBufferPointer(rebasing: memory.bytes[..<min(memory.bytes.count, range.upperBound - offset)])
      try read(into: block, at: offset)
      hash.update(UnsafeRawBufferPointer(block))
      didRead(block.count)
      offset += block.count
    }
    return hash.digest()
  }
}
