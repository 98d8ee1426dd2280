import Checkpoint
import Diagnostics
import Planning
import SystemPackage

/// A checkpoint made of nothing but headers.
func checkpoint(
  _ folder: String, _ files: [[(String, DType, [Int])]], config: String? = nil
) throws -> Checkpoint {
  var weightFiles: [Checkpoint.WeightFile] = []
  var tensors: [Checkpoint.Tensor] = []
  for (number, content) in files.enumerated() {
    var end = 0
    let start = 1000 + number
    for (name, dtype, shape) in content {
      let size = (shape.reduce(1, *) * dtype.bits + 7) / 8
      tensors.append(.init(name: name, dtype: dtype, shape: shape, file: number, range: start + end..<start + end + size))
      end += size
    }
    weightFiles.append(
      .init(name: "file-\(number).safetensors", size: start + end, dataStart: start))
  }
  return Checkpoint(
    folder: FilePath("/\(folder)"), files: weightFiles, tensors: tensors,
    config: try config.map { try ModelConfig(json: Array($0.utf8), file: "config.json") })
}

func plan(
  aligned: [(String, DType, [Int])], sft: [(String, DType, [Int])], alignedConfig: String? = nil,
  sftConfig: String? = nil, recipe: Recipe = Recipe(alpha: 0.3)
) throws -> Plan {
  try Plan(
    aligned: checkpoint("aligned", [aligned], config: alignedConfig), sft: checkpoint("sft", [sft], config: sftConfig),
    recipe: recipe)
}

/// The codes of the problems of a plan that cannot be made.
func problems(
  aligned: [(String, DType, [Int])], sft: [(String, DType, [Int])], alignedConfig: String? = nil,
  sftConfig: String? = nil, recipe: Recipe = Recipe(alpha: 0.3)
) throws -> [Problem] {
  do {
    _ = try plan(aligned: aligned, sft: sft, alignedConfig: alignedConfig, sftConfig: sftConfig, recipe: recipe)
    return []
  } catch let failure as Failure {
    return failure.problems
  }
}
