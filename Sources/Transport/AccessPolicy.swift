public import Keys
public import Wire

/// Who may say what to a coordinator that has keys.
public enum AccessPolicy {
  /// Roles any one of which is enough.
  public static func roles(for message: Inbound) -> Set<Role> {
    switch message {
    case .worker: [.worker]
    case .client(let request, _): roles(for: request)
    }
  }

  public static func roles(for request: ClientRequest) -> Set<Role> {
    switch request {
    case .status: [.operator, .viewer]
    case .submit, .verify, .cancel, .resume, .drainWorker: [.operator]
    }
  }

  /// For all messages at the data port: they read inputs and write outputs.
  public static let dataRoles: Set<Role> = [.worker]

  public static func allows(_ message: Inbound, _ roles: Set<Role>) -> Bool {
    !self.roles(for: message).isDisjoint(with: roles)
  }

  public static func allowsData(_ roles: Set<Role>) -> Bool { !dataRoles.isDisjoint(with: roles) }
}
