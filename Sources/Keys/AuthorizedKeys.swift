public import Diagnostics

extension Problem.Code {
  public static let keyAmbiguous = Self("key-ambiguous")
  public static let keyIgnored = Self("key-ignored")
}

/// The keys that a coordinator lets in, and what their owners may do.
///
/// Whatever is wrong with a file shuts out that key and no other.
public struct AuthorizedKeys: Sendable {
  public struct Entry: Sendable, Equatable {
    /// The file's, without `.key`: for people.
    public let name: String
    public let key: PublicKey
    public let roles: Set<Role>
  }

  /// A file as it was read, or why it could not be.
  public struct Candidate: Sendable {
    public let name: String
    /// For problems.
    public let file: String
    public let certificate: Result<Certificate, Failure>

    public init(name: String, file: String, certificate: Result<Certificate, Failure>) {
      self.name = name
      self.file = file
      self.certificate = certificate
    }
  }

  private var entries: [String: Entry] = [:]
  /// Files whose keys are not let in, and why.
  public private(set) var warnings: [Problem] = []

  /// Nobody.
  public init() {}

  public init(_ candidates: [Candidate]) {
    var found: [String: [(entry: Entry, file: String)]] = [:]
    for candidate in candidates.sorted(by: { $0.name < $1.name }) {
      do throws(Failure) {
        let entry = try Self.entry(candidate)
        found[entry.key.fingerprint, default: []].append((entry, candidate.file))
      } catch {
        for var problem in error.problems {
          problem.message = "is ignored, and its key not let in: \(problem.message)"
          warnings.append(problem)
        }
      }
    }
    for (fingerprint, same) in found.sorted(by: { $0.key < $1.key }) {
      if same.count == 1 {
        entries[fingerprint] = same[0].entry
        continue
      }
      // To take one of them would make the other's removal, or its roles, mean nothing.
      let files = same.map(\.file).joined(separator: ", ")
      warnings.append(
        Problem(
          .keyAmbiguous, "key \(fingerprint) is in \(same.count) files, and not let in: \(files)", file: same[0].file,
          remedy: "leave one of them, with the roles that it should have"))
    }
  }

  private static func entry(_ candidate: Candidate) throws(Failure) -> Entry {
    let certificate = try candidate.certificate.get()
    guard certificate.secretKey == nil else {
      throw Failure(
        .badRecipe,
        Problem(
          .keyIgnored, "it holds a secret key, which is nobody's but its owner's", file: candidate.file,
          remedy: "copy NAME.key here, not NAME.key_secret, and make a new key if others have seen it"))
    }
    return Entry(name: candidate.name, key: certificate.publicKey, roles: try certificate.roles(file: candidate.file))
  }

  public var count: Int { entries.count }

  /// nil for a stranger.
  public subscript(key: PublicKey) -> Entry? {
    let entry = entries[key.fingerprint]
    return entry?.key == key ? entry : nil
  }

  /// By the user id that a connection has.
  public subscript(user fingerprint: String) -> Entry? { entries[fingerprint] }

  /// What became of keys between two readings, by user id.
  public struct Changes: Sendable, Equatable {
    public var added: [String] = []
    public var removed: [String] = []
    /// Whose roles are others now.
    public var changed: [String] = []

    public var isEmpty: Bool { added.isEmpty && removed.isEmpty && changed.isEmpty }
  }

  public func changes(since earlier: AuthorizedKeys) -> Changes {
    var changes = Changes()
    for (user, entry) in entries.sorted(by: { $0.key < $1.key }) {
      guard let before = earlier.entries[user] else {
        changes.added.append(user)
        continue
      }
      if before.key != entry.key || before.roles != entry.roles { changes.changed.append(user) }
    }
    changes.removed = earlier.entries.keys.filter { entries[$0] == nil }.sorted()
    return changes
  }
}
