import Glibc
public import SystemPackage

/// A folder that goes with the value.
public final class TemporaryFolder: Sendable {
  public let path: FilePath

  public init() {
    var template = Array("/tmp/expomerge-test-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { preconditionFailure(String(cString: strerror(errno))) }
    path = FilePath(platformString: made)
  }

  deinit {
    Self.remove(path)
  }

  public func callAsFunction(_ name: String) -> FilePath {
    path.pushing(FilePath(name))
  }

  /// Writes a file, and the folders above it.
  @discardableResult
  public func write(_ contents: [UInt8], to name: String) -> FilePath {
    let file = self(name)
    makeFolder(file.removingLastComponent())
    guard let stream = fopen(file.string, "w") else { preconditionFailure(String(cString: strerror(errno))) }
    fwrite(contents, 1, contents.count, stream)
    fclose(stream)
    return file
  }

  @discardableResult
  public func write(_ contents: String, to name: String) -> FilePath {
    write(Array(contents.utf8), to: name)
  }

  public func makeFolder(_ folder: FilePath) {
    if access(folder.string, F_OK) == 0 { return }
    makeFolder(folder.removingLastComponent())
    mkdir(folder.string, 0o777)
  }

  public static func contents(_ file: FilePath) -> [UInt8]? {
    guard let stream = fopen(file.string, "r") else { return nil }
    defer { fclose(stream) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = fread(&block, 1, block.count, stream)
      if count == 0 { return bytes }
      bytes += block[..<count]
    }
  }

  public static func exists(_ path: FilePath) -> Bool { access(path.string, F_OK) == 0 }

  public static func names(in folder: FilePath) -> Set<String> {
    guard let stream = opendir(folder.string) else { return [] }
    defer { closedir(stream) }
    var names: Set<String> = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.insert(name) }
    }
    return names
  }

  private static func remove(_ path: FilePath) {
    var info = stat()
    guard lstat(path.string, &info) == 0 else { return }
    if info.st_mode & S_IFMT == S_IFDIR {
      for name in names(in: path) { remove(path.appending(name)) }
      rmdir(path.string)
    } else {
      unlink(path.string)
    }
  }
}
