import Diagnostics
import Testing
import Transport

@Suite struct EndpointTests {
  @Test(
    "addresses and where their data go",
    arguments: [
      ("tcp://head:5755", "tcp://head:5756"), ("tcp://*:5755", "tcp://*:5756"), ("tcp://[::1]:10", "tcp://[::1]:11"),
      ("inproc://x", "inproc://x-data"), ("ipc:///run/e.sock", "ipc:///run/e.sock-data"), ("tcp://127.0.0.1:0", "tcp://127.0.0.1:0"),
    ])
  func data(text: String, data: String) throws {
    let endpoint = try Endpoint(text)
    #expect(endpoint.description == text)
    #expect(endpoint.dataEndpoint.description == data)
  }

  @Test("the port of a welcome belongs to the coordinator's host")
  func resolving() throws {
    #expect(try Endpoint("tcp://head:5755").resolving(dataPort: 9000).description == "tcp://head:9000")
    #expect(try Endpoint("inproc://x").resolving(dataPort: 9000).description == "inproc://x-data")
  }

  @Test("what is local", arguments: [("tcp://127.0.0.1:1", true), ("tcp://*:1", false), ("tcp://head:1", false), ("inproc://a", true)])
  func local(text: String, isLocal: Bool) throws {
    #expect(try Endpoint(text).isLocal == isLocal)
  }

  @Test(
    "what is no address",
    arguments: ["", "head:5755", "tcp://", "tcp://head", "tcp://:5755", "tcp://head:x", "tcp://head:65536", "udp://a:1", "inproc://"])
  func invalid(text: String) {
    let failure = #expect(throws: Failure.self) { try Endpoint(text) }
    #expect(failure?.category == .usage)
    #expect(failure?.problems.first?.remedy?.contains("tcp://head:5755") == true)
  }
}
