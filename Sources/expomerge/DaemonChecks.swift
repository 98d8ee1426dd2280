import Diagnostics
import Keys
import SystemPackage
import Threads
import Transport
import Worker

extension CoordinatorCommand {
  /// Of all that a start needs, what can be looked at without one.
  func check() throws(Failure) {
    var check = ConfigurationCheck("coordinator")
    check.defaults["threads"] = "\(running.threadCount)"
    if let control = check.attempt({ () throws(Failure) in try Endpoint(listen) }) {
      if let data = check.attempt({ () throws(Failure) in try control.dataEndpoint(listenData) }) {
        check.defaults["listen-data"] = data.description
      }
      check.attempt { () throws(Failure) in _ = try access.security(listeningAt: control, command: "coordinator") }
    }
    check.attempt { () throws(Failure) in try ConfigurationCheck.writable(FilePath(state), option: "--state") }
    for root in roots { check.attempt { () throws(Failure) in try Roots.check(FilePath(root)) } }
    if roots.isEmpty { check.defaults["root"] = "everything" }
    try check.conclude()
  }
}

extension WorkerCommand {
  func check() throws(Failure) {
    var check = ConfigurationCheck("worker")
    check.defaults["slots"] = "\(ThreadTeam.availableCPUs)"
    check.defaults["name"] = hostName
    check.attempt { () throws(Failure) in _ = try Endpoint(coordinator) }
    check.attempt { () throws(Failure) in _ = try keys.credentials() }
    for root in roots { check.attempt { () throws(Failure) in try Roots.check(FilePath(root)) } }
    if roots.isEmpty { check.defaults["root"] = "none: everything is streamed" }
    try check.conclude()
  }
}
