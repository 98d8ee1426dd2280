import Checkpoint
import Diagnostics
import Figures
import FileIO
import Glibc
import Planning
import SystemPackage
import Worker

extension Examination {
  /// A folder whose files are read, and in which outputs may be.
  mutating func examineRoot(_ root: FilePath) {
    guard attempt("root", { () throws(Failure) in try Roots.check(root) }) != nil else { return }
    guard access(root.string, R_OK | X_OK) == 0 else {
      return problem("root", .notPermitted, "\(root): cannot be listed by this user", "check who owns it and its mode")
    }
    guard let kind = FileSystemKind(at: root) else { return }
    if kind.isRemote {
      ok("root", "\(root): \(kind.name), a network filesystem; --read mmap would be slow, auto is not")
    } else {
      ok("root", "\(root): \(kind.name); --read mmap can be used: a file that shrinks is an error there too, not a crash")
    }
    guard access(root.string, W_OK) != 0 else { return }
    let reason = errno
    warning(
      "root", "\(root): cannot be written to (\(String(cString: strerror(reason)))): outputs beneath it are streamed",
      reason == EROFS ? "mount it rw, if outputs are to be there" : "make it writable for \(Self.userName), if outputs are to be there")
  }

  private static var userName: String {
    guard let entry = getpwuid(geteuid()), let name = entry.pointee.pw_name else { return "user \(geteuid())" }
    return String(cString: name)
  }

  /// The folder of a coordinator's journal and lock.
  mutating func examineState(_ state: FilePath) {
    guard let place = usablePlace("state", state, option: "--state"), let kind = FileSystemKind(at: place) else { return }
    if kind.isRemote {
      warning(
        "state", "\(state): \(kind.name), a network filesystem: each result waits for it, and locks may do nothing",
        "put --state on a local disk")
    } else if kind.isInMemory {
      warning("state", "\(state): \(kind.name), which a restart of the machine empties: jobs would be forgotten", "put --state on a disk")
    } else {
      ok("state", "\(state): \(kind.name), \(Format.bytes(kind.availableBytes)) free")
    }
    examineLocks("state", in: place, guarding: "a second coordinator")
  }

  /// The place of a merge's output.
  ///
  /// - Parameter plan: nil where it is not known what is merged.
  mutating func examineOutput(_ output: FilePath, _ plan: Plan?) {
    guard let present = attempt("output", { () throws(Failure) in try Directories.live.kind(of: output) }) else { return }
    if present != nil, Directories.live.isMountPoint(output) {
      return problem("output", .cannotCreate, "\(output): is a mount point, which no rename can replace", "name a folder inside it")
    }
    if present != nil { warning("output", "\(output): is there already", "choose another, or merge with --overwrite") }
    let parent = output.removingLastComponent()
    guard let place = usablePlace("output", parent.isEmpty ? "." : parent, option: "--output"), let kind = FileSystemKind(at: place)
    else { return }
    if kind.isInMemory {
      warning("output", "\(output): \(kind.name), which takes memory and which a restart empties", "choose a folder on a disk")
    } else if kind.isRemote {
      ok("output", "\(output): \(kind.name), a network filesystem; workers sync each shard before they report it")
    } else {
      ok("output", "\(output): \(kind.name)")
    }
    examineLocks("output", in: place, guarding: "a second merge into the same folder")
    guard let plan else {
      return ok("space", "\(Format.bytes(kind.availableBytes)) are free; with --sft and --aligned it is told what is needed")
    }
    let (needed, free) = (plan.outputBytes, kind.availableBytes)
    if needed > free {
      problem(
        "space", .cannotCreate, "\(output): \(needed) bytes are needed and \(free) are free: \(needed - free) are missing",
        "free some space or choose another place")
    } else {
      ok("space", "\(Format.bytes(needed)) are needed and \(Format.bytes(free)) are free")
    }
  }

  /// Files that a merge has open at a time.
  mutating func examineDescriptors(_ plan: Plan) {
    let files = plan.aligned.files.count + plan.sft.files.count + plan.outputs.count
    guard attempt("open files", { () throws(Failure) in try DescriptorLimit.require(files) }) != nil else { return }
    ok("open files", "\(files) at a time are few enough")
  }

  /// The folder, or that above it which is there, if it can be written to.
  private mutating func usablePlace(_ subject: String, _ folder: FilePath, option: String) -> FilePath? {
    guard attempt(subject, { () throws(Failure) in try ConfigurationCheck.writable(folder, option: option) }) != nil else { return nil }
    var place = folder
    while access(place.string, F_OK) != 0 {
      place = place.removingLastComponent()
      if place.isEmpty { return "." }
    }
    return place
  }

  /// With a file that is there for a moment.
  private mutating func examineLocks(_ subject: String, in folder: FilePath, guarding what: String) {
    let file = folder.appending(".expomerge-doctor-\(getpid())")
    defer { unlink(file.string) }
    guard let works = attempt(subject, { () throws(Failure) in try FileLock.acquire(file, holder: "expomerge doctor").isEffective })
    else { return }
    if works {
      ok("locks", "\(folder): work")
    } else {
      warning("locks", "\(folder): do nothing, so that \(what) is not noticed", "take care that there is none, or use another filesystem")
    }
  }
}
