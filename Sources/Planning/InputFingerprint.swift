public import Digests

/// What identifies an input file without reading all of it: its size, its header, and 256 pages at places that
/// the header picks.
///
/// Size and header alone are equal for every fine-tune of one architecture.
public struct InputFingerprint: Sendable, Equatable, Codable {
  public let name: String
  /// Of the file.
  public let bytes: Int
  public let header: Digest128
  public let pages: Digest128

  public init(name: String, bytes: Int, header: Digest128, pages: Digest128) {
    self.name = name
    self.bytes = bytes
    self.header = header
    self.pages = pages
  }
}
