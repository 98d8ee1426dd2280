public import Checkpoint

/// Which tensor goes into which output file, and where in it.
public struct Layout: Sendable {
  /// What a layout needs to know of a tensor.
  public struct Item: Sendable {
    public let name: String
    public let dtype: DType
    public let shape: [Int]

    public init(name: String, dtype: DType, shape: [Int]) {
      self.name = name
      self.dtype = dtype
      self.shape = shape
    }

    public var byteCount: Int { shape.reduce(1, *) * dtype.bits / 8 }
  }

  public struct File: Sendable {
    public let name: String
    /// Everything before the data: a whole number of pages.
    public let header: [UInt8]
    /// Indices of the items, in the order of their data.
    public let items: [Int]
    /// Bytes of the file for each of `items`.
    public let ranges: [Range<Int>]

    public var size: Int { ranges.last?.upperBound ?? header.count }
  }

  public let files: [File]

  /// Fills files with tensors in the natural order of their names, so that a layer stays together; within a file the
  /// largest elements come first, so that every element is aligned.
  ///
  /// - Parameter maxFileSize: bytes of tensors; a larger tensor has a file of its own.
  public init(_ items: [Item], maxFileSize: Int) {
    let keys = items.map { NaturalKey($0.name) }
    let order = items.indices.sorted { (keys[$0], items[$0].name) < (keys[$1], items[$1].name) }
    var groups: [[Int]] = []
    var size = 0
    for index in order {
      let count = items[index].byteCount
      if groups.isEmpty || size + count > maxFileSize && size > 0 {
        groups.append([])
        size = 0
      }
      groups[groups.count - 1].append(index)
      size += count
    }
    if groups.isEmpty { groups = [[]] }
    files = groups.enumerated().map { number, group in
      let name =
        groups.count == 1
        ? "model.safetensors" : "model-\(padded(number + 1))-of-\(padded(groups.count)).safetensors"
      return Self.file(named: name, items, group)
    }
  }

  private static func file(named name: String, _ items: [Item], _ group: [Int]) -> File {
    let order = group.sorted { one, other in
      let (a, b) = (items[one], items[other])
      if a.dtype.alignment != b.dtype.alignment { return a.dtype.alignment > b.dtype.alignment }
      return a.name.utf8.lexicographicallyPrecedes(b.name.utf8)
    }
    var end = 0
    let tensors = order.map { index in
      let item = items[index]
      defer { end += item.byteCount }
      return SafetensorsHeader.Tensor(
        name: item.name, dtype: item.dtype, shape: item.shape, range: end..<end + item.byteCount)
    }
    // Without a format, transformers refuses to load.
    let header = SafetensorsHeader.encode(tensors: tensors, metadata: ["format": "pt"])
    let ranges = tensors.map { header.count + $0.range.lowerBound..<header.count + $0.range.upperBound }
    return File(name: name, header: header, items: order, ranges: ranges)
  }
}
