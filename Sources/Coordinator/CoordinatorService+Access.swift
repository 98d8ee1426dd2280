import Diagnostics
import Keys
import Logging
import Scheduling
import Threads
import Transport
import Wire
import ZeroMQ

extension Problem.Code {
  static let notPermitted = Self("not-permitted")
  static let tooManyJobs = Self("too-many-jobs")
}

/// Who may say what, and what becomes of those that may not any more.
extension CoordinatorService {
  /// Who has sent a message.
  struct Peer {
    /// nil where nobody has to show a key.
    var user: String?
    /// For people.
    var name: String
    var roles: Set<Role>
  }

  /// - Parameter body: any frame of the message but its first.
  func peer(_ body: Frame) -> Peer {
    guard let authenticator else { return Peer(user: nil, name: "", roles: Set(Role.allCases)) }
    guard let user = body.property(.userID) else {
      // Over the network nobody comes this far without a user id.
      let isOwn = configuration.security?.admitsOwnProcess == true && body.property(.peerAddress) == nil
      return Peer(user: nil, name: "a peer without a key", roles: isOwn ? Set(Role.allCases) : [])
    }
    let entry = authenticator.assumeIsolated { $0.keys[user: user] }
    return Peer(user: user, name: entry.map { "\($0.name) (key \(user))" } ?? "key \(user)", roles: entry?.roles ?? [])
  }

  func refuse(_ message: Inbound, of peer: Peer, _ route: [UInt8]) {
    ignored["not-permitted", default: 0] += 1
    let has = peer.roles.isEmpty ? "is not authorized any more" : "has the role \(peer.roles.list) only"
    let needed = Role.allCases.filter(AccessPolicy.roles(for: message).contains).map(\.rawValue).joined(separator: " or ")
    if refusals.shouldTell("\(peer.name) \(needed)", at: bootNanoseconds()) {
      logger.warning("\(peer.name) \(has): refused what needs \(needed); told once a minute")
    }
    switch message {
    case .worker(let envelope):
      // Of what else it says nothing is known that could be answered.
      guard case .hello = envelope.message else { return }
      let rejected = CoordinatorMessage.rejected(.init(.key, "its key \(has)"))
      send(
        CoordinatorEnvelope(session: envelope.session, epoch: configuration.epoch, seq: 0, heard: 0, message: rejected)
          .encoded(), to: route)
    case .client(_, let number):
      let problem = Problem(
        .notPermitted, "\(peer.name) \(has)",
        remedy: "use a key with the role \(needed), or have it written into the key's file in the coordinator's --authorized folder")
      send(ClientReply.error(.init(Failure(.notPermitted, problem))).encoded(request: number), to: route)
    }
  }

  /// Peers whose messages have no end.
  func endUnfinished() {
    for address in connections?.endUnfinished() ?? [] {
      ignored["unfinished", default: 0] += 1
      guard refusals.shouldTell("unfinished \(address)", at: bootNanoseconds()) else { continue }
      logger.warning("hung up on \(address): it sent and sent, and no message had an end; told once a minute")
    }
  }

  /// Messages that were ignored and peers that were not let in, by reason.
  var discarded: [String: Int] {
    var ignored = ignored
    let beyondWindow = dataServer.assumeIsolated { $0.beyondWindow }
    if beyondWindow > 0 { ignored["beyond-window"] = beyondWindow }
    let refused = authenticator?.assumeIsolated { $0.refused } ?? [:]
    return scheduler.discarded.merging(ignored) { $0 + $1 }.merging(refused) { $0 + $1 }
  }

  // MARK: keys

  /// To be called before any socket is bound.
  func openAccess() throws(ZeroMQError) {
    guard let security = configuration.security else { return }
    let authenticator = Authenticator(security.authorized, context: context, loop: loop, logger: logger)
    if let error = authenticator.assumeIsolated({ $0.open() }) { throw error }
    self.authenticator = authenticator
    keyWatch = KeyFolderWatch(security.listing)
    tellTrouble(security.authorized.warnings)
    logger.info("\(security.authorized.count) keys are authorized; this coordinator's is \(security.key.publicKey), \(security.key.publicKey.z85)")
    watches.append(loop.every(milliseconds: 1000) { [weak self] in self?.assumeIsolated { $0.lookAtKeys() } })
  }

  func closeAccess() {
    guard let authenticator else { return }
    authenticator.assumeIsolated { $0.close() }
    keyThread.stop()
  }

  /// Reads the authorized keys again.
  public nonisolated func reload() {
    loop.perform { self.assumeIsolated { $0.lookAtKeys(always: true) } }
  }

  /// Notices keys that came, went or changed. The folder may be slow: the loop does not wait for it.
  ///
  /// - Parameter always: reads them even where the folder seems to be what it was.
  private func lookAtKeys(always: Bool = false) {
    guard !isLookingAtKeys, let folder = configuration.security?.folder, let watch = keyWatch else { return }
    isLookingAtKeys = true
    keyThread.submit { [loop] in
      var watch = watch
      var found: AuthorizedKeys?
      var trouble: [Problem] = []
      do throws(Failure) {
        let listing = try folder.listing()
        if watch.shouldLoad(listing) || always { found = folder.load(listing) }
      } catch {
        trouble = error.problems
      }
      let (looked, keys, problems) = (watch, found, trouble)
      loop.perform {
        self.assumeIsolated { service in
          service.isLookingAtKeys = false
          service.keyWatch = looked
          if let keys { service.authorize(keys) }
          // Which keys there are is not known: those that were known stay.
          if !problems.isEmpty { service.tellTrouble(problems) }
        }
      }
    }
  }

  private func authorize(_ keys: AuthorizedKeys) {
    guard let authenticator else { return }
    tellTrouble(keys.warnings)
    let before = authenticator.assumeIsolated { $0.keys }
    let changes = keys.changes(since: before)
    guard !changes.isEmpty else { return }
    authenticator.assumeIsolated { $0.authorize(keys) }
    for (users, words) in [(changes.added, "is authorized"), (changes.changed, "has other roles now")] {
      for entry in users.compactMap({ keys[user: $0] }) {
        remember(.info, nil, "key-authorized", "key \(entry.key) (\(entry.name)) \(words): \(entry.roles.list)")
      }
    }
    for entry in changes.removed.compactMap({ before[user: $0] }) {
      remember(.warning, nil, "key-revoked", "key \(entry.key) (\(entry.name)) is not authorized any more")
    }
    let expelled = (changes.removed + changes.changed).filter { keys[user: $0]?.roles.contains(.worker) != true }
    if !expelled.isEmpty { tell(.expel(users: Set(expelled))) }
  }

  /// Each problem once, until it has gone.
  private func tellTrouble(_ problems: [Problem]) {
    for problem in problems where !keyTrouble.contains(problem) { logger.warning("\(problem)") }
    keyTrouble = problems
  }
}
