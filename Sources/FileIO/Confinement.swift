import CLinux
public import Diagnostics
import Glibc
public import SystemPackage

extension Problem.Code {
  public static let outsideRoots = Self("outside-roots")
}

/// Folders beneath which files are opened and made, and nowhere else, whatever links say.
public struct Confinement: Sendable {
  private let roots: [FilePath]

  /// - Parameter roots: existing folders; links in their own paths are followed once.
  public init(_ roots: [FilePath]) {
    self.roots = roots.compactMap { root in try? Directories.live.resolve(root) }
  }

  /// Whether a path without links lies beneath a root.
  public func contains(_ resolved: FilePath) -> Bool { root(of: resolved) != nil }

  /// No folders: nothing is ever opened.
  public var isEmpty: Bool { roots.isEmpty }

  private func root(of resolved: FilePath) -> FilePath? { roots.first { resolved.starts(with: $0) } }

  /// open(2), for what lies beneath a root once links are followed; openat2(2) sees to it that none that is planted
  /// in between leads out.
  ///
  /// - Returns: -1 and `EXDEV` where it lies outside.
  func open(_ path: FilePath, _ flags: Int32, mode: mode_t) -> Int32 {
    guard let resolved = resolve(path, mayBeMissing: flags & O_CREAT != 0) else { return -1 }
    guard let root = root(of: resolved) else {
      errno = EXDEV
      return -1
    }
    let rest = FilePath(root: nil, resolved.components.dropFirst(root.components.count))
    return root.withPlatformString { root in
      (rest.isEmpty ? "." : rest).withPlatformString { linux_open_beneath(root, $0, flags | O_CLOEXEC, mode) }
    }
  }

  /// - Throws: where a path leads outside, whether there is something or not.
  public func check(_ path: FilePath) throws(Failure) {
    guard let resolved = resolve(path, mayBeMissing: true), contains(resolved) else { throw Self.refusal(path) }
  }

  /// - Throws: where a name may not be made, changed or removed here: its folder lies outside.
  func check(changing path: FilePath) throws(Failure) {
    let parent = path.removingLastComponent()
    guard let resolved = resolve(parent.isEmpty ? "." : parent, mayBeMissing: true) else { return }
    guard contains(resolved) else { throw Self.refusal(path) }
  }

  static func refusal(_ path: FilePath) -> Failure {
    Failure(
      .notPermitted,
      Problem(.outsideRoots, "lies outside of the folders that may be used", file: path.string, remedy: "name a path beneath a --root, or add one"))
  }

  /// The path without links; nil and `errno` where there is nothing.
  ///
  /// - Parameter mayBeMissing: the last parts need not be there.
  private func resolve(_ path: FilePath, mayBeMissing: Bool) -> FilePath? {
    if let resolved = path.withPlatformString({ realpath($0, nil) }) {
      defer { free(resolved) }
      return FilePath(platformString: resolved)
    }
    guard mayBeMissing, errno == ENOENT, let name = path.lastComponent, name.kind == .regular else { return nil }
    let parent = path.removingLastComponent()
    return resolve(parent.isEmpty ? "." : parent, mayBeMissing: true)?.appending(name)
  }
}
