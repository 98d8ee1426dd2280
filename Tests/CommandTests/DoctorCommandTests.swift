import Foundation
import SystemPackage
import TestSupport
import Testing

@Suite("The doctor", .timeLimit(.minutes(10)))
struct DoctorCommandTests {
  let folder = TemporaryFolder()
  let tool: Tool

  init() {
    tool = Tool(folder: folder.path)
  }

  /// Of each subject, its verdicts.
  private func verdicts(_ result: Tool.Result) -> [String: [String]] {
    Dictionary(grouping: result.objects) { $0["subject"] as? String ?? "" }.mapValues { $0.compactMap { $0["verdict"] as? String } }
  }

  private func message(_ subject: String, _ result: Tool.Result) -> String {
    result.objects.first { $0["subject"] as? String == subject }?["message"] as? String ?? ""
  }

  @Test("a machine that merges has no problem, in a table and as objects")
  func machine() throws {
    let text = try tool("doctor")
    #expect(text.status == 0, "\(text.output)")
    let words = text.output.split(separator: "\n").map { $0.split(separator: " ", maxSplits: 2).map(String.init) }
    let subjects = ["expomerge", "cpu", "libzmq", "sqlite", "descriptors", "clock"]
    #expect(words.dropFirst().dropLast().filter { ["ok", "warning", "problem"].contains($0[0]) }.map { $0[1] } == subjects)
    #expect(text.output.hasSuffix("\n0 problems, 0 warnings\n") || text.output.contains("warning "))
    let objects = try tool("doctor", "--json")
    #expect(objects.objects.allSatisfy { $0["type"] as? String == "finding" } && objects.objects.count == subjects.count)
    #expect(message("libzmq", objects).contains("with CURVE"))
    let lowered = try tool.run(["doctor", "--json"], environment: ["EXPOMERGE_CPU_LEVEL": "portable"])
    let isPlain = try tool.run(["doctor", "--json"]).objects.contains { ($0["message"] as? String)?.contains("portable") == true }
    #expect(verdicts(lowered)["cpu"] == ["warning"] || isPlain)
    #expect(try tool("doctor", "--sft", "a").status == 64)
  }

  @Test("folders: what is missing, in use, or too small is told with its exit code, and nothing is left there")
  func folders() throws {
    #expect(try tool("sample", "--shape", "tiny", "--output", "pair").status == 0)
    folder.write("", to: "file")
    let good = try tool(
      "doctor", "--json", "--root", "pair", "--state", "new/state", "--output", "out", "--sft", "pair/sft", "--aligned", "pair/aligned")
    #expect(good.status == 0, "\(good.output)")
    #expect(verdicts(good)["locks"] == ["ok", "ok"])
    #expect(verdicts(good)["space"] == ["ok"] && verdicts(good)["open files"] == ["ok"])
    #expect(TemporaryFolder.names(in: folder.path) == ["pair", "file"])
    let root = try tool("doctor", "--json", "--root", "none", "--root", "pair")
    #expect(root.status == 66)
    #expect(verdicts(root)["root"] == ["problem", "ok"])
    #expect(root.objects.first { $0["verdict"] as? String == "problem" }?["remedy"] as? String == "check --root")
    let state = try tool("doctor", "--state", "file/state")
    #expect(state.status == 73)
    #expect(state.output.contains("file: is not a folder") && state.output.contains("1 problem,"))
    #expect(verdicts(try tool("doctor", "--json", "--output", "pair"))["output"] == ["warning", "ok"])
    let quiet = try tool("doctor", "-q", "--root", "none", "--output", "pair")
    #expect(quiet.status == 66)
    #expect(quiet.output.contains("none: there is no such folder") && quiet.output.contains("is there already"), "\(quiet.output)")
    #expect(!quiet.output.contains("  ok ") && !quiet.output.contains("1 problem"), "\(quiet.output)")
    let mount = try tool("doctor", "--json", "--output", "/proc")
    #expect(mount.status == 73 && message("output", mount).contains("mount point"))
    let memory = try tool("doctor", "--json", "--output", "/dev/shm/out", "--state", "/dev/shm/state")
    #expect(verdicts(memory)["output"] == ["warning"] && verdicts(memory)["state"] == ["warning"])
    let models = try tool("doctor", "--json", "--sft", "pair/none", "--aligned", "pair/nothing")
    #expect(models.status == 66 && verdicts(models)["models"] == ["problem", "problem"])
  }

