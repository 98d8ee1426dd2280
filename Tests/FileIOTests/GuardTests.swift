import Diagnostics
import FileIO
import Glibc
import Kernels
import SystemPackage
import TestSupport
import Testing

@Suite("Mapped files that become shorter")
struct GuardTests {
  let folder = TemporaryFolder()

  @Test("end a computation with an error instead of ending the process")
  func computing() throws {
    let bytes = [UInt8](repeating: 0, count: 1 << 20)
    let file = try File.open(folder.write(bytes, to: "x"))
    let mapping = try file.map(0..<bytes.count)
    #expect(truncate(folder("x").string, 5000) == 0)
    var output = [UInt8](repeating: 0, count: bytes.count)
    for _ in 0..<3 {
      var run = ElementRun(
        .extrapolate(alpha: 0.3, arithmetic: .float32, aligned: .bf16, sft: .bf16, output: .bf16))
      output.withUnsafeMutableBytes { output in
        #expect(throws: InputVanished.self) {
          try run.process(aligned: mapping.bytes, sft: mapping.bytes, output: output, count: bytes.count / 2)
        }
        #expect(throws: InputVanished.self) {
          try copyBytes(of: mapping.bytes, comparedTo: nil, to: output)
        }
      }
    }
    let how = Dequantisation(format: .f32, columns: 1024, blockRows: 1024, blockColumns: 1024, output: .f32)
    var products = [UInt8](repeating: 0, count: bytes.count * 4)
    #expect(throws: InputVanished.self) {
      try products.withUnsafeMutableBytes { products in
        try bytes.withUnsafeBytes { try how.run(mapping.bytes, scales: $0, place: 0, to: products) }
      }
    }
    // What is still there can still be read.
    try output.withUnsafeMutableBytes { output in
      _ = try copyBytes(of: .init(rebasing: mapping.bytes[..<5000]), comparedTo: nil, to: output)
    }
  }

  @Test("do so on every thread for itself")
  func threads() async throws {
    let bytes = [UInt8](repeating: 1, count: 1 << 20)
    let whole = try File.open(folder.write(bytes, to: "whole"))
    let short = try File.open(folder.write(bytes, to: "short"))
    #expect(truncate(folder("short").string, 4096) == 0)
    await withTaskGroup(of: Bool.self) { group in
      for index in 0..<16 {
        group.addTask {
          let file = index % 2 == 0 ? whole : short
          guard let mapping = try? file.map(0..<bytes.count) else { return false }
          var output = [UInt8](repeating: 0, count: bytes.count)
          let copied: Bool = output.withUnsafeMutableBytes { output in
            (try? copyBytes(of: mapping.bytes, comparedTo: nil, to: output)) != nil
          }
          return copied == (index % 2 == 0)
        }
      }
      for await isRight in group { #expect(isRight) }
    }
  }
}
