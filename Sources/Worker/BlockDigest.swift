package import Digests

/// The digest of one of several files that are written side by side. Not shared between threads.
package final class BlockDigest {
  private var hash = XXH3()

  package init() {}

  package func update(_ block: UnsafeRawBufferPointer) { hash.update(block) }

  package var digest: Digest128 { hash.digest() }
}
