import Digests
import Testing

@Suite("Digests")
struct DigestTests {
  @Test("XXH3-128 of nothing is the value of the specification")
  func empty() {
    #expect(XXH3().digest().description == "99aa06d3014798d86001c324468d497f")
  }

  @Test("a digest survives its text, and only its text")
  func text() {
    let digest = Digest128(high: 1, low: 0xFEDC_BA98_7654_3210)
    #expect(digest.description == "0000000000000001fedcba9876543210")
    #expect(Digest128(digest.description) == digest)
    #expect(Digest128("0000000000000001FEDCBA9876543210") == nil)
    #expect(Digest128("+000000000000001fedcba987654321") == nil)
  }

  @Test("pieces give the digest of the whole")
  func pieces() {
    let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    bytes.withUnsafeBytes { buffer in
      var hash = XXH3()
      hash.update(.init(rebasing: buffer[..<1]))
      hash.update(.init(rebasing: buffer[1..<5000]))
      hash.update(.init(rebasing: buffer[5000...]))
      #expect(hash.digest() == XXH3.digest(of: buffer))
    }
  }

  @Test("every level gives the digest of the others", arguments: XXH3.Level.allCases)
  func levels(level: XXH3.Level) {
    let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    for count in [0, 1, 63, 240, 241, 255, 256, 1024, 1025, 99_999] {
      guard var hash = XXH3(level) else { return }
      bytes.withUnsafeBytes { buffer in
        // In two pieces, so that the buffer of the state is crossed.
        hash.update(.init(rebasing: buffer[..<(count / 3)]))
        hash.update(.init(rebasing: buffer[(count / 3)..<count]))
        #expect(hash.digest() == XXH3.digest(of: .init(rebasing: buffer[..<count])))
      }
    }
  }

  @Test("where one string ends and the next begins is part of a canonical digest")
  func canonical() {
    var one = CanonicalHasher()
    one.combine("ab")
    one.combine("c")
    var other = CanonicalHasher()
    other.combine("a")
    other.combine("bc")
    #expect(one.digest() != other.digest())
  }
}
