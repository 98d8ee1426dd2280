public import Diagnostics
import FileIO
import SystemPackage

extension Problem.Code {
  public static let fileLeftOut = Self("file-left-out")
}

/// The files of a checkpoint folder that are not weights, sorted into those that a merged model needs and the rest.
enum OtherFiles {
  struct Listing {
    var companions: [Checkpoint.OtherFile] = []
    var skipped: [Checkpoint.OtherFile] = []
    var warnings: [Problem] = []

    mutating func leaveOut(_ path: FilePath, _ reason: String) {
      warnings.append(
        Problem(.fileLeftOut, "not copied: \(reason)", file: path.string, remedy: "copy it yourself if the model needs it"))
    }
  }

  /// Bytes; larger files are taken for weights or data in disguise.
  static let sizeLimit = 64 << 20

  static func list(in folder: FilePath, _ directories: Directories) throws(Failure) -> Listing {
    var listing = Listing()
    try list(folder, directories, prefix: "", depth: 0, into: &listing)
    return listing
  }

  private static func list(
    _ folder: FilePath, _ directories: Directories, prefix: String, depth: Int, into listing: inout Listing
  ) throws(Failure) {
    let names: [String]
    do throws(Failure) {
      names = try directories.names(in: folder)
    } catch {
      guard depth > 0 else { throw error }
      return listing.leaveOut(folder, "the folder cannot be listed")
    }
    for name in names {
      let path = folder.appending(name)
      let relative = prefix + name
      switch try directories.kind(of: path) {
      case .directory where !ignoredFolders.contains(name):
        // A linked folder could lead anywhere, also back here.
        let isLink = try directories.isSymbolicLink(path)
        if isLink || depth == 8 {
          listing.leaveOut(path, isLink ? "a linked folder" : "the folders are too deep")
        } else {
          try list(path, directories, prefix: relative + "/", depth: depth + 1, into: &listing)
        }
      case nil:
        listing.leaveOut(path, "a link to nowhere, or a name that is not UTF-8")
      case .file(let size) where !isWeightFile(name) && !(depth == 0 && replaced.contains(name)):
        let file = Checkpoint.OtherFile(path: relative, size: size)
        if size > sizeLimit { listing.skipped.append(file) } else { listing.companions.append(file) }
      default:
        continue
      }
    }
  }

  /// Also what expomerge itself writes beside them, which would be wrong for another model.
  private static let replaced: Set<String> = ["README.md", "expomerge.json", "SHA256SUMS", "report.html"]
  private static let ignoredFolders: Set<String> = [".git", ".cache", ".expomerge"]

  private static func isWeightFile(_ name: String) -> Bool {
    let lower = name.lowercased()
    return weightEndings.contains { lower.hasSuffix($0) }
  }

  /// Weights in any format, their indices, and the states of optimisers and schedulers.
  private static let weightEndings = [
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".msgpack", ".h5", ".onnx", ".onnx_data",
    ".safetensors.index.json", ".bin.index.json", ".h5.index.json", ".msgpack.index.json",
  ]
}
