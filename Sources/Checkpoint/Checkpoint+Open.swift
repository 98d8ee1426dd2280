public import Diagnostics
public import FileIO
public import SystemPackage

extension Problem.Code {
  public static let checkpointMissing = Self("checkpoint-missing")
  public static let checkpointFileMissing = Self("checkpoint-file-missing")
  public static let checkpointTensorMissing = Self("checkpoint-tensor-missing")
  public static let tensorNotInIndex = Self("tensor-not-in-index")
}

extension Checkpoint {
  /// Looks at a checkpoint: a folder, or one file of weights. Reads headers, the index and config.json; no weights.
  ///
  /// - Throws: every problem of the folder at once.
  public static func open(_ path: FilePath, calls: SystemCalls = .live) throws(Failure) -> Checkpoint {
    switch try Directories(calls: calls).kind(of: path) {
    case .directory:
      return try openFolder(path, calls)
    case .file:
      let folder = path.removingLastComponent()
      let name = path.lastComponent?.string ?? ""
      return try assemble(folder: folder.isEmpty ? "." : folder, names: [name], index: nil, calls)
    case .other, nil:
      throw Failure(
        .inputNotFound,
        Problem(.checkpointMissing, "there is no such checkpoint", file: path.string, remedy: "check the path"))
    }
  }

  private static func openFolder(_ folder: FilePath, _ calls: SystemCalls) throws(Failure) -> Checkpoint {
    let names = try Directories(calls: calls).names(in: folder)
    let weights = try WeightNames.find(in: folder, names: names, calls)
    var checkpoint = try assemble(folder: folder, names: weights.files, index: weights.index, calls)
    let others = try OtherFiles.list(in: folder, Directories(calls: calls))
    var config: ModelConfig?
    if names.contains("config.json") {
      let path = folder.appending("config.json")
      config = try ModelConfig(json: File.contents(of: path, limit: ModelConfig.sizeLimit, calls: calls), file: path.string)
    }
    checkpoint = Checkpoint(
      folder: folder, files: checkpoint.files, tensors: checkpoint.tensors, config: config,
      companions: others.companions, skipped: others.skipped, warnings: weights.warnings + checkpoint.warnings + others.warnings)
    return checkpoint
  }

  // MARK: what is in them

  private static func assemble(
    folder: FilePath, names: [String], index: (name: String, content: CheckpointIndex)?, _ calls: SystemCalls
  ) throws(Failure) -> Checkpoint {
    var files: [WeightFile] = []
    var tensors: [Tensor] = []
    var seen: [String: Int] = [:]
    var problems: [Problem] = []
    var category = Failure.Category.badData
    var warnings: [Problem] = []
    var unlisted: [String] = []

    for name in names {
      let path = folder.appending(name)
      let contents: FileContents
      do throws(Failure) {
        contents = try FileContents(of: path, calls: calls)
      } catch {
        category = error.category
        problems += error.problems.map { problem in
          guard problem.code == .fileNotFound, let index else { return problem }
          return Problem(
            .checkpointFileMissing, "\(index.name) names this file, but it is not there", file: path.string,
            remedy: "download it")
        }
        continue
      }
      let file = files.count
      files.append(WeightFile(name: name, size: contents.size, dataStart: contents.dataStart, metadata: contents.metadata))
      warnings += contents.warnings
      for tensor in contents.tensors {
        if let index {
          guard let home = index.content.weightMap[tensor.name] else {
            unlisted.append(tensor.name)
            continue
          }
          if home != name { continue }
        }
        if let other = seen.updateValue(file, forKey: tensor.name) {
          problems.append(
            Problem(
              .tensorDuplicated, "the tensor is also in \(files[other].name)", file: path.string,
              tensor: tensor.name, remedy: "remove one of the two, or add an index"))
        }
        tensors.append(
          Tensor(
            name: tensor.name, dtype: tensor.dtype, shape: tensor.shape, file: file, range: tensor.range, layout: tensor.layout))
      }
    }
    if let index {
      let present = Set(files.map(\.name))
      for (tensor, file) in index.content.weightMap.sorted(by: { $0.key < $1.key })
      where seen[tensor] == nil && present.contains(file) {
        problems.append(
          Problem(
            .checkpointTensorMissing, "\(index.name) says the tensor is in \(file), but it is not",
            file: folder.appending(file).string, tensor: tensor, remedy: "download the file and the index again"))
      }
      for tensor in unlisted.sorted() {
        problems.append(
          Problem(
            .tensorNotInIndex, "the tensor is in a file but not in \(index.name)", file: folder.string,
            tensor: tensor, remedy: "download the index again or regenerate it"))
      }
    }
    // Far beyond any model, and far below where sums of bytes overflow.
    var elements = 0.0
    for tensor in tensors { elements += Double(tensor.elementCount) }
    if elements > 0x1p55 {
      problems.append(
        Problem(.shapeOverflows, "the tensors have more than 2^55 elements", file: folder.string, remedy: "check the files"))
    }
    guard problems.isEmpty else { throw Failure(category, problems) }
    return Checkpoint(folder: folder, files: files, tensors: tensors, warnings: warnings)
  }
}

/// `00003`, as in names of numbered files.
package func padded(_ number: Int) -> String {
  let digits = String(number)
  return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
}

/// The first few names and how many more there are.
func list(_ names: [String], limit: Int = 5) -> String {
  let shown = names.prefix(limit).joined(separator: ", ")
  return names.count > limit ? "\(shown) and \(names.count - limit) more" : shown
}
