import Crypto
public import Diagnostics
public import Digests
public import FileIO
public import Planning
public import SystemPackage

extension Plan {
  /// Reads back what the output holds of a shard.
  ///
  /// - Parameters:
  ///   - files: those of `outputs`.
  ///   - mayContinue: asked before each block; false ends it.
  ///   - didRead: told the bytes of each block.
  /// - Returns: that of all variants; nil if it was ended.
  public func digest(
    of shard: Shard, in files: [File], mayContinue: () -> Bool = { true }, didRead: (Int) -> Void = { _ in }
  ) throws(Failure) -> Digest128? {
    var digests: [Digest128] = []
    for number in outputs(of: shard.file) {
      guard let digest = try files[number].digest(of: shard.range, mayContinue: mayContinue, didRead: didRead) else { return nil }
      digests.append(digest)
    }
    return Digest128(combining: digests)
  }
}

extension File {
  /// XXH3-128 of a range.
  ///
  /// - Parameters:
  ///   - mayContinue: asked before each block; false ends it.
  ///   - didRead: told the bytes of each block.
  /// - Returns: nil if it was ended.
  public func digest(
    of range: Range<Int>, mayContinue: () -> Bool = { true }, didRead: (Int) -> Void = { _ in }
  ) throws(Failure) -> Digest128? {
    var hash = XXH3()
    let isWhole = try forEachBlock(of: range, mayContinue: mayContinue) { block in
      hash.update(block)
      didRead(block.count)
    }
    return isWhole ? hash.digest() : nil
  }

  /// XXH3-128 of a whole file.
  public static func digest(of path: FilePath, calls: SystemCalls = .live) throws(Failure) -> Digest128 {
    let file = try File.open(path, calls: calls)
    guard let digest = try file.digest(of: 0..<file.status().size) else { preconditionFailure("nobody ended it") }
    return digest
  }

  /// SHA-256 of a range, as 64 lower-case hexadecimal digits.
  ///
  /// - Parameters:
  ///   - mayContinue: asked before each block; false ends it.
  ///   - didRead: told the bytes of each block.
  /// - Returns: nil if it was ended.
  public func sha256(
    of range: Range<Int>, mayContinue: () -> Bool = { true }, didRead: (Int) -> Void = { _ in }
  ) throws(Failure) -> String? {
    var hash = SHA256()
    let isWhole = try forEachBlock(of: range, mayContinue: mayContinue) { block in
      hash.update(bufferPointer: block)
      didRead(block.count)
    }
    guard isWhole else { return nil }
    return hash.finalize().map { byte in
      let digits = String(byte, radix: 16)
      return digits.utf8.count == 1 ? "0" + digits : digits
    }.joined()
  }

  /// Reads a range in blocks that stay in the cache.
  ///
  /// - Returns: whether it came to the end.
  private func forEachBlock(
    of range: Range<Int>, mayContinue: () -> Bool, _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(Failure) -> Bool {
    let memory = Memory(count: min(256 << 10, max(range.count, 1)))
    var offset = range.lowerBound
    while offset < range.upperBound {
      guard mayContinue() else { return false }
      let block = UnsafeMutableRawBufferPointer(rebasing: memory.bytes[..<min(memory.bytes.count, range.upperBound - offset)])
      try read(into: block, at: offset)
      body(UnsafeRawBufferPointer(block))
      offset += block.count
    }
    return true
  }
}
