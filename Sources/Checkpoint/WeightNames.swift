public import Diagnostics
import FileIO
import SystemPackage

extension Problem.Code {
  public static let checkpointFormatOther = Self("checkpoint-format-other")
  public static let checkpointAmbiguous = Self("checkpoint-ambiguous")
  public static let fileNotInIndex = Self("file-not-in-index")
}

/// Which files of a folder hold its weights.
struct WeightNames {
  let files: [String]
  var index: (name: String, content: CheckpointIndex)?
  var warnings: [Problem] = []

  /// How the files of a format are named.
  private struct Format {
    /// A file that is all of a model.
    let whole: String
    let prefix: String
    let ending: String

    var indexEnding: String { ending + ".index.json" }

    func isWeights(_ name: String) -> Bool { name.hasPrefix(prefix) && name.hasSuffix(ending) }
    func isIndex(_ name: String) -> Bool { name.hasPrefix(prefix) && name.hasSuffix(indexEnding) }
  }

  /// In the order of preference of transformers. Other `.bin` files than those named so are states of optimisers and the like.
  private static let formats = [
    Format(whole: "model.safetensors", prefix: "", ending: ".safetensors"),
    Format(whole: "pytorch_model.bin", prefix: "pytorch_model", ending: ".bin"),
  ]

  /// Follows transformers: one whole file, or the files that an index names, in the first format that there is.
  static func find(in folder: FilePath, names: [String], _ calls: SystemCalls) throws(Failure) -> WeightNames {
    for format in formats where names.contains(where: { format.isWeights($0) || format.isIndex($0) }) {
      return try find(format, in: folder, names: names, calls)
    }
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
      .checkpointFormatOther, "the weights are neither in safetensors files nor in pytorch_model.bin (\(list(others)))", folder,
      remedy: "convert them first: in transformers, from_pretrained(...).save_pretrained(FOLDER)")
  }

  private static func find(
    _ format: Format, in folder: FilePath, names: [String], _ calls: SystemCalls
  ) throws(Failure) -> WeightNames {
    let indices = names.filter(format.isIndex)
    let weights = names.filter(format.isWeights)
    if indices.count > 1 {
      throw refusal(
        .checkpointAmbiguous, "there are \(indices.count) index files: \(list(indices))", folder,
        remedy: "keep the one that belongs to the weights")
    }
    if let name = indices.first {
      let path = folder.appending(name)
      let index = try CheckpointIndex.parse(
        json: File.contents(of: path, limit: CheckpointIndex.sizeLimit, calls: calls), file: path.string)
      let files = Set(index.weightMap.values)
      if weights.contains(format.whole) && !files.contains(format.whole) {
        throw refusal(
          .checkpointAmbiguous, "there is a \(format.whole) besides the files that \(name) names", folder,
          remedy: "remove the one that is out of date")
      }
      let strays = weights.filter { !files.contains($0) }
      let warnings = strays.isEmpty
        ? []
        : [Problem(.fileNotInIndex, "not named by \(name) and so not read: \(list(strays))", file: folder.string)]
      return WeightNames(files: files.sorted(), index: (name, index), warnings: warnings)
    }
    if weights.contains(format.whole) { return WeightNames(files: [format.whole]) }
    if weights.count == 1 { return WeightNames(files: weights) }
    let indexName = format.whole + ".index.json"
    if let files = completeSeries(weights, ending: format.ending) {
      return WeightNames(
        files: files,
        warnings: [Problem(.indexInvalid, "there is no \(indexName); all numbered files are read", file: folder.string)])
    }
    throw refusal(
      .checkpointAmbiguous, "there are \(weights.count) \(format.ending.dropFirst()) files and no index: \(list(weights))", folder,
      remedy: "add \(indexName), or name one file")
  }

  /// The names if they are all of `x-00001-of-0000n` and nothing else.
  private static func completeSeries(_ names: [String], ending: String) -> [String]? {
    let last = "-of-\(padded(names.count))\(ending)"
    guard let first = names.first, first.hasSuffix("-00001\(last)") else { return nil }
    let prefix = first.dropLast("-00001".utf8.count + last.utf8.count)
    let expected = (1...names.count).map { "\(prefix)-\(padded($0))\(last)" }
    return expected == names ? names : nil
  }

  private static func refusal(_ code: Problem.Code, _ message: String, _ folder: FilePath, remedy: String) -> Failure {
    Failure(.badData, Problem(code, message, file: folder.string, remedy: remedy))
  }
}
