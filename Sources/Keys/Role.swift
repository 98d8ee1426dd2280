/// What the owner of a key may do.
public enum Role: String, Sendable, Hashable, CaseIterable {
  /// Computes shards: reads the inputs of all jobs and writes their outputs.
  case worker
  /// Hands in, cancels and resumes jobs, drains workers, and looks.
  case `operator`
  /// Looks at the status.
  case viewer
}

extension Set<Role> {
  /// Reads a list as in `worker, operator`; nil where a word is no role.
  public init?(list text: String) {
    var roles: Set<Role> = []
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let role = Role(rawValue: String(word.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())) else {
        return nil
      }
      roles.insert(role)
    }
    self = roles
  }

  /// The roles as a certificate has them, in a fixed order.
  public var list: String { Role.allCases.filter(contains).map(\.rawValue).joined(separator: ", ") }
}
