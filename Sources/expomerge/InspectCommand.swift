import ArgumentParser
import Checkpoint
import Diagnostics
import Figures
import Planning
import SystemPackage

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "List the tensors of a checkpoint.")

  @Argument(help: ArgumentHelp("A checkpoint: a folder, a file, or org/name in the cache of Hugging Face.", valueName: "model"), completion: .file())
  var path: String

  @Flag(help: "Leave out the tensors: totals and files only.")
  var summary = false

  @OptionGroup(title: "Printing") var console: Console

  func run() throws {
    try console.reporting { () throws(Failure) in
      let checkpoint = try Checkpoint.open(ModelReference(path).path())
      let weights = QuantisedWeights(of: checkpoint)
      if !summary { showTensors(checkpoint, weights) }
      showTotals(checkpoint)
      console.warn(checkpoint.warnings + weights.problems)
    }
  }

  private func showTensors(_ checkpoint: Checkpoint, _ weights: QuantisedWeights) {
    let nameWidth = checkpoint.tensors.map(\.name.count).max() ?? 0
    let shapes = checkpoint.tensors.map { $0.shape.isEmpty ? "scalar" : $0.shape.map(String.init).joined(separator: " x ") }
    let shapeWidth = shapes.map(\.count).max() ?? 0
    let encodings = checkpoint.tensors.map(weights.encoding(of:))
    let encodingWidth = encodings.map(\.count).max() ?? 0
    for ((tensor, shape), encoding) in zip(zip(checkpoint.tensors, shapes), encodings) {
      let file = checkpoint.files[tensor.file].name
      console.result(
        "\(Format.padded(tensor.name, nameWidth))  \(Format.padded(encoding, encodingWidth))  \(Format.padded(shape, shapeWidth))  \(Format.right(Format.bytes(tensor.range.count), 8))\(checkpoint.files.count > 1 ? "  \(file)" : "")"
      )
      console.emit(
        TensorMessage(
          name: tensor.name, dtype: tensor.dtype.rawValue, shape: tensor.shape, bytes: tensor.range.count,
          parameters: tensor.elementCount, file: file, offset: tensor.range.lowerBound,
          scales: weights.scales[tensor.name]?.name))
    }
    if !checkpoint.tensors.isEmpty { console.result("") }
  }

  private func showTotals(_ checkpoint: Checkpoint) {
    let parameters = checkpoint.tensors.reduce(0) { $0 + $1.elementCount }
    let bytes = checkpoint.tensors.reduce(0) { $0 + $1.range.count }
    console.result(
      "\(Format.plural(checkpoint.tensors.count, "tensor")), \(Format.count(parameters)) parameters, \(Format.bytes(bytes)) in \(Format.plural(checkpoint.files.count, "file"))"
    )
    let byDType = Dictionary(grouping: checkpoint.tensors, by: \.dtype).sorted { $0.key.rawValue < $1.key.rawValue }
    for (dtype, tensors) in byDType {
      console.result(
        "  \(Format.padded(dtype.rawValue, 12)) \(Format.right("\(tensors.count)", 7)) tensors  \(Format.right(Format.bytes(tensors.reduce(0) { $0 + $1.range.count }), 8))"
      )
    }
    for (index, file) in checkpoint.files.enumerated() {
      let tensors = checkpoint.tensors.filter { $0.file == index }
      if checkpoint.files.count > 1 {
        console.result(
          "  \(file.name)  \(Format.right(Format.bytes(file.size), 8))  \(Format.plural(tensors.count, "tensor"))")
      }
      console.emit(
        FileMessage(
          name: file.name, bytes: file.size, tensors: tensors.count, metadata: file.metadata))
    }
    console.emit(
      TotalsMessage(
        files: checkpoint.files.count, tensors: checkpoint.tensors.count, parameters: parameters, bytes: bytes))
  }

  private struct TensorMessage: Encodable {
    let type = "tensor"
    let name: String
    let dtype: String
    let shape: [Int]
    let bytes: Int
    let parameters: Int
    let file: String
    let offset: Int
    /// The tensor with the scales of its blocks.
    let scales: String?
  }

  private struct FileMessage: Encodable {
    let type = "file"
    let name: String
    let bytes: Int
    let tensors: Int
    let metadata: [String: String]
  }

  private struct TotalsMessage: Encodable {
    let type = "checkpoint"
    let files: Int
    let tensors: Int
    let parameters: Int
    let bytes: Int
  }
}
