public import Diagnostics

extension Problem.Code {
  public static let archiveInvalid = Self("archive-invalid")
  public static let archiveCompressed = Self("archive-compressed")
}

/// The directory of a zip archive whose entries are stored, not compressed, as torch.save writes it.
///
/// Source: APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3 and 4.5.3. Stricter: the directory is the last thing in the file,
/// without a comment, and nothing overlaps.
package struct ZipDirectory {
  package struct Entry {
    package let name: String
    /// Bytes of its data.
    package let size: Int
    /// Where its own header starts in the file.
    package let start: Int

    /// Bytes of its own header that `place` needs.
    package var headerLength: Int { ZipDirectory.localHeaderLength + name.utf8.count }
  }

  /// Bytes of the file.
  package let range: Range<Int>
  let entryCount: Int
  let file: String

  /// Bytes at the end of a file that `init` needs, where there are so many.
  package static let tailLength = endLength + locatorLength + end64Length
  /// The largest directory read, in bytes: one of 300,000 entries is smaller.
  static let sizeLimit = 32 << 20

  private static let endLength = 22
  private static let locatorLength = 20
  private static let end64Length = 56
  private static let entryLength = 46
  private static let localHeaderLength = 30

  private enum Signature {
    static let localHeader: UInt32 = 0x0403_4B50
    static let entry: UInt32 = 0x0201_4B50
    static let end: UInt32 = 0x0605_4B50
    static let end64: UInt32 = 0x0606_4B50
    static let locator: UInt32 = 0x0706_4B50
  }

  /// What an end of a directory says of it.
  private struct End {
    let count: UInt64
    /// Bytes.
    let size: UInt64
    let start: UInt64
    /// Whether all parts of the archive are in this file.
    let isWhole: Bool

    init(_ bytes: [UInt8], at end: Int) {
      count = UInt64(bytes.integer(at: end + 10, as: UInt16.self))
      size = UInt64(bytes.integer(at: end + 12, as: UInt32.self))
      start = UInt64(bytes.integer(at: end + 16, as: UInt32.self))
      isWhole = bytes.integer(at: end + 4, as: UInt32.self) == 0 && UInt64(bytes.integer(at: end + 8, as: UInt16.self)) == count
    }

    init(wide bytes: [UInt8], at end: Int) {
      count = bytes.integer(at: end + 32, as: UInt64.self)
      size = bytes.integer(at: end + 40, as: UInt64.self)
      start = bytes.integer(at: end + 48, as: UInt64.self)
      isWhole = bytes.integer(at: end + 16, as: UInt64.self) == 0 && bytes.integer(at: end + 24, as: UInt64.self) == count
    }

    /// Whether each number is that of the zip64 end, or says that it is there.
    func mayStand(for wide: End) -> Bool {
      (count == UInt16.max || count == wide.count) && (size == UInt32.max || size == wide.size)
        && (start == UInt32.max || start == wide.start)
    }
  }

  /// Finds the directory.
  ///
  /// - Parameters:
  ///   - tail: the last `tailLength` bytes of the file, or all of a shorter one.
  ///   - fileSize: bytes.
  ///   - file: its path, for errors.
  package init(tail: [UInt8], fileSize: Int, file: String) throws(Failure) {
    self.file = file
    let tailStart = fileSize - tail.count
    let end = tail.count - Self.endLength
    guard end >= 0, tail.integer(at: end, as: UInt32.self) == Signature.end else {
      throw Self.refusal("does not end with the directory of a zip archive: it was cut short, or something follows", file)
    }
    let narrow = End(tail, at: end)
    var found = narrow
    var directoryEnd = end
    let locator = end - Self.locatorLength
    if locator >= 0, tail.integer(at: locator, as: UInt32.self) == Signature.locator {
      directoryEnd = locator - Self.end64Length
      guard directoryEnd >= 0, tail.integer(at: directoryEnd, as: UInt32.self) == Signature.end64,
        tail.integer(at: locator + 8, as: UInt64.self) == UInt64(tailStart + directoryEnd),
        tail.integer(at: directoryEnd + 4, as: UInt64.self) == UInt64(Self.end64Length - 12)
      else { throw Self.refusal("the end of its zip64 directory is not where it should be", file, byte: tailStart + locator) }
      found = End(wide: tail, at: directoryEnd)
      guard narrow.mayStand(for: found) else {
        throw Self.refusal("the two ends of its directory contradict each other", file, byte: tailStart + end)
      }
    }
    guard found.isWhole else { throw Self.refusal("is one of several parts of a zip archive", file, byte: tailStart + end) }
    let (count, size, start) = (found.count, found.size, found.start)
    let (sum, overflows) = start.addingReportingOverflow(size)
    guard !overflows, sum == UInt64(tailStart + directoryEnd) else {
      throw Self.refusal("its directory does not lie where it ends", file, byte: tailStart + directoryEnd)
    }
    guard size <= UInt64(Self.sizeLimit), count <= size / UInt64(Self.entryLength) else {
      throw Self.refusal("a directory of \(size) bytes for \(count) entries", file, byte: tailStart + directoryEnd)
    }
    range = Int(start)..<Int(sum)
    entryCount = Int(count)
  }

  /// Reads the directory.
  ///
  /// - Parameter bytes: the file's in `range`.
  /// - Returns: the entries in their order in the file.
  package func entries(_ bytes: [UInt8]) throws(Failure) -> [Entry] {
    var entries: [Entry] = []
    entries.reserveCapacity(entryCount)
    var names: Set<String> = []
    var next = 0
    for _ in 0..<entryCount {
      let at = next
      guard bytes.count - at >= Self.entryLength, bytes.integer(at: at, as: UInt32.self) == Signature.entry else {
        throw refusal("its directory holds something else than entries", byte: range.lowerBound + at)
      }
      let nameEnd = at + Self.entryLength + Int(bytes.integer(at: at + 28, as: UInt16.self))
      let extraEnd = nameEnd + Int(bytes.integer(at: at + 30, as: UInt16.self))
      next = extraEnd + Int(bytes.integer(at: at + 32, as: UInt16.self))
      guard next <= bytes.count else { throw refusal("an entry ends behind its directory", byte: range.lowerBound + at) }
      guard let name = String(validating: bytes[(at + Self.entryLength)..<nameEnd], as: UTF8.self) else {
        throw refusal("the name of an entry is not UTF-8", byte: range.lowerBound + at)
      }
      guard names.insert(name).inserted else { throw refusal("two entries are named \(name)", byte: range.lowerBound + at) }
      entries.append(try entry(name, bytes, at: at, extra: nameEnd..<extraEnd))
    }
    guard next == bytes.count else { throw refusal("its directory is longer than its entries", byte: range.lowerBound + next) }
    return entries.sorted { ($0.start, $0.name) < ($1.start, $1.name) }
  }

  private func entry(_ name: String, _ bytes: [UInt8], at: Int, extra: Range<Int>) throws(Failure) -> Entry {
    func refusal(_ message: String) -> Failure { self.refusal("\(name): \(message)", byte: range.lowerBound + at) }
    guard bytes.integer(at: at + 8, as: UInt16.self) & 1 == 0 else { throw refusal("the entry is encrypted") }
    guard bytes.integer(at: at + 10, as: UInt16.self) == 0 else {
      throw Failure(
        .badData,
        Problem(
          .archiveCompressed, "\(name) is compressed, which torch.save never does", file: file, byte: range.lowerBound + at,
          remedy: "unpack it and pack it again with zip -0, or load it in PyTorch and save it again"))
    }
    // What has no room in 32 bits is in the extra field 1, in this order.
    var wide = try wideNumbers(bytes, in: extra)[...]
    func number(at place: Int) throws(Failure) -> UInt64 {
      let narrow = bytes.integer(at: at + place, as: UInt32.self)
      guard narrow == .max else { return UInt64(narrow) }
      guard let value = wide.popFirst() else { throw refusal("the entry lacks a number of its zip64 field") }
      return value
    }
    let size = try number(at: 24)
    guard try number(at: 20) == size else { throw refusal("the entry is stored, but in another number of bytes than it has") }
    let start = try number(at: 42)
    let limit = UInt64(range.lowerBound)
    guard start <= limit, size <= limit - start else { throw refusal("the entry does not lie before the directory") }
    let entry = Entry(name: name, size: Int(size), start: Int(start))
    guard entry.headerLength <= Int(limit - start - size) else { throw refusal("the entry does not lie before the directory") }
    return entry
  }

  private func wideNumbers(_ bytes: [UInt8], in extra: Range<Int>) throws(Failure) -> [UInt64] {
    var at = extra.lowerBound
    while extra.upperBound - at >= 4 {
      let (id, size) = (bytes.integer(at: at, as: UInt16.self), Int(bytes.integer(at: at + 2, as: UInt16.self)))
      at += 4
      guard size <= extra.upperBound - at else { break }
      if id == 1 { return stride(from: at, to: at + size - 7, by: 8).map { bytes.integer(at: $0, as: UInt64.self) } }
      at += size
    }
    return []
  }

  /// Where the data of an entry lie in the file.
  ///
  /// - Parameter header: the first `headerLength` bytes of the entry's own header.
  package func place(of entry: Entry, header: [UInt8]) throws(Failure) -> Range<Int> {
    guard header.count == entry.headerLength, header.integer(at: 0, as: UInt32.self) == Signature.localHeader,
      header.integer(at: 8, as: UInt16.self) == 0,
      Int(header.integer(at: 26, as: UInt16.self)) == entry.name.utf8.count,
      header[Self.localHeaderLength...].elementsEqual(entry.name.utf8)
    else { throw refusal("the header of \(entry.name) is not what the directory says", byte: entry.start) }
    let start = entry.start + entry.headerLength + Int(header.integer(at: 28, as: UInt16.self))
    guard start + entry.size <= range.lowerBound else {
      throw refusal("\(entry.name) ends inside the directory", byte: entry.start)
    }
    return start..<start + entry.size
  }

  private func refusal(_ message: String, byte: Int) -> Failure { Self.refusal(message, file, byte: byte) }

  private static func refusal(_ message: String, _ file: String, byte: Int? = nil) -> Failure {
    Failure(.badData, Problem(.archiveInvalid, message, file: file, byte: byte, remedy: "download the file again"))
  }
}

extension [UInt8] {
  /// A little-endian number.
  func integer<Value: FixedWidthInteger>(at offset: Int, as: Value.Type) -> Value {
    self[offset..<offset + Value.bitWidth / 8].reversed().reduce(0) { $0 << 8 | Value(truncatingIfNeeded: $1) }
  }
}
