public import Diagnostics
public import FileIO

/// Writes into output files.
public struct FileSink: ShardSink {
  private let files: [File]

  /// - Parameter files: of each variant.
  public init(_ files: [File]) {
    self.files = files
  }

  public func write(_ block: UnsafeRawBufferPointer, at offset: Int, variant: Int) throws(Failure) {
    try files[variant].write(block, at: offset)
  }
}

/// Keeps nothing: for computing a digest only.
public struct NoSink: ShardSink {
  public init() {}

  public func write(_ block: UnsafeRawBufferPointer, at offset: Int, variant: Int) throws(Failure) {}
}
