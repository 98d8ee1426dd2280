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
