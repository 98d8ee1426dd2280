import Checkpoint
public import Diagnostics
import FoundationEssentials
import SystemPackage

extension Problem.Code {
  public static let descriptionInvalid = Self("description-invalid")
}

/// All that a plan is made from, for those who cannot read the inputs: recipe, and what the headers say.
public struct JobDescription: Sendable, Equatable, Codable {
  public struct Input: Sendable, Equatable, Codable {
    public struct File: Sendable, Equatable, Codable {
      public let name: String
      public let bytes: Int
      /// Where the data start.
      public let dataStart: Int
    }

    public struct Tensor: Sendable, Equatable, Codable {
      public let name: String
      public let dtype: String
      public let shape: [Int]
      public let file: Int
      /// Bytes of the file.
      public let start: Int
      public let end: Int
      /// Elements from one to the next in each dimension; nil where they are in the order of the shape.
      public let strides: [Int]?
    }

    public let tiesWordEmbeddings: Bool
    /// Rows and columns that one scale of F8_E4M3 weights is for; nil where none are quantised.
    public let blockSize: [Int]?
    public let files: [File]
    public let tensors: [Tensor]
  }

  public let recipe: Recipe
  public let aligned: Input
  public let sft: Input

  public init(_ plan: Plan) {
    recipe = plan.recipe
    aligned = Input(plan.aligned)
    sft = Input(plan.sft)
  }

  public func encoded() -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else { preconditionFailure("a description is always valid JSON") }
    return Array(data)
  }

  /// Plans from a description that came from elsewhere, and so is not believed.
  public static func plan(from bytes: [UInt8]) throws(Failure) -> Plan {
    guard let description = try? JSONDecoder().decode(JobDescription.self, from: Data(bytes)) else {
      throw refusal("is not a description of a job")
    }
    return try Plan(
      aligned: description.aligned.checkpoint(), sft: description.sft.checkpoint(), recipe: description.recipe)
  }

  fileprivate static func refusal(_ message: String) -> Failure {
    Failure(
      .badData,
      Problem(
        .descriptionInvalid, "what the coordinator sent \(message)",
        remedy: "run the same version of expomerge everywhere"))
  }
}

extension JobDescription.Input {
  init(_ checkpoint: Checkpoint) {
    tiesWordEmbeddings = checkpoint.config?.tiesWordEmbeddings == true
    blockSize = QuantisedWeights.block(of: checkpoint).map { [$0.rows, $0.columns] }
    files = checkpoint.files.map {
      .init(name: $0.name, bytes: $0.size, dataStart: $0.dataStart)
    }
    tensors = checkpoint.tensors.map {
      .init(
        name: $0.name, dtype: $0.dtype.rawValue, shape: $0.shape, file: $0.file, start: $0.range.lowerBound,
        end: $0.range.upperBound, strides: $0.layout?.strides)
    }
  }

  /// Far beyond any model.
  private static let largestFile = 1 << 55

  func checkpoint() throws(Failure) -> Checkpoint {
    func check(_ condition: Bool, _ what: String) throws(Failure) {
      guard condition else { throw JobDescription.refusal("contradicts itself: \(what)") }
    }
    try check(!files.isEmpty && files.count <= 100_000, "the number of files")
    for file in files {
      try check(
        file.dataStart >= 8 && file.dataStart <= file.bytes && file.bytes <= Self.largestFile
          && file.dataStart <= 8 + SafetensorsHeader.lengthLimit, "the size of \(file.name)")
      try check(!file.name.isEmpty && !file.name.utf8.contains(0) && !file.name.utf8.contains(UInt8(ascii: "/")), "a name")
    }
    var places: [Checkpoint.Tensor] = []
    for tensor in tensors {
      guard let dtype = DType(rawValue: tensor.dtype) else { throw JobDescription.refusal("has an unknown dtype") }
      try check(files.indices.contains(tensor.file), "the file of \(tensor.name)")
      let file = files[tensor.file]
      try check(
        tensor.start >= file.dataStart && tensor.start <= tensor.end && tensor.end <= file.bytes,
        "the place of \(tensor.name)")
      let bits = tensor.shape.allSatisfy { $0 >= 0 } ? dtype.bitCount(ofShape: tensor.shape) : nil
      try check(bits.map { $0 % 8 == 0 } == true, "the shape of \(tensor.name)")
      var layout: StridedLayout?
      if let strides = tensor.strides, let bits, bits > 0 {
        layout = StridedLayout(dtype, shape: tensor.shape, strides: strides)
        try check(layout != nil, "the strides of \(tensor.name)")
      }
      try check((layout?.spanBytes ?? bits.map { $0 / 8 }) == tensor.end - tensor.start, "the shape of \(tensor.name)")
      places.append(
        .init(
          name: tensor.name, dtype: dtype, shape: tensor.shape, file: tensor.file, range: tensor.start..<tensor.end,
          layout: layout))
    }
    try check(Set(tensors.map(\.name)).count == tensors.count, "a tensor's name")
    let quantisation = blockSize.map { Quantisation(method: Quantisation.blockMethod, blockSize: $0) }
    let config = ModelConfig(tiesWordEmbeddings: tiesWordEmbeddings ? true : nil, quantisation: quantisation)
    return Checkpoint(
      folder: "/",
      files: files.map { .init(name: $0.name, size: $0.bytes, dataStart: $0.dataStart) }, tensors: places, config: config)
  }
}
