import Coordinator
import Diagnostics
import Glibc
import Keys
import Transport
import Wire

extension Examination {
  /// Whether a coordinator is there, lets one in, and can stream.
  ///
  /// - Parameter data: where slices are streamed, if not at the usual port.
  mutating func examineCoordinator(_ options: ClientOptions, data: String?) {
    guard let control = attempt("coordinator", { () throws(Failure) in try Endpoint(options.address) }) else { return }
    // What is wrong with files of one's own is told apart from what the coordinator says.
    guard let client = attempt("key", { () throws(Failure) in try options.client() }) else { return }
    let status: Status
    do throws(Failure) {
      status = try client.status(of: nil)
    } catch {
      // A key that may not ask is let in all the same.
      guard error.category == .notPermitted, !error.problems.contains(where: { $0.code == .keyRefused }) else {
        return problem("coordinator", error)
      }
      ok("coordinator", "\(control): answers")
      let has = error.problems[0].message
      if has.contains("the role worker only") {
        ok("key", "\(has): right for a worker; commands need the role operator or viewer")
      } else {
        warning("key", has, error.problems[0].remedy ?? "ask who looks after the coordinator")
      }
      return examineDataPort(of: control, data)
    }
    let version = status.coordinator.version
    if version == expomergeVersion {
      ok("coordinator", "\(control): on \(status.coordinator.host), version \(version), \(status.workers.count) workers")
    } else {
      warning(
        "coordinator", "\(control): has version \(version), and this is \(expomergeVersion)",
        "run the same version of expomerge everywhere")
    }
    examineRole(options)
    examineDataPort(of: control, data)
  }

  /// By asking for what only operators may, of a job that cannot be there.
  private mutating func examineRole(_ options: ClientOptions) {
    guard let credentials = try? options.keys.credentials() else {
      return ok("key", "the coordinator wants none")
    }
    let key = credentials.own.publicKey.fingerprint
    do throws(Failure) {
      _ = try options.ask(.cancel(.init(job: JobID(1 << 52))))
      ok("key", "\(key) is let in, as an operator")
    } catch {
      switch error.category {
      case .inputNotFound: ok("key", "\(key) is let in, as an operator")
      case .notPermitted: ok("key", "\(key) is let in, as a viewer: it may ask, and not submit or cancel")
      default: problem("key", error)
      }
    }
  }

  private mutating func examineDataPort(of control: Endpoint, _ data: String?) {
    guard let endpoint = attempt("data port", { () throws(Failure) in try control.dataEndpoint(data) }), let port = endpoint.port
    else { return }
    guard let reason = Self.cannotConnect(endpoint.address, port) else { return ok("data port", "\(endpoint): can be reached") }
    let remedy = "let workers through the firewall there, or name the port that the coordinator's --listen-data says as --data"
    if data == nil {
      warning("data port", "\(endpoint): cannot be reached: \(reason)", remedy)
    } else {
      problem("data port", .unavailable, "\(endpoint): cannot be reached: \(reason)", remedy)
    }
  }

  /// connect(2): why a TCP port cannot be reached; nil where it can.
  private static func cannotConnect(_ host: String, _ port: Int) -> String? {
    let name = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let found = getaddrinfo(name, "\(port)", &hints, &list)
    guard found == 0 else { return String(cString: gai_strerror(found)) }
    defer { freeaddrinfo(list) }
    var reason = "it has no address"
    var next = list
    while let address = next?.pointee {
      let number = connectionError(to: address)
      if number == 0 { return nil }
      reason = String(cString: strerror(number))
      next = address.ai_next
    }
    return reason
  }

  /// - Returns: errno; 0 for a connection, within three seconds.
  private static func connectionError(to address: addrinfo) -> Int32 {
    let kind = address.ai_socktype | Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let descriptor = socket(address.ai_family, kind, address.ai_protocol)
    guard descriptor >= 0 else { return errno }
    defer { close(descriptor) }
    if connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 { return 0 }
    guard errno == EINPROGRESS else { return errno }
    var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    guard poll(&waiting, 1, 3000) == 1 else { return ETIMEDOUT }
    var number: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &size) == 0 else { return errno }
    return number
  }
}
