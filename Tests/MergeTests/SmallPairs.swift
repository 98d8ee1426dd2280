import Checkpoint
import Coordinator
import Diagnostics
import Planning
import SystemPackage
import TestSupport

/// One tensor to be written: its name, dtype, shape and bytes.
struct TensorBytes {
  let name: String
  let dtype: DType
  let shape: [Int]
  let bytes: [UInt8]

  /// F32 values.
  init(_ name: String, _ values: [Float], shape: [Int]? = nil) {
    self.name = name
    dtype = .f32
    self.shape = shape ?? [values.count]
    bytes = values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } }
  }

  init(_ name: String, _ dtype: DType, _ shape: [Int], _ bytes: [UInt8]) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.bytes = bytes
  }
}

/// A folder in which pairs are merged.
struct Workshop {
  let folder = TemporaryFolder()

  var aligned: FilePath { folder("aligned") }
  var sft: FilePath { folder("sft") }
  var output: FilePath { folder("out") }
  var partial: FilePath { folder("out.partial") }

  func write(_ tensors: [TensorBytes], to side: String) {
    var end = 0
    let entries = tensors.map { tensor in
      defer { end += tensor.bytes.count }
      return SafetensorsHeader.Tensor(
        name: tensor.name, dtype: tensor.dtype, shape: tensor.shape, range: end..<end + tensor.bytes.count)
    }
    // An odd header, so that no input is aligned.
    var header = SafetensorsHeader.encode(tensors: entries, metadata: [:], alignment: 1)
    if header.count % 2 == 0 { header = SafetensorsHeader.encode(tensors: entries, metadata: ["a": "b"], alignment: 1) }
    folder.write(header + tensors.flatMap(\.bytes), to: "\(side)/model.safetensors")
  }

  func writePair(aligned: [TensorBytes], sft: [TensorBytes]) {
    write(aligned, to: "aligned")
    write(sft, to: "sft")
    folder.write(#"{"torch_dtype": "float32"}"#, to: "aligned/config.json")
    folder.write("original", to: "aligned/README.md")
  }

  /// A pair of a megabyte, with tensors that cross shards.
  func writeUsualPair() {
    for (path, contents) in Self.usualPair { folder.write(contents, to: path) }
  }

  /// By path; made once, as that takes long in a debug build.
  private static let usualPair: [String: [UInt8]] = {
    let workshop = Workshop()
    workshop.makeUsualPair()
    var files: [String: [UInt8]] = [:]
    for side in ["aligned", "sft"] {
      for (name, contents) in workshop.contents(of: side) { files["\(side)/\(name)"] = contents }
    }
    return files
  }()

  private func makeUsualPair() {
    var random = SplitMix64(seed: 7)
    func values(_ count: Int, near base: [Float]? = nil) -> [Float] {
      (0..<count).map { index in
        let noise = Float.random(in: -0.02...0.02, using: &random)
        return base.map { $0[index] + noise * 0.01 } ?? noise
      }
    }
    let (first, second, norm) = (values(200_003), values(50_000), values(33))
    let sft = [TensorBytes("model.layers.0.a.weight", first), TensorBytes("model.layers.1.a.weight", second), TensorBytes("model.norm.weight", norm)]
    let aligned = [
      TensorBytes("model.layers.0.a.weight", values(first.count, near: first)),
      TensorBytes("model.layers.1.a.weight", values(second.count, near: second)), TensorBytes("model.norm.weight", norm),
    ]
    writePair(aligned: aligned, sft: sft)
  }

  func plan(_ recipe: Recipe = Recipe(alpha: 0.5, shardSize: 65536)) throws -> Plan {
    try Plan(aligned: Checkpoint.open(aligned), sft: Checkpoint.open(sft), recipe: recipe)
  }

  @discardableResult
  func merge(
    _ recipe: Recipe = Recipe(alpha: 0.5, shardSize: 65536), to output: String = "out",
    options: MergeJob.Options = MergeJob.Options(), context: RunContext = RunContext(threads: 2)
  ) throws -> MergeJob.Outcome {
    try MergeJob(plan: plan(recipe), output: folder(output), options: options, context: context).run()
  }

  /// The values of an F32 tensor of a merged model.
  func values(_ name: String, in output: String = "out") throws -> [Float] {
    let checkpoint = try Checkpoint.open(folder(output))
    guard let tensor = checkpoint.tensors.first(where: { $0.name == name }),
      let bytes = TemporaryFolder.contents(checkpoint.path(of: tensor.file))
    else { return [] }
    return stride(from: tensor.range.lowerBound, to: tensor.range.upperBound, by: 4).map { offset in
      Float(bitPattern: bytes[offset..<offset + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
    }
  }

  /// Every file of a folder, by name.
  func contents(of output: String) -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for name in TemporaryFolder.names(in: folder(output)) {
      files[name] = TemporaryFolder.contents(folder(output).appending(name))
    }
    return files
  }
}

/// The codes of what a piece of work throws.
func codes(_ work: () throws -> Void) throws -> [Problem.Code] {
  do {
    try work()
    return []
  } catch let failure as Failure {
    return failure.problems.map(\.code)
  }
}
