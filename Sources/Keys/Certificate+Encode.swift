import Glibc

extension Certificate {
  /// The text of `NAME.key`.
  ///
  /// - Parameter date: for the comment that people see, as in `2025-01-31 12:00:00`.
  public func publicText(date: String) -> [UInt8] {
    var text = Array(
      """
      #   ****  Generated on \(date) by expomerge  ****
      #   ZeroMQ CURVE Public Certificate
      #   Whoever holds the secret key that belongs to it can do what role says, where a coordinator has this file.


      """.utf8)
    appendBody(to: &text)
    return text
  }

  /// Hands out the text of `NAME.key_secret`, and clears it afterwards.
  public func withSecretText<Result, E: Error>(
    date: String, _ body: (UnsafeRawBufferPointer) throws(E) -> Result
  ) throws(E) -> Result {
    var text: [UInt8] = []
    // Once and for all: an array that grows leaves a copy behind.
    text.reserveCapacity(Self.byteLimit)
    text += Array(
      """
      #   ****  Generated on \(date) by expomerge  ****
      #   ZeroMQ CURVE **Secret** Certificate
      #   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.


      """.utf8)
    appendBody(to: &text)
    if let secretKey {
      text += Array("    secret-key = \"".utf8)
      secretKey.withBytes { Z85.encode($0) { text.append($0) } }
      text += Array("\"\n".utf8)
    }
    precondition(text.count <= Self.byteLimit)
    let result: Swift.Result<Result, E> = text.withUnsafeMutableBytes { bytes in
      defer { if let start = bytes.baseAddress { explicit_bzero(start, bytes.count) } }
      do throws(E) { return .success(try body(UnsafeRawBufferPointer(bytes))) } catch { return .failure(error) }
    }
    return try result.get()
  }

  /// Sections and quotation marks as czmq needs them, one key a line as pyzmq does.
  private func appendBody(to text: inout [UInt8]) {
    text += Array("metadata\n".utf8)
    for (name, value) in metadata.sorted(by: { $0.key < $1.key }) { text += Array("    \(name) = \"\(value)\"\n".utf8) }
    text += Array("curve\n    public-key = \"\(publicKey.z85)\"\n".utf8)
  }
}
