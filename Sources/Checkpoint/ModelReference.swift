public import Diagnostics
public import FileIO
import Glibc
public import SystemPackage

extension Problem.Code {
  public static let modelNotCached = Self("model-not-cached")
}

/// A checkpoint as people name it: a path, or `org/name` or `org/name@revision` for what is in the local cache of Hugging Face.
/// Nothing is ever downloaded.
public struct ModelReference: Sendable, Equatable {
  public let text: String

  public init(_ text: String) {
    self.text = text
  }

  /// What a model hub calls it; nil for what can only be a path.
  var repository: (name: String, revision: String?)? {
    let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    let names = parts[0].split(separator: "/", omittingEmptySubsequences: false)
    guard names.count == 2, names.allSatisfy({ Self.isName($0) }) else { return nil }
    guard parts.count == 2 else { return (String(parts[0]), nil) }
    // Branches may have slashes, as in refs/pr/1.
    let components = parts[1].split(separator: "/", omittingEmptySubsequences: false)
    guard components.allSatisfy({ Self.isName($0) }) else { return nil }
    return (String(parts[0]), String(parts[1]))
  }

  /// What hubs allow: letters, digits, `-`, `_` and `.`, but neither first nor doubled.
  private static func isName(_ name: Substring) -> Bool {
    guard let first = name.utf8.first, name.utf8.count <= 96, first != UInt8(ascii: "-"), first != UInt8(ascii: ".") else { return false }
    return !name.contains("--") && !name.contains("..")
      && name.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || "-_.".utf8.contains(byte)
      }
  }

  /// Whether there is nothing at this path, and a hub may have something of this name.
  public var isOfHub: Bool { repository != nil && access(text, F_OK) != 0 }

  /// The path of the checkpoint.
  ///
  /// - Parameters:
  ///   - cache: of Hugging Face; `ModelCache.folder` tells where it is.
  ///   - takesRelativePaths: false where somebody else has written the reference, for whom another folder was current.
  /// - Throws: `inputNotFound` for a model that is not there, with the command that downloads it.
  public func path(
    cache: FilePath? = ModelCache.folder(), takesRelativePaths: Bool = true, calls: SystemCalls = .live
  ) throws(Failure) -> FilePath {
    let path = FilePath(text)
    guard let (name, revision) = repository else { return path }
    if takesRelativePaths, access(text, F_OK) == 0 { return path }
    let command = "hf download \(name)" + (revision.map { " --revision \($0)" } ?? "")
    guard let cache else {
      throw Failure(
        .inputNotFound,
        Problem(.modelNotCached, "there is no such path, and no cache of Hugging Face", file: text, remedy: "set HF_HOME, or check the path"))
    }
    let folder = cache.appending("models--" + name.replacing("/", with: "--"))
    if let snapshot = try Self.snapshot(of: revision ?? "main", in: folder, Directories(calls: calls)) { return snapshot }
    let what = revision.map { "revision \($0) of this model is" } ?? "this model is"
    throw Failure(
      .inputNotFound,
      Problem(
        .modelNotCached, "there is no such path, and \(what) not in the cache \(cache.string)", file: text,
        remedy: "check the path, or download the model with: \(command)"))
  }

  private static func snapshot(of revision: String, in folder: FilePath, _ directories: Directories) throws(Failure) -> FilePath? {
    let reference = folder.appending("refs").pushing(FilePath(revision))
    var commit = revision
    if case .file = try directories.kind(of: reference) {
      let bytes = try File.contents(of: reference, limit: 256, calls: directories.calls)
      commit = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
    }
    guard isName(Substring(commit)) else { return nil }
    let snapshot = folder.appending("snapshots").appending(commit)
    return try directories.kind(of: snapshot) == .directory ? snapshot : nil
  }
}

/// Where Hugging Face's tools keep what they download (huggingface.co/docs/huggingface_hub, "Environment variables").
public enum ModelCache {
  /// By this process's environment.
  public static func folder() -> FilePath? { folder { name in getenv(name).map { String(cString: $0) } } }

  /// - Returns: nil without a home.
  public static func folder(_ variable: (String) -> String?) -> FilePath? {
    func value(_ name: String) -> String? { variable(name).flatMap { $0.isEmpty ? nil : $0 } }
    if let folder = value("HF_HUB_CACHE") ?? value("HUGGINGFACE_HUB_CACHE") { return FilePath(folder) }
    if let home = value("HF_HOME") { return FilePath(home).appending("hub") }
    if let caches = value("XDG_CACHE_HOME") { return FilePath(caches).appending("huggingface").appending("hub") }
    return value("HOME").map { FilePath($0).appending(".cache").appending("huggingface").appending("hub") }
  }
}
