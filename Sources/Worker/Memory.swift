import Glibc

/// Page-aligned memory, freed with the value.
struct Memory: ~Copyable {
  let bytes: UnsafeMutableRawBufferPointer

  init(count: Int) {
    bytes = .allocate(byteCount: count, alignment: 4096)
  }

  deinit {
    bytes.deallocate()
  }
}
