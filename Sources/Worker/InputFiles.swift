public import Checkpoint
public import Diagnostics
public import FileIO
import SystemPackage

/// The open files of one checkpoint.
public struct InputFiles: Sendable {
  public let files: [File]
  /// Bytes of each.
  let sizes: [Int]
  public let method: ReadMethod
  /// Bytes of one read: large where each costs a round trip over a network.
  let blockSize: Int

  /// Opens all weight files; each must have the size that its header was checked against.
  ///
  /// - Parameter method: nil chooses.
  public init(of checkpoint: Checkpoint, method: ReadMethod? = nil, calls: SystemCalls = .live) throws(Failure) {
    var files: [File] = []
    for (index, weightFile) in checkpoint.files.enumerated() {
      let file = try File.open(checkpoint.path(of: index), calls: calls)
      guard try file.status().size == weightFile.header.fileSize else {
        throw Failure(
          .badData,
          Problem(
            .inputChanged, "the file's size has changed since its header was read", file: file.path.string,
            remedy: "run again when nothing writes to the checkpoint"))
      }
      file.willReadInOrder()
      files.append(file)
    }
    self.files = files
    sizes = checkpoint.files.map(\.header.fileSize)
    let isRemote = FileSystemKind(at: checkpoint.folder)?.isRemote ?? false
    self.method = method ?? .automatic
    blockSize = isRemote ? 4 << 20 : 256 << 10
  }
}

extension Problem.Code {
  public static let inputChanged = Self("input-changed")
}
