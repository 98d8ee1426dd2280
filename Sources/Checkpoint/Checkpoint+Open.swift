public import Diagnostics
public import FileIO
public import SystemPackage

extension Problem.Code {
  public static let checkpointMissing = Self("checkpoint-missing")
  public static let checkpointNotSafetensors = Self("checkpoint-not-safetensors")
  public static let checkpointAmbiguous = Self("checkpoint-ambiguous")
  public static let checkpointFileMissing = Self("checkpoint-file-missing")
  public static let checkpointTensorMissing = Self("checkpoint-tensor-missing")
  public static let tensorNotInIndex = Self("tensor-not-in-index")
  public static let fileNotInIndex = Self("file-not-in-index")
}

extension Checkpoint {
  /// Looks at a checkpoint: a folder, or one safetensors file. Reads headers, the index and config.json; no weights.
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
    let weights = try findWeights(in: folder, names: names, calls)
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

  // MARK: which files

  private struct Weights {
    var files: [String]
    var index: (name: String, content: CheckpointIndex)?
    var warnings: [Problem] = []
  }

  /// Follows transformers: `model.safetensors`, or the files that an index names.
  private static func findWeights(in folder: FilePath, names: [String], _ calls: SystemCalls) throws(Failure) -> Weights {
    func refusal(_ code: Problem.Code, _ message: String, remedy: String) -> Failure {
      Failure(.badData, Problem(code, message, file: folder.string, remedy: remedy))
    }
    let indices = names.filter { $0.hasSuffix(".safetensors.index.json") }
    let weights = names.filter { $0.hasSuffix(".safetensors") }
    if indices.count > 1 {
      throw refusal(
        .checkpointAmbiguous, "there are \(indices.count) index files: \(list(indices))",
        remedy: "keep the one that belongs to the weights")
    }
    if let name = indices.first {
      let path = folder.appending(name)
      let index = try CheckpointIndex.parse(
        json: File.contents(of: path, limit: CheckpointIndex.sizeLimit, calls: calls), file: path.string)
      let files = Set(index.weightMap.values)
      if weights.contains("model.safetensors") && !files.contains("model.safetensors") {
        throw refusal(
          .checkpointAmbiguous, "there is a model.safetensors besides the files that \(name) names",
          remedy: "remove the one that is out of date")
      }
      let strays = weights.filter { !files.contains($0) }
      let warnings = strays.isEmpty
        ? []
        : [Problem(.fileNotInIndex, "not named by \(name) and so not read: \(list(strays))", file: folder.string)]
      return Weights(files: files.sorted(), index: (name, index), warnings: warnings)
    }
    if weights.contains("model.safetensors") { return Weights(files: ["model.safetensors"]) }
    if weights.count == 1 { return Weights(files: weights) }
    if weights.isEmpty {
      let others = names.filter { name in
        [".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack"].contains { name.hasSuffix($0) }
      }
      if others.isEmpty {
        throw Failure(
          .inputNotFound,
          Problem(
            .checkpointMissing, "the folder holds no weights", file: folder.string,
            remedy: "point at the folder with model.safetensors or model.safetensors.index.json"))
      }
      throw refusal(
        .checkpointNotSafetensors, "the weights are not in safetensors files (\(list(others)))",
        remedy: "convert them first: in transformers, from_pretrained(...).save_pretrained(FOLDER)")
    }
    if let files = completeSeries(weights) {
      return Weights(
        files: files,
        warnings: [
          Problem(.indexInvalid, "there is no model.safetensors.index.json; all numbered files are read", file: folder.string)
        ])
    }
    throw refusal(
      .checkpointAmbiguous, "there are \(weights.count) safetensors files and no index: \(list(weights))",
      remedy: "add model.safetensors.index.json, or name one file")
  }

  /// The names if they are all of `x-00001-of-0000n.safetensors` and nothing else.
  private static func completeSeries(_ names: [String]) -> [String]? {
    let total = padded(names.count)
    let ending = "-00001-of-\(total).safetensors"
    guard let first = names.first, first.hasSuffix(ending) else { return nil }
    let prefix = first.dropLast(ending.utf8.count)
    let expected = (1...names.count).map { "\(prefix)-\(padded($0))-of-\(total).safetensors" }
    return expected == names ? names : nil
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
    var unlisted: [String] = []

    for name in names {
      let path = folder.appending(name)
      do throws(Failure) {
        files.append(WeightFile(name: name, header: try readHeader(of: path, calls: calls)))
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
      let file = files.count - 1
      let header = files[file].header
      for tensor in header.tensors {
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
            name: tensor.name, dtype: tensor.dtype, shape: tensor.shape, file: file,
            range: header.dataStart + tensor.range.lowerBound..<header.dataStart + tensor.range.upperBound))
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
    return Checkpoint(folder: folder, files: files, tensors: tensors)
  }

  /// Reads and parses the header of one file.
  public static func readHeader(of path: FilePath, calls: SystemCalls = .live) throws(Failure) -> SafetensorsHeader {
    let file = try File.open(path, calls: calls)
    let size = try file.status().size
    let prefix = try file.read(at: 0, count: min(size, 8))
    let length = try SafetensorsHeader.jsonLength(prefix: prefix, fileSize: size, file: path.string)
    let json = try file.read(at: 8, count: length)
    var result = Result<SafetensorsHeader, Failure>.failure(Failure(.internalError, Problem(.headerNotJSON, "unread")))
    json.withUnsafeBufferPointer { buffer in
      do throws(Failure) {
        result = .success(try SafetensorsHeader.parse(json: buffer, fileSize: size, file: path.string))
      } catch {
        result = .failure(error)
      }
    }
    return try result.get()
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
