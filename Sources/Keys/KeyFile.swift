public import Diagnostics
import FileIO
import Glibc
public import SystemPackage

extension Problem.Code {
  public static let keyUnprotected = Self("key-unprotected")
  public static let keyMissing = Self("key-missing")
  public static let keyUnsuitable = Self("key-unsuitable")
}

/// Certificates in files.
public enum KeyFile {
  /// Reads a certificate, public or secret.
  public static func read(_ path: FilePath) throws(Failure) -> Certificate {
    try read(File.open(path), path)
  }

  private static func read(_ file: File, _ path: FilePath) throws(Failure) -> Certificate {
    let size = try file.status().size
    // A byte more than is taken, so that the parser says what is too large.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(size, Certificate.byteLimit + 1), alignment: 1)
    defer {
      if let start = buffer.baseAddress { explicit_bzero(start, buffer.count) }
      buffer.deallocate()
    }
    try file.read(into: buffer, at: 0)
    return try Certificate(parsing: UnsafeRawBufferPointer(buffer), file: path.string)
  }

  /// Reads the secret key of `NAME.key_secret`, or of the only such file in a folder.
  ///
  /// - Throws: `notPermitted` where others than its owner could have read it, a link's target included.
  public static func secretKey(_ path: FilePath) throws(Failure) -> SecretKey {
    let path = try secretFile(path)
    let file = try File.open(path)
    // A public file may be for everybody.
    guard let key = try read(file, path).secretKey else {
      let isPublic = path.string.hasSuffix(Certificate.publicSuffix)
      let secret = isPublic ? String(path.string.dropLast(Certificate.publicSuffix.count)) : "NAME"
      throw Failure(
        .badRecipe,
        Problem(.keyMissing, "is the public file", file: path.string, remedy: "use \(secret)\(Certificate.secretSuffix), that was made with it"))
    }
    let permissions = try file.status().permissions
    guard permissions & 0o077 == 0 else {
      throw Failure(
        .notPermitted,
        Problem(
          .keyUnprotected, "is a secret that others than its owner have access to (mode \(String(permissions, radix: 8)))",
          file: path.string, remedy: "chmod 600 \(path.string), and make a new key if somebody may have read it"))
    }
    return key
  }

  private static func secretFile(_ path: FilePath) throws(Failure) -> FilePath {
    guard try Directories.live.kind(of: path) == .directory else { return path }
    let names = try Directories.live.names(in: path).filter { $0.hasSuffix(Certificate.secretSuffix) }
    guard names.count == 1, let name = FilePath.Component(names[0]) else {
      let found = names.isEmpty ? "no" : "\(names.count)"
      throw Failure(
        .inputNotFound,
        Problem(
          .keyMissing, "holds \(found) files *\(Certificate.secretSuffix)", file: path.string,
          remedy: names.isEmpty
            ? "make a key with: expomerge keygen --output \(path.string) --name NAME" : "name one of them"))
    }
    return path.appending(name)
  }

  /// A public key that is given as a file or as 40 characters of Z85. A file goes first: some paths look like a key.
  ///
  /// - Throws: `badRecipe` for a secret file, which is nobody else's.
  public static func publicKey(_ text: String) throws(Failure) -> PublicKey {
    let path = FilePath(text)
    if try Directories.live.kind(of: path) == nil, let key = PublicKey(z85: text) { return key }
    let certificate = try read(path)
    guard certificate.secretKey == nil else {
      let isNamed = text.hasSuffix(Certificate.secretSuffix)
      let name = isNamed ? String(text.dropLast(Certificate.secretSuffix.count)) : "NAME"
      throw Failure(
        .badRecipe,
        Problem(.keyUnsuitable, "is a secret key", file: text, remedy: "use the public file, \(name)\(Certificate.publicSuffix)"))
    }
    return certificate.publicKey
  }

  // MARK: making

  public struct Pair: Sendable {
    public let publicFile: FilePath
    public let secretFile: FilePath
  }

  /// Whether a name gives files that lie in their folder and can be seen there.
  public static func isName(_ name: String) -> Bool {
    let isPlain = name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: "._@-".utf8.contains(byte)
      }
    }
    return (1...64).contains(name.utf8.count) && isPlain && !name.hasPrefix(".") && !name.hasPrefix("-")
  }

  /// Writes both files of a certificate and waits until they are on the disk. Nothing is ever replaced.
  ///
  /// - Parameters:
  ///   - folder: made, with mode 0700, where it is missing.
  ///   - name: for which `isName` is true.
  ///   - date: for the comment that people see.
  /// - Throws: `cannotCreate` where one of the files is there; the other is then not left behind.
  public static func write(
    _ certificate: Certificate, to folder: FilePath, name: String, date: String
  ) throws(Failure) -> Pair {
    precondition(isName(name))
    let pair = Pair(
      publicFile: folder.appending(name + Certificate.publicSuffix),
      secretFile: folder.appending(name + Certificate.secretSuffix))
    try Directories.live.makeDirectory(folder, mode: 0o700)
    let secret = try create(pair.secretFile, mode: 0o600)
    do throws(Failure) {
      try certificate.withSecretText(date: date) { bytes throws(Failure) in try secret.write(bytes, at: 0) }
      try secret.syncData()
      let open = try create(pair.publicFile, mode: 0o644)
      do throws(Failure) {
        try open.write(certificate.publicText(date: date), at: 0)
        try open.syncData()
        try Directories.live.sync(folder)
      } catch {
        unlink(pair.publicFile.string)
        throw error
      }
    } catch {
      unlink(pair.secretFile.string)
      throw error
    }
    return pair
  }

  private static func create(_ path: FilePath, mode: UInt32) throws(Failure) -> File {
    do throws(Failure) {
      return try File.createNew(path, mode: mode)
    } catch {
      guard error.problems[0].code == .alreadyExists else { throw error }
      throw Failure(
        .cannotCreate,
        Problem(
          .alreadyExists, "exists already, and keys are never replaced", file: path.string,
          remedy: "choose another --name, or move it away"))
    }
  }
}
