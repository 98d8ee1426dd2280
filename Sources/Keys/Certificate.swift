public import Diagnostics

extension Problem.Code {
  public static let certificateInvalid = Self("certificate-invalid")
}

/// A key with what is said about it, as czmq and pyzmq keep them in files: `NAME.key` with the public key, and
/// `NAME.key_secret` with both (rfc.zeromq.org/spec/4 is the format).
public struct Certificate: Sendable {
  public let publicKey: PublicKey
  /// nil in a public certificate.
  public let secretKey: SecretKey?
  /// Free to use; `role` is what expomerge looks for.
  public let metadata: [String: String]

  /// What is larger is not read.
  public static let byteLimit = 64 << 10
  public static let publicSuffix = ".key"
  public static let secretSuffix = ".key_secret"

  /// - Parameter metadata: names and values without quotation marks and control characters.
  public init(_ key: SecretKey, metadata: [String: String] = [:]) {
    publicKey = key.publicKey
    secretKey = key
    self.metadata = metadata
  }

  /// A public certificate.
  public init(_ key: PublicKey, metadata: [String: String] = [:]) {
    self.init(publicKey: key, secretKey: nil, metadata: metadata)
  }

  init(publicKey: PublicKey, secretKey: SecretKey?, metadata: [String: String]) {
    self.publicKey = publicKey
    self.secretKey = secretKey
    self.metadata = metadata
  }

  /// The roles that it names: only those of the coordinator's own copy count.
  ///
  /// Without any, a viewer's: whoever forgot to say it should not have let anybody write.
  ///
  /// - Throws: `badRecipe` where one is unknown.
  public func roles(file: String) throws(Failure) -> Set<Role> {
    guard let text = metadata["role"] else { return [.viewer] }
    guard let roles = Set<Role>(list: text) else {
      throw Failure(
        .badRecipe,
        Problem(
          .certificateInvalid, "the role '\(text.prefix(100))' is unknown", file: file,
          remedy: "write role = worker, operator or viewer, or several with commas between them"))
    }
    return roles
  }
}
