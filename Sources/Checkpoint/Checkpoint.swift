public import Diagnostics
public import SystemPackage

/// A checkpoint that was looked at: every tensor's place, and the files beside the weights. Plain data.
public struct Checkpoint: Sendable {
  public struct WeightFile: Sendable, Equatable {
    /// Its name in the folder.
    public let name: String
    /// Bytes.
    public let size: Int
    /// What comes before says which tensors there are.
    public let dataStart: Int
    /// Of a safetensors header.
    public let metadata: [String: String]

    public init(name: String, size: Int, dataStart: Int, metadata: [String: String] = [:]) {
      self.name = name
      self.size = size
      self.dataStart = dataStart
      self.metadata = metadata
    }
  }

  public struct Tensor: Sendable, Equatable {
    public let name: String
    public let dtype: DType
    /// Lengths of the dimensions, outermost first.
    public let shape: [Int]
    /// Index into `files`.
    public let file: Int
    /// Bytes of that file.
    public let range: Range<Int>
    /// nil where the bytes are the elements in the order of the shape.
    public let layout: StridedLayout?

    public init(name: String, dtype: DType, shape: [Int], file: Int, range: Range<Int>, layout: StridedLayout? = nil) {
      self.name = name
      self.dtype = dtype
      self.shape = shape
      self.file = file
      self.range = range
      self.layout = layout
    }

    public var elementCount: Int { shape.reduce(1, *) }
  }

  /// A file beside the weights.
  public struct OtherFile: Sendable, Equatable {
    /// Relative to the folder.
    public let path: String
    public let size: Int

    public init(path: String, size: Int) {
      self.path = path
      self.size = size
    }
  }

  public let folder: FilePath
  /// By name.
  public let files: [WeightFile]
  /// By file, then by place in it.
  public let tensors: [Tensor]
  public let config: ModelConfig?
  /// Config, tokenizer, code and so on: what a copy of the model needs. By path.
  public let companions: [OtherFile]
  /// Files above the limit for companions. By path.
  public let skipped: [OtherFile]
  /// What is odd and yet no reason to refuse.
  public let warnings: [Problem]

  public init(
    folder: FilePath, files: [WeightFile], tensors: [Tensor], config: ModelConfig? = nil,
    companions: [OtherFile] = [], skipped: [OtherFile] = [], warnings: [Problem] = []
  ) {
    self.folder = folder
    self.files = files
    self.tensors = tensors
    self.config = config
    self.companions = companions
    self.skipped = skipped
    self.warnings = warnings
  }

  public func path(of file: Int) -> FilePath {
    folder.appending(files[file].name)
  }
}
