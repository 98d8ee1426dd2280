import Diagnostics
import FileIO
import SystemPackage

extension PyTorchHeader {
  static func isNamedLikeOne(_ name: String) -> Bool {
    [".bin", ".pt", ".pth"].contains { name.hasSuffix($0) }
  }

  /// Reads the directory, the entries' own headers and the pickle.
  init(of file: File) throws(Failure) {
    let path = file.path.string
    let size = try file.status().size
    try Self.checkFormat(try file.read(at: 0, count: min(size, 512)), file: path)
    let tailLength = min(size, ZipDirectory.tailLength)
    let directory = try ZipDirectory(tail: file.read(at: size - tailLength, count: tailLength), fileSize: size, file: path)
    let archive = try Self.places(in: directory, of: file)
    if let order = archive.places["byteorder"] {
      let text = try file.read(at: order.lowerBound, count: min(order.count, 16))
      guard text.elementsEqual("little".utf8) else { throw Self.otherFormat("does not say that its numbers are little-endian", path) }
    }
    guard archive.places["constants.pkl"] == nil else { throw Self.otherFormat("is a TorchScript program", path) }
    guard let pickle = archive.places["data.pkl"] else {
      throw Self.refusal(.archiveInvalid, "the archive has no \(archive.root)data.pkl", path)
    }
    guard pickle.count <= PickleMachine.sizeLimit else {
      throw Self.refusal(.pickleTooLarge, "the pickle has \(pickle.count) bytes; \(PickleMachine.sizeLimit) are the limit", path)
    }
    var storages: [String: Range<Int>] = [:]
    for (name, place) in archive.places where name.hasPrefix("data/") { storages[String(name.dropFirst("data/".count))] = place }
    let dataStart = storages.values.map(\.lowerBound).min() ?? directory.range.lowerBound
    guard pickle.upperBound <= dataStart, dataStart <= SafetensorsHeader.lengthLimit else {
      throw Self.refusal(
        .archiveInvalid, "data.pkl does not come first in the archive", path, remedy: "load it in PyTorch and save it again")
    }
    var machine = PickleMachine(try file.read(at: pickle.lowerBound, count: pickle.count), file: path, start: pickle.lowerBound)
    try self.init(machine.stateDict(), storages: storages, dataStart: dataStart, fileSize: size, file: path)
  }

  /// Where the data of each entry lie, by name without the folder that all are in: that of the first.
  private static func places(
    in directory: ZipDirectory, of file: File
  ) throws(Failure) -> (root: String, places: [String: Range<Int>]) {
    let entries = try directory.entries(file.read(at: directory.range.lowerBound, count: directory.range.count))
    let root = entries.first.map { $0.name.prefix { $0 != "/" } + "/" } ?? ""
    var places: [String: Range<Int>] = [:]
    var end = 0
    for entry in entries {
      guard entry.start >= end else {
        throw refusal(.archiveInvalid, "\(entry.name) begins inside another entry", file.path.string, byte: entry.start)
      }
      let place = try directory.place(of: entry, header: file.read(at: entry.start, count: entry.headerLength))
      end = place.upperBound
      if entry.name.hasPrefix(root) { places[String(entry.name.dropFirst(root.count))] = place }
    }
    return (root, places)
  }

  /// Tells older and other formats by their first bytes.
  private static func checkFormat(_ prefix: [UInt8], file: String) throws(Failure) {
    // A pickle of the number 0x1950A86A20F9469CFC6C, with which files began before PyTorch 1.6.
    if prefix.starts(with: [0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]) {
      throw otherFormat("is of the format before PyTorch 1.6", file)
    }
    if prefix.count >= 262, prefix[257..<262].elementsEqual("ustar".utf8) {
      throw otherFormat("is of the oldest format, a tar archive", file)
    }
    guard prefix.starts(with: [0x50, 0x4B, 0x03, 0x04]) else {
      throw refusal(.pyTorchFormatOther, "is not a file of torch.save: it is no zip archive", file)
    }
  }

  private static func otherFormat(_ what: String, _ file: String) -> Failure {
    refusal(.pyTorchFormatOther, "\(what), which is not read", file, remedy: "load it in a current PyTorch and save it again")
  }

  private static func refusal(
    _ code: Problem.Code, _ message: String, _ file: String, byte: Int? = nil, remedy: String = "download the file again"
  ) -> Failure {
    Failure(.badData, Problem(code, message, file: file, byte: byte, remedy: remedy))
  }
}
