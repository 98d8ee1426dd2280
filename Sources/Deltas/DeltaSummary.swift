import Checkpoint
import Kernels

/// The tensors of a pair taken together in the ways in which models are built: by kind, by projection, by layer, and by
/// module in each layer.
public struct DeltaSummary: Sendable, Equatable {
  public struct Group: Sendable, Equatable {
    public let name: String
    public let measure: DeltaMeasure

    public init(name: String, measure: DeltaMeasure) {
      self.name = name
      self.measure = measure
    }
  }

  public struct Layer: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let stack: String
    public let number: Int

    public var description: String { "\(stack).\(number)" }

    public static func < (one: Layer, other: Layer) -> Bool {
      (one.stack, one.number) < (other.stack, other.number)
    }
  }

  /// A module of one layer: all its tensors.
  public struct Cell: Sendable, Equatable {
    public let layer: Layer
    public let module: String
    public let measure: DeltaMeasure
  }

  /// In the order of the plan.
  public let tensors: [TensorDelta]
  public let total: DeltaMeasure
  public let kinds: [Group]
  /// Largest relative norm first, as are modules.
  public let projections: [Group]
  public let modules: [Group]
  public let layers: [(layer: Layer, measure: DeltaMeasure)]
  /// By module in the order of its first tensor, then by layer.
  public let cells: [Cell]
  /// Tensors outside of layers.
  public let outside: [TensorDelta]

  public init(_ tensors: [TensorDelta]) {
    let roles = tensors.map { TensorRole(of: $0.name) }
    func groups(_ name: (TensorRole) -> String) -> [Group] {
      Self.grouped(tensors, roles.map(name)).map { Group(name: $0.key, measure: $0.measure) }
    }
    func byNorm(_ groups: [Group]) -> [Group] {
      groups.filter { $0.measure.relativeNorm != nil }
        .sorted { ($1.measure.relativeNorm ?? 0, $0.name) < ($0.measure.relativeNorm ?? 0, $1.name) }
    }
    self.tensors = tensors
    total = DeltaMeasure(tensors.map(\.measure)) ?? DeltaMeasure(DeltaSums())
    let byKind = groups(\.kind.rawValue)
    kinds = TensorRole.Kind.allCases.compactMap { kind in byKind.first { $0.name == kind.rawValue } }
    projections = byNorm(groups(\.projection))
    modules = byNorm(groups(\.module))
    let places = roles.map { role in role.stack.flatMap { stack in role.layer.map { Layer(stack: stack, number: $0) } } }
    let inside = tensors.indices.filter { places[$0] != nil }
    outside = tensors.indices.filter { places[$0] == nil }.map { tensors[$0] }
    let placed = inside.compactMap { places[$0] }
    let inLayers = inside.map { tensors[$0] }
    layers = Self.grouped(inLayers, placed).map { (layer: $0.key, measure: $0.measure) }.sorted { $0.layer < $1.layer }
    var order: [String: Int] = [:]
    for index in inside where order[roles[index].module] == nil { order[roles[index].module] = order.count }
    let keys = zip(placed, inside).map { CellKey(layer: $0, module: roles[$1].module) }
    cells = Self.grouped(inLayers, keys)
      .map { Cell(layer: $0.key.layer, module: $0.key.module, measure: $0.measure) }
      .sorted { (order[$0.module] ?? 0, $0.layer) < (order[$1.module] ?? 0, $1.layer) }
  }

  private struct CellKey: Hashable {
    let layer: Layer
    let module: String
  }

  /// Sums of the tensors that have a key in common, in the order of the tensors.
  private static func grouped<Key: Hashable>(
    _ tensors: [TensorDelta], _ keys: [Key]
  ) -> [(key: Key, measure: DeltaMeasure)] {
    var members: [Key: [DeltaMeasure]] = [:]
    var order: [Key] = []
    for (tensor, key) in zip(tensors, keys) {
      if members[key] == nil { order.append(key) }
      members[key, default: []].append(tensor.measure)
    }
    return order.compactMap { key in
      DeltaMeasure(members[key] ?? []).map { (key: key, measure: $0) }
    }
  }

  public static func == (one: DeltaSummary, other: DeltaSummary) -> Bool { one.tensors == other.tensors }
}
