public import Diagnostics
import FileIO
public import SystemPackage

/// The folders that a worker may open files in, and where it finds what the coordinator names.
public struct Roots: Sendable {
  /// `FROM=TO`: what the coordinator calls FROM is TO here.
  public struct Mapping: Sendable, Equatable {
    public let from: FilePath
    public let to: FilePath

    public init(from: FilePath, to: FilePath) {
      self.from = from
      self.to = to
    }
  }

  /// Where what is found is opened.
  let confinement: Confinement
  private let mappings: [Mapping]

  /// - Parameter roots: existing folders; links are followed.
  public init(_ roots: [FilePath], mappings: [Mapping] = []) {
    confinement = Confinement(roots)
    // The most specific first.
    self.mappings = mappings.sorted { $0.from.components.count > $1.from.components.count }
  }

  /// - Throws: where a root is not a folder.
  public static func check(_ root: FilePath) throws(Failure) {
    guard try Directories.live.kind(of: root) == .directory else {
      throw Failure(
        .inputNotFound, Problem(.rootMissing, "there is no such folder", file: root.string, remedy: "check --root"))
    }
  }

  enum Finding: Equatable {
    case found(FilePath)
    case missing
    case outside(FilePath)
  }

  /// Where a path of the coordinator's leads here.
  func find(_ path: FilePath) -> Finding {
    var path = path.lexicallyNormalized()
    if let mapping = mappings.first(where: { path.starts(with: $0.from.lexicallyNormalized()) }) {
      let rest = path.components.dropFirst(mapping.from.lexicallyNormalized().components.count)
      path = mapping.to.appending(Array(rest))
    }
    // Without roots everything is streamed, and nobody expects otherwise.
    if confinement.isEmpty { return .missing }
    guard let resolved = try? Directories.live.resolve(path) else { return .missing }
    return confinement.contains(resolved) ? .found(resolved) : .outside(resolved)
  }
}

extension Problem.Code {
  static let rootMissing = Self("root-missing")
}
