public import Diagnostics
import FileIO
import FoundationEssentials
import Glibc
public import SystemPackage
import Worker

/// The folder that a coordinator keeps what outlives it in: a lock against a second one, and the number of its life.
public struct StateFolder: ~Copyable {
  /// Grows by one with each start.
  public let epoch: Int
  private let lock: FileLock

  private struct Contents: Codable {
    var format = 1
    var epoch: Int
  }

  private init(epoch: Int, lock: consuming FileLock) {
    self.epoch = epoch
    self.lock = lock
  }

  /// Opens the folder, or makes it, and counts this start.
  ///
  /// - Throws: `locked`, naming the holder, where another coordinator has it.
  public static func open(_ path: FilePath) throws(Failure) -> StateFolder {
    try Directories.live.makeDirectory(path)
    let lock = try FileLock.acquire(path.appending("lock"), holder: "process \(getpid()) on \(hostName)")
    let file = path.appending("coordinator.json")
    var epoch = 0
    if try Directories.live.kind(of: file) != nil {
      let bytes = try File.contents(of: file, limit: 1 << 20)
      guard let contents = try? JSONDecoder().decode(Contents.self, from: Data(bytes)), contents.format == 1,
        (0..<1 << 50).contains(contents.epoch)
      else {
        throw Failure(
          .badData,
          Problem(
            .stateInvalid, "is not what a coordinator of this version has written", file: file.string,
            remedy: "choose another --state folder, or restore the file"))
      }
      epoch = contents.epoch
    }
    epoch += 1
    guard let data = try? JSONEncoder().encode(Contents(epoch: epoch)) else {
      preconditionFailure("the state is always valid JSON")
    }
    // Written beside and renamed, so that a crash leaves the old or the new.
    let draft = path.appending("coordinator.json.new")
    let written = try File.create(draft)
    try written.write(Array(data) + [UInt8(ascii: "\n")], at: 0)
    try written.syncData()
    try Directories.live.rename(draft, to: file)
    try Directories.live.sync(path)
    return StateFolder(epoch: epoch, lock: lock)
  }
}

extension Problem.Code {
  static let stateInvalid = Self("state-invalid")
}
