public import Keys

/// What a worker or a command shows a coordinator, and what it wants to see of it.
public struct Credentials: Sendable {
  /// The coordinator's key: any other is taken for an impostor.
  public let server: PublicKey
  public let own: SecretKey

  public init(server: PublicKey, own: SecretKey) {
    self.server = server
    self.own = own
  }
}
