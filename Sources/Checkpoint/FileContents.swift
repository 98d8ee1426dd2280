import Diagnostics
import FileIO
import SystemPackage

/// What one file of weights says of itself, in whichever format.
struct FileContents {
  /// In the order of their data; ranges are bytes of the file.
  let tensors: [StoredTensor]
  /// Bytes of the file.
  let size: Int
  let dataStart: Int
  var metadata: [String: String] = [:]
  var warnings: [Problem] = []

  /// Reads what the file begins with, or of a PyTorch file its directory and pickle; no weights.
  init(of path: FilePath, calls: SystemCalls) throws(Failure) {
    let file = try File.open(path, calls: calls)
    if PyTorchHeader.isNamedLikeOne(path.string) {
      let header = try PyTorchHeader(of: file)
      tensors = header.tensors
      size = header.fileSize
      dataStart = header.dataStart
      warnings = header.sharing(file: path.string)
    } else {
      let header = try Self.readSafetensors(file)
      let start = header.dataStart
      tensors = header.tensors.map {
        .init(name: $0.name, dtype: $0.dtype, shape: $0.shape, range: start + $0.range.lowerBound..<start + $0.range.upperBound)
      }
      size = header.fileSize
      dataStart = start
      metadata = header.metadata
    }
  }

  private static func readSafetensors(_ file: File) throws(Failure) -> SafetensorsHeader {
    let size = try file.status().size
    let prefix = try file.read(at: 0, count: min(size, 8))
    let length = try SafetensorsHeader.jsonLength(prefix: prefix, fileSize: size, file: file.path.string)
    let json = try file.read(at: 8, count: length)
    var result = Result<SafetensorsHeader, Failure>.failure(Failure(.internalError, Problem(.headerNotJSON, "unread")))
    json.withUnsafeBufferPointer { buffer in
      do throws(Failure) {
        result = .success(try SafetensorsHeader.parse(json: buffer, fileSize: size, file: file.path.string))
      } catch {
        result = .failure(error)
      }
    }
    return try result.get()
  }
}
