public import Diagnostics
public import FileIO

/// Writes into an output file.
public struct FileSink: ShardSink {
  private let file: File

  public init(_ file: File) {
    self.file = file
  }

  public func write(_ block: UnsafeRawBufferPointer, at offset: Int) throws(Failure) {
    try file.write(block, at: offset)
  }
}

/// Keeps nothing: for computing a digest only.
public struct NoSink: ShardSink {
  public init() {}

  public func write(_ block: UnsafeRawBufferPointer, at offset: Int) throws(Failure) {}
}
