import Glibc
import SystemPackage

enum FileSystem {
  struct Refused: Error {}

  /// symlink(2).
  static func link(_ path: FilePath, to target: FilePath) throws {
    guard symlink(target.string, path.string) == 0 else { throw Refused() }
  }
}
