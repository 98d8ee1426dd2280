public import Diagnostics

extension Problem.Code {
  public static let stateDictInvalid = Self("state-dict-invalid")
  public static let pyTorchFormatOther = Self("pytorch-format-other")
  public static let tensorStrided = Self("tensor-strided")
  public static let tensorsShared = Self("tensors-shared")
  public static let storageInvalid = Self("storage-invalid")
}

/// Where the tensors of a file of torch.save lie in it.
///
/// Such a file is a zip archive of stored entries in one folder: `data.pkl`, a pickle of the tensors' names, dtypes, shapes
/// and storages, perhaps `byteorder`, and `data/KEY` for each storage (torch/serialization.py, `_save`). So tensors are
/// ranges of the file, as in safetensors.
package struct PyTorchHeader {
  /// In the order of their data; their ranges are bytes of the file.
  package let tensors: [StoredTensor]
  /// Where the first storage starts. What comes before says which tensors there are.
  let dataStart: Int
  let fileSize: Int

  /// Finds each tensor in its storage.
  ///
  /// - Parameters:
  ///   - entries: of the pickle.
  ///   - storages: bytes of the file, by key.
  ///   - file: its path, for errors.
  /// - Throws: every problem.
  package init(
    _ entries: [(name: String, tensor: PickleTensor)], storages: [String: Range<Int>], dataStart: Int, fileSize: Int, file: String
  ) throws(Failure) {
    var tensors: [StoredTensor] = []
    var problems: [Problem] = []
    for (name, tensor) in entries {
      do throws(Failure) {
        tensors.append(try Self.place(tensor, named: name, in: storages, file: file))
      } catch {
        problems += error.problems
      }
    }
    guard problems.isEmpty else { throw Failure(.badData, problems) }
    self.tensors = tensors.sorted {
      ($0.range.lowerBound, $0.range.upperBound, $0.name) < ($1.range.lowerBound, $1.range.upperBound, $1.name)
    }
    self.dataStart = dataStart
    self.fileSize = fileSize
  }

  /// Tensors with bytes that belong to others, too, such as a head tied to its embedding. Strided ones are left out: what they
  /// lie among need not be theirs.
  func sharing(file: String) -> [Problem] {
    var shared: [String] = []
    var end = 0
    for tensor in tensors where !tensor.range.isEmpty && tensor.layout == nil {
      if tensor.range.lowerBound < end { shared.append(tensor.name) }
      end = max(end, tensor.range.upperBound)
    }
    guard !shared.isEmpty else { return [] }
    return [
      Problem(
        .tensorsShared, "these tensors share bytes with others in the file, and are read and written each for itself: \(list(shared))",
        file: file)
    ]
  }

  private static func place(
    _ tensor: PickleTensor, named name: String, in storages: [String: Range<Int>], file: String
  ) throws(Failure) -> StoredTensor {
    func refusal(_ code: Problem.Code, _ message: String, remedy: String = "download the file again") -> Failure {
      Failure(.badData, Problem(code, message, file: file, tensor: name, remedy: remedy))
    }
    let storage = tensor.storage
    guard let place = storages[storage.key] else {
      throw refusal(.storageInvalid, "the archive has no data/\(storage.key), where the tensor should be")
    }
    let storageBytes = storage.elementCount.multipliedReportingOverflow(by: (storage.dtype?.bits ?? 8) / 8)
    guard !storageBytes.overflow, storageBytes.partialValue == place.count else {
      throw refusal(.storageInvalid, "data/\(storage.key) has \(place.count) bytes, but should have \(storage.elementCount) elements")
    }
    guard (tensor.shape + tensor.strides).allSatisfy({ $0 >= 0 }), tensor.strides.count == tensor.shape.count, tensor.offset >= 0
    else {
      throw refusal(.shapeInvalid, "the shape is \(tensor.shape), the strides \(tensor.strides), the offset \(tensor.offset)")
    }
    guard let bits = tensor.dtype.bitCount(ofShape: tensor.shape) else {
      throw refusal(.shapeOverflows, "the shape \(tensor.shape) has more bits than 64 bits can count")
    }
    if bits == 0 { return .init(name: name, dtype: tensor.dtype, shape: tensor.shape, range: place.lowerBound..<place.lowerBound) }
    var count = 1
    var isContiguous = true
    for (length, stride) in zip(tensor.shape, tensor.strides).reversed() {
      if length != 1 && stride != count { isContiguous = false }
      count *= length
    }
    let size = tensor.dtype.bits / 8
    var layout: StridedLayout?
    if !isContiguous {
      layout = StridedLayout(tensor.dtype, shape: tensor.shape, strides: tensor.strides)
      guard let layout else {
        let limit = StridedLayout.limit >> 20
        throw refusal(
          .tensorStrided,
          "its elements are not in order, and have or lie among more than \(limit) MiB: shape \(tensor.shape), strides \(tensor.strides)",
          remedy: "in PyTorch, save tensor.contiguous()")
      }
      count = layout.spanBytes / size
    }
    let elements = place.count / size
    guard tensor.offset <= elements, count <= elements - tensor.offset else {
      throw refusal(.dataMissing, "its \(count) elements from \(tensor.offset) on do not fit its storage of \(elements)")
    }
    let start = place.lowerBound + tensor.offset * size
    return .init(name: name, dtype: tensor.dtype, shape: tensor.shape, range: start..<start + count * size, layout: layout)
  }
}
