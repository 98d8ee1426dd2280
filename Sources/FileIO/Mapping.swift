import Glibc

/// A range of a file in memory, read only; unmapped when the value goes.
///
/// Reading a page that lies beyond the end of the file raises SIGBUS: only the kernels, which are guarded, may touch it.
public struct Mapping: ~Copyable {
  private let base: UnsafeMutableRawPointer?
  private let mappedCount: Int
  /// The bytes of the range.
  public let bytes: UnsafeRawBufferPointer

  init?(descriptor: Int32, range: Range<Int>) {
    guard !range.isEmpty else {
      (base, mappedCount, bytes) = (nil, 0, UnsafeRawBufferPointer(start: nil, count: 0))
      return
    }
    let start = range.lowerBound & ~(Self.pageSize - 1)
    let count = range.upperBound - start
    guard let address = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, off_t(start)), address != MAP_FAILED else {
      return nil
    }
    madvise(address, count, MADV_SEQUENTIAL)
    base = address
    mappedCount = count
    bytes = UnsafeRawBufferPointer(start: address + (range.lowerBound - start), count: range.count)
  }

  deinit {
    if let base { munmap(base, mappedCount) }
  }

  private static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
}
