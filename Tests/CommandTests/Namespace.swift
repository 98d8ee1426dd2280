import Foundation
import SystemPackage
import TestSupport
import Testing

/// A mount namespace with a small filesystem in memory, for processes that are started in it.
final class Namespace: Sendable {
  private let mountPoint: FilePath
  /// Lives in it, and keeps it.
  private let keeper: ChildProcess

  static let isPermitted: Bool = {
    guard geteuid() == 0, access("/usr/bin/nsenter", X_OK) == 0 else { return false }
    let process = try? ChildProcess(["/usr/bin/unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"])
    return process?.wait() == .exited(0)
  }()

  init(at mountPoint: FilePath, size: String) throws {
    self.mountPoint = mountPoint
    mkdir(mountPoint.string, 0o777)
    let script = #"mount -t tmpfs -o size=$1 none "$2" && touch "$2/mounted" && exec sleep 600"#
    let keeper = try ChildProcess(["/usr/bin/unshare", "-m", "sh", "-c", script, "sh", size, mountPoint.string])
    self.keeper = keeper
    let inside = inside
    poll(for: "a mount at \(mountPoint)", every: 1000, while: { keeper.isRunning }) {
      TemporaryFolder.exists(inside.appending("mounted")) ? () : nil
    }
    unlink(inside.appending("mounted").string)
  }

  /// The mount point, seen from outside.
  private var inside: FilePath { FilePath("/proc/\(keeper.id)/root" + mountPoint.string) }

  var launcher: [String] {
    ["/usr/bin/nsenter", "-t", "\(keeper.id)", "-m", "--wdns=\(mountPoint.removingLastComponent().string)"]
  }

  /// Takes all of its space.
  func fill() {
    guard let file = fopen(inside.appending("filler").string, "w") else { return }
    setvbuf(file, nil, _IONBF, 0)
    let block = [UInt8](repeating: 1, count: 4096)
    while fwrite(block, 1, block.count, file) == block.count {}
    fclose(file)
  }

  func makeRoom() {
    unlink(inside.appending("filler").string)
  }

  func remount(_ options: String) {
    let nsenter = ["/usr/bin/nsenter", "-t", "\(keeper.id)", "-m", "mount", "-o", "remount,\(options)", mountPoint.string]
    _ = try? ChildProcess(nsenter).wait()
  }
}
