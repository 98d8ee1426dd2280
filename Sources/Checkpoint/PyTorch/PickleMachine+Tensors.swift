import Diagnostics

extension PickleMachine {
  mutating func pushGlobal() throws(Failure) {
    let name = try line() + "." + line()
    guard let global = PickleGlobal(name) else {
      throw refusal(
        .pickleRefused, "the pickle names \(name), which no dict of plain tensors needs; nothing was executed", remedy: Self.convert)
    }
    try push(.global(global))
  }

  /// `("storage", class, key, device, number of elements)`.
  mutating func pushStorage(_ id: PickleValue) throws(Failure) {
    guard case .tuple(let index) = id, tuples[index].count == 5, case .string("storage") = tuples[index][0],
      case .global(.storage(let dtype)) = tuples[index][1], case .string(let key) = tuples[index][2],
      case .int(let count) = tuples[index][4]
    else { throw invalid("names a storage in an unknown way") }
    storages.append(PickleStorage(key: key, dtype: dtype, elementCount: count))
    try push(.storage(storages.count - 1))
  }

  mutating func reduce() throws(Failure) {
    let parts = try pop(2)
    guard case .global(let function) = parts[0], case .tuple(let index) = parts[1] else {
      throw invalid("calls something that is no function")
    }
    let arguments = tuples[index]
    switch function {
    case .orderedDict where arguments.isEmpty:
      try pushDict()
    case .rebuildTensorV2, .rebuildTensorV3:
      try pushTensor(function, arguments)
    case .rebuildParameter where arguments.count == 3, .rebuildParameterWithState where arguments.count == 4:
      guard case .tensor = arguments[0] else { throw invalid("makes a parameter of something that is no tensor") }
      try push(arguments[0])
    case .rebuildFromTypeV2 where arguments.count == 4:
      // Also attributes, which are no weights; other classes may mean something else by the same bytes.
      guard case .global(let inner) = arguments[0], case .global(.tensorType) = arguments[1], case .tuple(let index) = arguments[2]
      else { throw invalid("makes a tensor in an unknown way") }
      try pushTensor(inner, tuples[index])
    default:
      throw invalid("calls a function in an unknown way")
    }
  }

  /// `(storage, offset, size, stride, requires_grad, backward_hooks)`, in version 3 with the dtype, and perhaps a dict of what is
  /// conjugated or negated.
  private mutating func pushTensor(_ function: PickleGlobal, _ arguments: [PickleValue]) throws(Failure) {
    let plainCount = function == .rebuildTensorV3 ? 7 : 6
    guard function == .rebuildTensorV2 || function == .rebuildTensorV3, (plainCount...plainCount + 1).contains(arguments.count),
      case .storage(let storage) = arguments[0], case .int(let offset) = arguments[1],
      let shape = integers(arguments[2]), let strides = integers(arguments[3])
    else { throw invalid("makes a tensor in an unknown way") }
    guard arguments.count == plainCount else {
      throw stateDictRefusal(
        "a tensor is kept conjugated, negated or with other marks", remedy: "in PyTorch, save tensor.resolve_conj().resolve_neg()")
    }
    var dtype = storages[storage].dtype
    if function == .rebuildTensorV3 {
      guard case .global(.dtype(let named)) = arguments[6] else { throw invalid("makes a tensor without a dtype") }
      dtype = named
    }
    guard let dtype else { throw invalid("makes a tensor without a dtype") }
    tensors.append(PickleTensor(storage: storages[storage], dtype: dtype, offset: offset, shape: shape, strides: strides))
    try push(.tensor(tensors.count - 1))
  }

  /// PyTorch's limit on dimensions. Any number of tensors can name one tuple, but each has a copy.
  private static let rankLimit = 64

  private func integers(_ value: PickleValue) -> [Int]? {
    guard case .tuple(let index) = value, tuples[index].count <= Self.rankLimit else { return nil }
    var integers: [Int] = []
    for element in tuples[index] {
      guard case .int(let integer) = element else { return nil }
      integers.append(integer)
    }
    return integers
  }
}
