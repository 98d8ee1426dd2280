/// What a pickle of tensors may put on its stack.
///
/// Whatever holds other values is an index into `PickleMachine`'s lists, so that no value is nested in another and
/// nothing recurses, however deep the pickle.
enum PickleValue {
  case none
  case bool
  case int(Int)
  case string(String)
  case tuple(Int)
  /// A list, whose elements no tensor needs.
  case list
  /// A dict or OrderedDict.
  case dict(Int)
  case global(PickleGlobal)
  case storage(Int)
  case tensor(Int)
  /// A float, or an integer of more than 64 bits.
  case number

  /// In words, for errors.
  var kind: String {
    switch self {
    case .none: "None"
    case .bool: "a bool"
    case .int, .number: "a number"
    case .string: "a string"
    case .tuple: "a tuple"
    case .list: "a list"
    case .dict: "a dict"
    case .global: "a class or function"
    case .storage: "a storage"
    case .tensor: "a tensor"
    }
  }
}

/// The classes and functions that a pickle of tensors may name: those of PyTorch's weights-only loader that dense tensors
/// need (torch/_weights_only_unpickler.py). None is ever called; each is a word whose meaning is known.
enum PickleGlobal: Equatable {
  case orderedDict
  case rebuildTensorV2
  case rebuildTensorV3
  case rebuildParameter
  case rebuildParameterWithState
  case rebuildFromTypeV2
  /// `torch.Tensor` or `Parameter`.
  case tensorType
  /// A storage of one dtype; nil for one of bytes.
  case storage(DType?)
  case dtype(DType)

  /// - Parameter name: `module.name`.
  init?(_ name: String) {
    guard let known = Self.known[name] else { return nil }
    self = known
  }

  private static let known: [String: PickleGlobal] = {
    var known: [String: PickleGlobal] = [
      "collections.OrderedDict": .orderedDict,
      "torch._utils._rebuild_tensor_v2": .rebuildTensorV2,
      "torch._utils._rebuild_tensor_v3": .rebuildTensorV3,
      "torch._utils._rebuild_parameter": .rebuildParameter,
      "torch._utils._rebuild_parameter_with_state": .rebuildParameterWithState,
      "torch._tensor._rebuild_from_type_v2": .rebuildFromTypeV2,
      "torch.Tensor": .tensorType,
      "torch.nn.parameter.Parameter": .tensorType,
      "torch.storage.UntypedStorage": .storage(nil),
    ]
    let storages: [(String, DType)] = [
      ("Double", .f64), ("Float", .f32), ("Half", .f16), ("BFloat16", .bf16), ("Long", .i64), ("Int", .i32), ("Short", .i16),
      ("Char", .i8), ("Byte", .u8), ("Bool", .bool), ("ComplexFloat", .c64),
    ]
    for (name, dtype) in storages { known["torch.\(name)Storage"] = .storage(dtype) }
    let dtypes: [(String, DType)] = [
      ("float64", .f64), ("float32", .f32), ("float16", .f16), ("bfloat16", .bf16), ("int64", .i64), ("int32", .i32),
      ("int16", .i16), ("int8", .i8), ("uint64", .u64), ("uint32", .u32), ("uint16", .u16), ("uint8", .u8), ("bool", .bool),
      ("complex64", .c64), ("float8_e4m3fn", .f8E4M3), ("float8_e5m2", .f8E5M2), ("float8_e4m3fnuz", .f8E4M3FNUZ),
      ("float8_e5m2fnuz", .f8E5M2FNUZ), ("float8_e8m0fnu", .f8E8M0),
    ]
    for (name, dtype) in dtypes { known["torch.\(name)"] = .dtype(dtype) }
    return known
  }()
}

/// The memory that tensors are views of: an entry of the archive.
package struct PickleStorage {
  /// Names the entry `data/KEY`.
  package let key: String
  /// nil for bytes.
  package let dtype: DType?
  package let elementCount: Int
}

/// A view of a storage. Nothing is checked yet, besides the kinds of what it is made from.
package struct PickleTensor {
  package let storage: PickleStorage
  package let dtype: DType
  /// Elements before the first.
  package let offset: Int
  package let shape: [Int]
  /// Elements from one to the next in each dimension.
  package let strides: [Int]
}
