public import Checkpoint
public import Diagnostics
public import FileIO
import SystemPackage

/// The open files of one checkpoint, and those whose bytes come from elsewhere.
public struct InputFiles: Sendable {
  /// nil where slices are streamed.
  let opened: [File?]
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
      guard try file.status().size == weightFile.size else {
        throw Failure(
          .badData,
          Problem(
            .inputChanged, "the file's size has changed since its header was read", file: file.path.string,
            remedy: "run again when nothing writes to the checkpoint"))
      }
      file.willReadInOrder()
      files.append(file)
    }
    opened = files
    sizes = checkpoint.files.map(\.size)
    self.method = method ?? .automatic
    blockSize = Self.blockSize(isRemote: FileSystemKind(at: checkpoint.folder)?.isRemote ?? false)
  }

  /// - Parameters:
  ///   - opened: by file of the checkpoint; nil where slices are streamed.
  ///   - isRemote: whether one of them lies on a network filesystem.
  init(of checkpoint: Checkpoint, opened: [File?], method: ReadMethod?, isRemote: Bool) {
    self.opened = opened
    sizes = checkpoint.files.map(\.size)
    self.method = method ?? .automatic
    blockSize = Self.blockSize(isRemote: isRemote)
  }

  private static func blockSize(isRemote: Bool) -> Int { isRemote ? 4 << 20 : 256 << 10 }

  /// All of them, where none is streamed.
  public var files: [File] { opened.compactMap { $0 } }
}

extension Problem.Code {
  public static let inputChanged = Self("input-changed")
}
