public import Diagnostics
import FileIO
public import SystemPackage

/// The folder of the keys that are let in: every file `*.key` in it.
public struct KeyFolder: Sendable {
  /// The folder as it looks without reading its files.
  public struct Listing: Sendable, Equatable {
    var stamps: [String: FileStamp]

    init(stamps: [String: FileStamp] = [:]) {
      self.stamps = stamps
    }

    /// The files that came, went or were changed.
    public func changes(since earlier: Listing) -> Set<String> {
      Set(stamps.keys).union(earlier.stamps.keys).filter { stamps[$0] != earlier.stamps[$0] }
    }
  }

  public let path: FilePath

  /// Files beyond these are not looked at, and say so.
  public static let fileLimit = 10_000

  public init(_ path: FilePath) {
    self.path = path
  }

  /// Makes sure, at the start, that it is there and that not everybody may write to it.
  ///
  /// - Throws: `inputNotFound`, `notPermitted`.
  public func check() throws(Failure) {
    guard try Directories.live.kind(of: path) == .directory, let stamp = try FileStamp(of: path) else {
      throw Failure(
        .inputNotFound,
        Problem(
          .fileNotFound, "there is no such folder", file: path.string,
          remedy: "mkdir \(path.string), and put the NAME.key of each worker and operator in it"))
    }
    guard stamp.permissions & 0o002 == 0 else {
      throw Failure(
        .notPermitted,
        Problem(
          .keyUnprotected, "everybody can put keys in this folder", file: path.string,
          remedy: "chmod o-w \(path.string), and look at what is in it"))
    }
  }

  /// A folder that is gone lets nobody in.
  ///
  /// - Throws: what keeps it from being looked at; that tells nothing about its keys.
  public func listing() throws(Failure) -> Listing {
    guard try Directories.live.kind(of: path) == .directory else { return Listing() }
    let names = try Directories.live.names(in: path).filter { $0.hasSuffix(Certificate.publicSuffix) && !$0.hasPrefix(".") }
    guard names.count <= Self.fileLimit else {
      throw Failure(
        .badRecipe,
        Problem(
          .keyIgnored, "holds \(names.count) keys, where \(Self.fileLimit) are the limit", file: path.string,
          remedy: "remove those that are not used"))
    }
    var stamps: [String: FileStamp] = [:]
    for name in names { stamps[name] = try FileStamp(of: path.appending(name)) }
    return Listing(stamps: stamps)
  }

  /// Reads the files of a listing.
  public func load(_ listing: Listing) -> AuthorizedKeys {
    AuthorizedKeys(
      listing.stamps.map { file, stamp in
        let path = path.appending(file)
        let certificate: Result<Certificate, Failure>
        do throws(Failure) {
          guard stamp.permissions & 0o002 == 0 else {
            throw Failure(
              .notPermitted,
              Problem(.keyUnprotected, "everybody can write to it", file: path.string, remedy: "chmod o-w \(path.string)"))
          }
          certificate = .success(try KeyFile.read(path))
        } catch {
          certificate = .failure(error)
        }
        return .init(
          name: String(file.dropLast(Certificate.publicSuffix.count)), file: path.string, certificate: certificate)
      })
  }
}

/// Decides when a folder of keys has to be read again; pure.
public struct KeyFolderWatch: Sendable {
  private var last: KeyFolder.Listing
  private var isFresh = true

  public init(_ listing: KeyFolder.Listing) {
    last = listing
  }

  /// - Returns: whether to read the files: when something has changed, and once more after that, as a change in the same
  ///   tick of the kernel's clock leaves no trace.
  public mutating func shouldLoad(_ listing: KeyFolder.Listing) -> Bool {
    let hasChanged = !listing.changes(since: last).isEmpty
    defer { (last, isFresh) = (listing, hasChanged) }
    return hasChanged || isFresh
  }
}
