import Foundation
import SystemPackage
import TestSupport
import Testing

@Suite("The command line")
struct CommandTests {
  let folder = TemporaryFolder()
  let tool: Tool

  init() {
    tool = Tool(folder: folder.path)
  }

  private func makePair() throws {
    #expect(try tool("sample", "--shape", "tiny", "--output", "pair").status == 0)
  }

  private let pair = ["--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3"]

  @Test("merges, verifies and computes again")
  func merge() throws {
    try makePair()
    let merged = try tool.run(["merge"] + pair + ["--output", "out", "--sha256"])
    #expect(merged.status == 0)
    #expect(merged.output.hasPrefix("Merged 21 tensors, 106816 parameters, into out"))
    #expect(merged.output.contains("change: relative norm 0.00"))
    #expect(merged.errors.isEmpty)
    let verified = try tool("verify", "out", "--recompute", "--sha256")
    #expect(verified.status == 0)
    #expect(verified.output.split(separator: "\n").count == 3)
    #expect(
      TemporaryFolder.names(in: folder("out"))
        == [
          "README.md", "SHA256SUMS", "config.json", "expomerge.json", "generation_config.json", "model.safetensors",
          "report.html", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
        ])
  }

  @Test("prints objects with --json, results and errors alike")
  func json() throws {
    try makePair()
    let plan = try tool.run(["plan", "--json"] + pair)
    #expect(plan.objects.map { $0["type"] as? String } == ["plan"])
    #expect(plan.objects[0]["shards"] as? Int == 1)
    let merged = try tool.run(["merge", "--json", "--output", "out"] + pair)
    #expect(merged.objects.map { $0["type"] as? String } == ["merged"])
    #expect(merged.objects[0]["tensors"] as? Int == 21)
    #expect(merged.errors.isEmpty)
    #expect(merged.objects[0]["wasComplete"] as? Bool == false)
    let again = try tool.run(["merge", "--json", "--output", "out"] + pair)
    #expect(again.status == 0)
    #expect(again.objects.map { $0["wasComplete"] as? Bool } == [true])
    let other = try tool.run(["merge", "--json", "--output", "out"] + pair + ["--dtype", "f32"])
    #expect(other.status == 73)
    #expect(other.objects.map { $0["code"] as? String } == ["output-exists"])
    #expect(other.objects[0]["exitCode"] as? Int == 73)
    let unusable = try tool("merge", "--json", "--alpha", "many")
    #expect(unusable.status == 64)
    #expect(unusable.objects.map { $0["code"] as? String } == ["usage"])
    let inspected = try tool("inspect", "--json", "out")
    #expect(inspected.objects.filter { $0["type"] as? String == "tensor" }.count == 21)
    #expect(inspected.objects.last?["parameters"] as? Int == 106816)
    #expect(try tool("verify", "--json", "out").objects.map { $0["check"] as? String } == ["digests"])
  }

  @Test("diagnoses a pair in words, as JSON and as a page")
  func diagnose() throws {
    try makePair()
    let sides = ["--sft", "pair/sft", "--aligned", "pair/aligned"]
    let diagnosis = try tool.run(["diagnose"] + sides + ["--html", "page.html"])
    #expect(diagnosis.status == 0 && diagnosis.errors.isEmpty)
    #expect(diagnosis.output.hasPrefix("verdict     looks like preference training from this SFT"))
    #expect(diagnosis.output.contains("usually tried: 0.1, 0.2, 0.3, 0.4, 0.5"))
    let page = String(decoding: TemporaryFolder.contents(folder("page.html")) ?? [], as: UTF8.self)
    #expect(page.hasPrefix("<!DOCTYPE html>") && page.contains("layer 1, mlp.up_proj"))
    let objects = try tool.run(["diagnose", "--json", "--full"] + sides).objects
    #expect(objects.filter { $0["type"] as? String == "tensor" }.count == 21)
    #expect((objects.last?["verdict"] as? [String: Any])?["kind"] as? String == "preference-training")
    #expect(try tool.run(["diagnose", "--json"] + sides.reversed()).status == 64)
    for sample in ["0%", "101%", "many", "1"] { #expect(try tool.run(["diagnose", "--sample", sample] + sides).status == 64) }
    #expect(TemporaryFolder.names(in: folder.path).isSuperset(of: ["pair", "page.html"]))
  }

  @Test("leaves a report beside the manifest")
  func report() throws {
    try makePair()
    _ = try tool.run(["merge"] + pair + ["--output", "out"])
    let page = String(decoding: TemporaryFolder.contents(folder("out/report.html")) ?? [], as: UTF8.self)
    #expect(page.contains("0.3, in this recipe") && page.contains("Throughput") && page.contains("expomerge merge --sft pair/sft"))
  }

  @Test("plans without touching anything")
  func plan() throws {
    try makePair()
    let plan = try tool.run(["plan"] + pair + ["--output", "out"])
    #expect(plan.status == 0)
    #expect(plan.output.contains("extrapolated  21 tensors (21 BF16)"))
    #expect(TemporaryFolder.names(in: folder.path) == ["pair"])
  }

  @Test("takes a negative alpha")
  func negativeAlpha() throws {
    try makePair()
    #expect(
      try tool("merge", "-q", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "-0.5", "--output", "out").status == 0)
  }

  @Test(
    "ends with the exit codes of sysexits",
    arguments: [
      (64, ["merge", "--alpha", "0.3"]), (64, ["merge", "--alpha", "many"]), (64, ["frobnicate"]),
      (64, ["verify", "out", "--sample", "3"]), (64, ["sample", "--shape", "tiny", "--output", "x", "--dtype", "i8"]),
      (64, ["plan", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--max-file-size", "5 parsecs"]),
      (66, ["inspect", "nowhere"]), (66, ["verify", "pair/sft"]),
      (66, ["merge", "--sft", "no", "--aligned", "pair/aligned", "--alpha", "0.3", "--output", "out"]),
      (65, ["inspect", "broken.safetensors"]),
      (73, ["sample", "--shape", "tiny", "--output", "pair"]), (73, ["sample", "--shape", "tiny", "--output", ""]),
      (73, ["merge", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--output", "", "--overwrite"]),
      (73, ["merge", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--output", "broken.safetensors/x"]),
      (73, ["merge", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--output", "/proc"]),
      (73, ["merge", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--output", "pair"]),
      (78, ["merge", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "nan", "--output", "out"]),
      (78, ["plan", "--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--shard-size", "1MB"]),
      (0, ["--help"]), (0, ["merge", "--help"]), (0, ["--version"]),
    ])
  func exitCodes(status: Int, arguments: [String]) throws {
    try makePair()
    folder.write("not safetensors", to: "broken.safetensors")
    let result = try tool.run(arguments)
    #expect(result.status == Int32(status), "\(result.errors)")
    if status != 0 { #expect(!result.errors.isEmpty) }
    #expect(TemporaryFolder.names(in: folder.path) == ["pair", "broken.safetensors"])
  }

  @Test("lists the first problems and how many there are")
  func manyProblems() throws {
    try makePair()
    #expect(try tool("sample", "--shape", "llama-1b", "--sparse", "--output", "other").status == 0)
    let result = try tool("plan", "--sft", "pair/sft", "--aligned", "other/aligned", "--alpha", "0.3")
    #expect(result.status == 65)
    let lines = result.errors.split(separator: "\n")
    #expect(lines.count == 21)
    #expect(lines[0].hasPrefix("error: other/aligned/model.safetensors: tensor '"))
    #expect(lines[20].hasSuffix("201 in all"))
  }

  @Test("does not let names from a file speak to the terminal")
  func terminal() throws {
    let json = #"{"evil\u001b[31m\nerror: fake \u009b\u202e":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
    let header = withUnsafeBytes(of: UInt64(json.utf8.count).littleEndian) { Array($0) } + Array(json.utf8)
    folder.write(header + [0], to: "evil.safetensors")
    let result = try tool("inspect", "evil.safetensors")
    #expect(result.status == 0)
    #expect(result.output.contains(#"evil\u{1b}[31m\u{a}error: fake \u{9b}\u{202e}"#))
    let object = try tool("inspect", "--json", "evil.safetensors")
    #expect(object.output.contains(#"error: fake \u009b\u202e"#))
    #expect("\(object.objects)".unicodeScalars.contains("\u{9b}"), "it is the same name for programs")
  }

  @Test("says when its results cannot be written")
  func fullOutput() throws {
    try makePair()
    let process = try ChildProcess([Tool.executable.path, "inspect", folder("pair/sft").string], output: "/dev/full")
    #expect(process.wait() == .exited(74))
  }

  @Test("says what is broken where, and what to do")
  func message() throws {
    folder.write("not safetensors", to: "broken.safetensors")
    let result = try tool("inspect", "broken.safetensors")
    #expect(
      result.errors
        == "error: ./broken.safetensors (byte 0): the header's length is 7306634592548843374 bytes; 100000000 are the limit; download or convert the file again\n"
    )
  }

  @Test("Ctrl-C leaves no output and says what is left", arguments: [SIGINT, SIGTERM])
  func interrupted(signal: Int32) throws {
    #expect(try tool("sample", "--shape", "llama-1b", "--sparse", "--output", "pair").status == 0)
    // The merge may win the race against the signal: then try again.
    for _ in 0..<20 {
      let run = try tool.start(["merge", "--sync", "none", "--threads", "1", "--output", "out"] + pair)
      poll(for: "the output", every: 500, while: { run.process.isRunning }) {
        TemporaryFolder.exists(folder("out.partial/model.safetensors")) ? () : nil
      }
      run.process.signal(signal)
      let result = run.result()
      if result.status == 0 {
        try FileManager.default.removeItem(atPath: folder("out").string)
        continue
      }
      // Or the signal against the first shard.
      if result.errors.contains("stopped before anything was written") {
        #expect(result.status == 75 && !TemporaryFolder.exists(folder("out.partial")))
        continue
      }
      #expect(result.signal == nil && result.status == 75)
      #expect(result.errors.contains("error: stopped: out.partial is left with"))
      #expect(!TemporaryFolder.exists(folder("out")))
      #expect(TemporaryFolder.exists(folder("out.partial")))
      let other = try tool.run(["merge", "--output", "out"] + pair + ["--dtype", "f32"])
      #expect(other.status == 73)
      #expect(other.errors.contains("was begun with another recipe: dtype was that of aligned and is F32"))
      #expect(try tool.run(["merge", "--sync", "none", "--output", "out"] + pair).status == 0)
      #expect(!TemporaryFolder.exists(folder("out.partial")))
      return
    }
    Issue.record("twenty merges of 2 GB were all faster than a signal")
  }

  @Test("a journal that cannot be read ends a merge, and costs nothing that was done")
  func unreadableJournal() throws {
    try makePair()
    let arguments = ["merge", "--output", "out", "--shard-size", "64KiB", "--limit-rate", "100KB"] + pair
    let run = try tool.start(arguments)
    poll(for: "the output", every: 500, while: { run.process.isRunning }) {
      TemporaryFolder.exists(folder("out.partial/.expomerge/nonce")) && TemporaryFolder.exists(folder("out.partial/model.safetensors")) ? () : nil
    }
    run.process.signal(SIGTERM)
    #expect(run.result().status == 75)
    let journal = "out.partial/.expomerge/journal.sqlite"
    let kept = try #require(TemporaryFolder.contents(folder(journal)))
    folder.write("something else", to: journal)
    #expect(try tool.run(arguments).status == 65)
    #expect(TemporaryFolder.exists(folder("out.partial/model.safetensors")))
    folder.write(kept, to: journal)
    #expect(try tool.run(arguments).status == 0)
  }
}
