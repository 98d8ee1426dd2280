import ArgumentParser
import Diagnostics
import Keys
import SystemPackage
import Threads
import Transport
import Worker

protocol DaemonCommand: ParsableCommand {
  /// Of all that a start needs, what can be looked at without one.
  ///
  /// - Parameter failure: what is known to be wrong with the options already.
  func check(_ failure: Failure?) throws(Failure)
}

extension CoordinatorCommand: DaemonCommand {
  func check(_ failure: Failure?) throws(Failure) {
    var check = ConfigurationCheck("coordinator", failure)
    check.defaults["threads"] = "\(running.threadCount)"
    let control = check.attempt { () throws(Failure) in try Endpoint(listen) }
    // All else is looked at as if it listened to itself.
    if let place = control ?? (try? Endpoint("tcp://127.0.0.1:\(Endpoint.defaultPort)")) {
      if let data = check.attempt({ () throws(Failure) in try place.dataEndpoint(listenData) }), control != nil {
        check.defaults["listen-data"] = data.description
      }
      check.attempt { () throws(Failure) in _ = try access.security(listeningAt: place, command: "coordinator") }
    }
    check.attempt { () throws(Failure) in try ConfigurationCheck.writable(FilePath(state), option: "--state") }
    for root in roots { check.attempt { () throws(Failure) in try Roots.check(FilePath(root)) } }
    if roots.isEmpty { check.defaults["root"] = "everything" }
    try check.conclude()
  }
}

extension WorkerCommand: DaemonCommand {
  func check(_ failure: Failure?) throws(Failure) {
    var check = ConfigurationCheck("worker", failure)
    check.defaults["slots"] = "\(ThreadTeam.availableCPUs)"
    check.defaults["name"] = hostName
    check.attempt { () throws(Failure) in _ = try Endpoint(coordinator) }
    check.attempt { () throws(Failure) in _ = try keys.credentials() }
    for root in roots { check.attempt { () throws(Failure) in try Roots.check(FilePath(root)) } }
    if roots.isEmpty { check.defaults["root"] = "none: everything is streamed" }
    try check.conclude()
  }
}
