/// Writes safetensors files by hand.
public enum SafetensorsFile {
  public struct Tensor {
    let name: String
    let dtype: String
    let shape: [Int]
    let bytes: [UInt8]

    /// - Parameter dtype: as in a header.
    public init(_ name: String, _ dtype: String, _ shape: [Int], _ bytes: [UInt8]) {
      (self.name, self.dtype, self.shape, self.bytes) = (name, dtype, shape, bytes)
    }
  }

  public static func encode(_ tensors: [Tensor]) -> [UInt8] {
    var end = 0
    let members = tensors.map { tensor in
      defer { end += tensor.bytes.count }
      return #""\#(tensor.name)":{"dtype":"\#(tensor.dtype)","shape":\#(tensor.shape),"data_offsets":[\#(end),\#(end + tensor.bytes.count)]}"#
    }
    let json = Array("{\(members.joined(separator: ","))}".utf8)
    return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) } + json + tensors.flatMap(\.bytes)
  }
}
