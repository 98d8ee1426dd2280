import Foundation
import SystemPackage
import TestSupport
import Testing

/// A library that takes the place of some functions of the C library, in processes that a test starts.
struct Preload {
  static let isPossible = access("/usr/bin/cc", X_OK) == 0

  /// For processes that shall have it.
  let environment: [String: String]

  /// - Parameters:
  ///   - source: in C.
  ///   - environment: what the library reads.
  init(_ source: String, environment: [String: String] = [:]) throws {
    let (library, log) = (Self.folder("\(UUID().uuidString).so"), Self.folder("log"))
    let file = Self.folder.write(source, to: "\(UUID().uuidString).c")
    let compiler = try ChildProcess(
      ["/usr/bin/cc", "-shared", "-fPIC", "-o", library.string, file.string], errors: log)
    let end = compiler.wait()
    #expect(end == .exited(0), "\((try? String(contentsOfFile: log.string, encoding: .utf8)) ?? "")")
    self.environment = environment.merging(["LD_PRELOAD": library.string]) { $1 }
  }

  private static let folder = TemporaryFolder()
}