  @Test("a root that cannot be written to is warned of, with what would help", .enabled(if: Namespace.isPermitted))
  func unwritable() throws {
    let mount = folder("mount")
    let namespace = try Namespace(at: mount, size: "1m")
    let inside = Tool(folder: folder.path, launcher: namespace.launcher)
    #expect(verdicts(try inside("doctor", "--json", "--root", mount.string))["root"] == ["ok"])
    namespace.remount("ro")
    let found = try inside("doctor", "--json", "--root", mount.string)
    #expect(found.status == 0 && verdicts(found)["root"] == ["ok", "warning"], "\(found.output)")
    let warning = found.objects.first { $0["verdict"] as? String == "warning" && $0["subject"] as? String == "root" }
    #expect((warning?["message"] as? String)?.contains("Read-only file system): outputs beneath it are streamed") == true)
    #expect((warning?["remedy"] as? String)?.hasPrefix("mount it rw") == true)
  }

  @Test("an output that does not fit is told with the bytes that are missing, several alphas counted")
  func space() throws {
    // A hole of 3 TB each.
    let header = #"{"a.weight":{"dtype":"BF16","shape":[1500000000000],"data_offsets":[0,3000000000000]}}"#
    let padded = header + String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
    let start = (0..<8).map { UInt8(truncatingIfNeeded: padded.utf8.count >> ($0 * 8)) } + Array(padded.utf8)
    for side in ["sft", "aligned"] {
      let file = folder.write(start, to: "\(side)/model.safetensors")
      try #require(truncate(file.string, off_t(start.count) + 3_000_000_000_000) == 0)
    }
    let options = ["doctor", "--json", "--output", "out", "--sft", "sft", "--aligned", "aligned", "--alpha"]
    let many = try tool.run(options + [(1...32).map { "0.\($0)1" }.joined(separator: ",")])
    #expect(many.status == 73, "\(many.output)")
    let numbers = message("space", many).matches(of: /[0-9]+ (?=bytes|are)/).compactMap { Int($0.output.dropLast()) }
    #expect(numbers.count == 3 && numbers[0] > 96_000_000_000_000 && numbers[0] - numbers[1] == numbers[2], "\(message("space", many))")
  }

  @Test("a coordinator that is there, that is not, and whose data port cannot be reached")
  func coordinator() throws {
    let cluster = try TestCluster(folder.path)
    let good = try tool("doctor", "--json", "--coordinator", cluster.address, "--data", cluster.dataAddress)
    #expect(good.status == 0, "\(good.output)")
    #expect(verdicts(good)["coordinator"] == ["ok"] && verdicts(good)["data port"] == ["ok"])
    #expect(message("key", good) == "the coordinator wants none")
    // Where nobody listens any more.
    #expect(cluster.coordinator.terminate() == 0)
    let gone = try tool("doctor", "--json", "--coordinator", cluster.address, "--timeout", "1")
    #expect(gone.status == 69)
    #expect(message("coordinator", gone).contains("no coordinator answers"))
    let usual = try tool.run(["doctor", "--json", "--timeout", "1"], environment: ["EXPOMERGE_COORDINATOR": cluster.address])
    #expect(usual.status == 69)
    #expect(try tool("doctor", "--coordinator", "head").status == 64)
    let again = try TestCluster(after: cluster)
    let data = try tool("doctor", "--json", "--coordinator", again.address, "--data", "tcp://127.0.0.1:1")
    #expect(data.status == 69)
    #expect(message("data port", data).contains("cannot be reached: Connection refused"))
  }

  @Test("what a key may do, and one that is not let in")
  func keys() throws {
    let keys = try Keyring(folder.path)
    try keys.authorize("ann", "operator")
    try keys.authorize("vic", "viewer")
    try keys.authorize("w1", "worker")
    try keys.make("eve", roles: ["operator"])
    let cluster = try TestCluster(folder.path, more: keys.listening)
    func look(_ name: String) throws -> Tool.Result {
      try tool.run(["doctor", "--json", "--coordinator", cluster.address, "--data", cluster.dataAddress] + keys.connecting(name))
    }
    for (name, words) in [("ann", "as an operator"), ("vic", "as a viewer"), ("w1", "has the role worker only")] {
      let result = try look(name)
      #expect(result.status == 0, "\(result.output)")
      #expect(message("key", result).contains(words), "\(name): \(result.output)")
      #expect(verdicts(result)["key"] == ["ok"] && verdicts(result)["data port"] == ["ok"])
    }
    let stranger = try look("eve")
    #expect(stranger.status == 77)
    #expect(message("coordinator", stranger).contains("does not let you in"))
    // A key file of one's own that is open to others says nothing of the coordinator.
    try #require(chmod(folder("keys/ann.key_secret").string, 0o644) == 0)
    let open = try look("ann")
    #expect(open.status == 77 && verdicts(open)["key"] == ["problem"] && verdicts(open)["coordinator"] == nil, "\(open.output)")
    #expect(cluster.coordinator.terminate() == 0)
  }
}
