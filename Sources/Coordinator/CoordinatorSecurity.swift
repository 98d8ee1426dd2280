public import Diagnostics
public import Keys

/// What a coordinator needs to let in some and not others.
public struct CoordinatorSecurity: Sendable {
  /// The coordinator's own.
  public let key: SecretKey
  /// Of those that are let in; looked at again and again while it runs.
  public let folder: KeyFolder
  /// As the folder was at the start.
  let listing: KeyFolder.Listing
  public let authorized: AuthorizedKeys
  /// Whether messages from within the process need no key: where its own worker is one of several.
  public var admitsOwnProcess = false

  /// - Throws: where the folder cannot be read, or is no authority.
  public init(key: SecretKey, folder: KeyFolder) throws(Failure) {
    try folder.check()
    self.key = key
    self.folder = folder
    listing = try folder.listing()
    authorized = folder.load(listing)
  }
}
