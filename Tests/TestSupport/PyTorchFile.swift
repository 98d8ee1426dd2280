/// Writes files as torch.save does, as far as readers can tell.
public enum PyTorchFile {
  public struct Tensor {
    let name: String
    let storage: String
    let shape: [Int]
    let bytes: [UInt8]
    /// The name of the tensor whose storage it shares.
    let shared: String?
    let strides: [Int]
    let offset: Int
    /// Of the storage.
    let elementCount: Int

    /// - Parameters:
    ///   - storage: the class of its storage, less `Storage`.
    ///   - bytes: of the storage.
    ///   - strides: nil where the storage is the tensor's elements in order.
    ///   - offset: elements of the storage before the first.
    public init(_ name: String, _ storage: String, shape: [Int], bytes: [UInt8], strides: [Int]? = nil, offset: Int = 0) {
      (self.name, self.storage, self.shape, self.bytes, shared) = (name, storage, shape, bytes, nil)
      self.strides = strides ?? shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
      self.offset = offset
      let count = shape.reduce(1, *)
      elementCount = strides == nil ? count : bytes.count / (Self.sizes[storage] ?? 1)
    }

    /// Another name for a tensor that comes before it.
    public init(_ name: String, tiedTo other: Tensor) {
      (self.name, storage, shape, bytes, shared) = (name, other.storage, other.shape, [], other.name)
      (strides, offset, elementCount) = (other.strides, other.offset, other.elementCount)
    }

    private static let sizes = ["Double": 8, "Long": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Byte": 1]
  }

  /// Data start at odd places. Checksums are 0: nobody asks for them.
  public static func encode(_ tensors: [Tensor]) -> [UInt8] {
    var entries: [(name: String, data: [UInt8])] = [("archive/data.pkl", pickle(tensors)), ("archive/byteorder", Array("little".utf8))]
    for tensor in tensors where tensor.shared == nil { entries.append(("archive/data/\(tensor.name)", tensor.bytes)) }
    var file: [UInt8] = []
    var directory: [UInt8] = []
    for (name, data) in entries {
      let size = littleEndian(UInt32(data.count))
      let common: [UInt8] = [20] + [UInt8](repeating: 0, count: 13) + size + size + littleEndian(UInt16(name.utf8.count))
      directory += [0x50, 0x4B, 1, 2, 20, 0] + common + [UInt8](repeating: 0, count: 12) + littleEndian(UInt32(file.count)) + name.utf8
      // Padding, so that data start at an odd byte.
      let padding = (file.count + 30 + name.utf8.count) % 2 == 0 ? 5 : 4
      file += [0x50, 0x4B, 3, 4] + common + littleEndian(UInt16(padding)) + name.utf8 + [UInt8](repeating: 0, count: padding) + data
    }
    let count = littleEndian(UInt16(entries.count))
    return file + directory + [0x50, 0x4B, 5, 6, 0, 0, 0, 0] + count + count + littleEndian(UInt32(directory.count))
      + littleEndian(UInt32(file.count)) + [0, 0]
  }

  private static func pickle(_ tensors: [Tensor]) -> [UInt8] {
    var program: [UInt8] = [0x80, 2] + Array("}(".utf8)
    for tensor in tensors {
      program += text(tensor.name) + Array("ctorch._utils\n_rebuild_tensor_v2\n((".utf8) + text("storage")
      program += Array("ctorch\n\(tensor.storage)Storage\n".utf8) + text(tensor.shared ?? tensor.name) + text("cpu")
      program += number(tensor.elementCount) + Array("tQ".utf8)
      program += number(tensor.offset) + numbers(tensor.shape) + numbers(tensor.strides) + [0x89] + Array("}tR".utf8)
    }
    return program + Array("u.".utf8)
  }

  private static func text(_ text: String) -> [UInt8] { [0x58] + littleEndian(UInt32(text.utf8.count)) + text.utf8 }
  private static func number(_ number: Int) -> [UInt8] { [0x8A, 8] + littleEndian(number) }
  private static func numbers(_ numbers: [Int]) -> [UInt8] { [0x28] + numbers.flatMap(number) + [0x74] }

  private static func littleEndian<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
}
