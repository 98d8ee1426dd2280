public import Diagnostics

extension Problem.Code {
  public static let pickleInvalid = Self("pickle-invalid")
  public static let pickleRefused = Self("pickle-refused")
  public static let pickleTooLarge = Self("pickle-too-large")
}

/// Reads the pickle of a dict of tensors, and executes nothing.
///
/// A pickle is a program for a machine with a stack and a memo. This one knows the opcodes that PyTorch's weights-only loader
/// needs for tensors, and no function but those that say what a tensor is (`PickleGlobal`); whatever else a pickle asks for ends
/// the reading.
///
/// Source: CPython's `pickletools.py`, torch/_weights_only_unpickler.py.
package struct PickleMachine {
  private let bytes: [UInt8]
  private let file: String
  /// Where the pickle starts in the file, for errors.
  private let start: Int
  private let valueLimit: Int
  private var position = 0
  private var opcodeStart = 0

  private var stack: [PickleValue] = []
  /// How high the stack was at each open mark.
  private var marks: [Int] = []
  private var memo: [UInt32: PickleValue] = [:]
  private var pushes = 0

  var tuples: [[PickleValue]] = []
  private var dicts: [[(key: PickleValue, value: PickleValue)]] = []
  var storages: [PickleStorage] = []
  var tensors: [PickleTensor] = []

  /// The largest pickle read, in bytes: a tensor takes about 200.
  static let sizeLimit = 64 << 20

  /// - Parameters:
  ///   - start: its first byte in the file.
  ///   - valueLimit: values that it may make, which bounds the memory it takes.
  package init(_ bytes: [UInt8], file: String, start: Int, valueLimit: Int = 4 << 20) {
    self.bytes = bytes
    self.file = file
    self.start = start
    self.valueLimit = valueLimit
  }

  /// The entries of the dict of tensors that the pickle holds, in their order.
  ///
  /// - Throws: `badData` with one problem naming the byte and what is there.
  package mutating func stateDict() throws(Failure) -> [(name: String, tensor: PickleTensor)] {
    guard case .dict(let index) = try run() else {
      throw stateDictRefusal("the file holds no dict of tensors", remedy: "save model.state_dict() alone")
    }
    var entries: [(name: String, tensor: PickleTensor)] = []
    var names: Set<String> = []
    for (key, value) in dicts[index] {
      guard case .string(let name) = key else { throw stateDictRefusal("the dict has \(key.kind) for a key, not a name") }
      switch value {
      case .tensor(let tensor):
        guard names.insert(name).inserted else {
          throw Failure(
            .badData,
            Problem(.tensorDuplicated, "the dict names the tensor twice", file: file, tensor: name, remedy: Self.saveAgain))
        }
        entries.append((name, tensors[tensor]))
      case .dict:
        throw stateDictRefusal(
          "'\(name)' is a dict, so this is no plain dict of tensors but a training checkpoint or the like",
          remedy: "in PyTorch, save the dict with the weights alone: torch.save(torch.load(FILE)['\(name)'], NEW_FILE)")
      default:
        throw stateDictRefusal("'\(name)' is \(value.kind), not a tensor", remedy: "in PyTorch, save the tensors alone")
      }
    }
    return entries
  }

  // MARK: the machine

  /// Those of protocol 2 that are known, by their names in `pickletools`.
  private enum Opcode: UInt8 {
    case proto = 0x80, stop = 0x2E
    case none = 0x4E, newTrue = 0x88, newFalse = 0x89
    case binInt1 = 0x4B, binInt2 = 0x4D, binInt = 0x4A, long1 = 0x8A, binFloat = 0x47
    case binUnicode = 0x58, shortBinString = 0x55
    case mark = 0x28, emptyTuple = 0x29, tuple1 = 0x85, tuple2 = 0x86, tuple3 = 0x87, tuple = 0x74
    case emptyList = 0x5D, append = 0x61, appends = 0x65
    case emptyDict = 0x7D, setItem = 0x73, setItems = 0x75
    case binPut = 0x71, longBinPut = 0x72, binGet = 0x68, longBinGet = 0x6A
    case global = 0x63, binPersistentID = 0x51, reduce = 0x52, build = 0x62
  }

  private mutating func run() throws(Failure) -> PickleValue {
    while true {
      opcodeStart = position
      let code = try byte()
      guard let opcode = Opcode(rawValue: code) else {
        let shown = String(code, radix: 16)
        throw refusal(.pickleRefused, "the pickle has the opcode 0x\(shown), which no dict of tensors needs", remedy: Self.convert)
      }
      if opcode == .stop { break }
      try step(opcode)
    }
    let result = try pop()
    guard stack.isEmpty, marks.isEmpty else { throw invalid("ends with values left over") }
    return result
  }

  private mutating func step(_ opcode: Opcode) throws(Failure) {
    switch opcode {
    case .proto: _ = try byte()
    case .stop: break
    case .none: try push(.none)
    case .newTrue, .newFalse: try push(.bool)
    case .binInt1: try push(.int(Int(try byte())))
    case .binInt2: try push(.int(Int(try integer(UInt16.self))))
    case .binInt: try push(.int(Int(try integer(Int32.self))))
    case .long1: try push(longInteger())
    case .binFloat:
      _ = try take(8)
      try push(.number)
    case .binUnicode: try push(.string(text(count: Int(try integer(UInt32.self)))))
    case .shortBinString: try push(.string(text(count: Int(try byte()))))
    case .mark:
      try countValue()
      marks.append(stack.count)
    case .emptyTuple: try pushTuple([])
    case .tuple1: try pushTuple(pop(1))
    case .tuple2: try pushTuple(pop(2))
    case .tuple3: try pushTuple(pop(3))
    case .tuple: try pushTuple(popToMark())
    case .emptyList: try push(.list)
    case .append: try append([pop()])
    case .appends: try append(popToMark())
    case .emptyDict: try pushDict()
    case .setItem: try setItems(pop(2))
    case .setItems: try setItems(popToMark())
    case .binPut: try remember(UInt32(try byte()))
    case .longBinPut: try remember(integer(UInt32.self))
    case .binGet: try recall(UInt32(try byte()))
    case .longBinGet: try recall(integer(UInt32.self))
    case .global: try pushGlobal()
    case .binPersistentID: try pushStorage(pop())
    case .reduce: try reduce()
    case .build: try build()
    }
  }

  private mutating func countValue() throws(Failure) {
    pushes += 1
    guard pushes <= valueLimit else {
      throw refusal(.pickleTooLarge, "the pickle makes more than \(valueLimit) values", remedy: Self.convert)
    }
  }

  mutating func push(_ value: PickleValue) throws(Failure) {
    try countValue()
    stack.append(value)
  }

  private mutating func pushTuple(_ values: [PickleValue]) throws(Failure) {
    tuples.append(values)
    try push(.tuple(tuples.count - 1))
  }

  mutating func pushDict() throws(Failure) {
    dicts.append([])
    try push(.dict(dicts.count - 1))
  }

  /// Never what lies below a mark.
  mutating func pop() throws(Failure) -> PickleValue {
    guard stack.count > marks.last ?? 0, let value = stack.popLast() else { throw invalid("takes from an empty stack") }
    return value
  }

  mutating func pop(_ count: Int) throws(Failure) -> [PickleValue] {
    guard stack.count - (marks.last ?? 0) >= count else { throw invalid("takes from an empty stack") }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popToMark() throws(Failure) -> [PickleValue] {
    guard let mark = marks.popLast() else { throw invalid("has no mark where one is needed") }
    defer { stack.removeSubrange(mark...) }
    return Array(stack[mark...])
  }

  private func top() throws(Failure) -> PickleValue {
    guard stack.count > marks.last ?? 0, let value = stack.last else { throw invalid("takes from an empty stack") }
    return value
  }

  private mutating func remember(_ place: UInt32) throws(Failure) {
    try countValue()
    memo[place] = try top()
  }

  private mutating func recall(_ place: UInt32) throws(Failure) {
    guard let value = memo[place] else { throw invalid("recalls what it never kept") }
    try push(value)
  }

  private mutating func append(_ values: [PickleValue]) throws(Failure) {
    guard case .list = try top() else { throw invalid("appends to something that is no list") }
  }

  private mutating func setItems(_ values: [PickleValue]) throws(Failure) {
    guard case .dict(let index) = try top(), values.count % 2 == 0 else { throw invalid("sets items of something that is no dict") }
    for place in stride(from: 0, to: values.count, by: 2) { dicts[index].append((values[place], values[place + 1])) }
  }

  /// The attributes of an OrderedDict, such as `_metadata`; no weights.
  private mutating func build() throws(Failure) {
    _ = try pop()
    guard case .dict = try top() else { throw invalid("sets attributes of something that is no dict") }
  }

  // MARK: bytes

  private mutating func take(_ count: Int) throws(Failure) -> ArraySlice<UInt8> {
    guard count <= bytes.count - position else { throw invalid("ends too early") }
    defer { position += count }
    return bytes[position..<position + count]
  }

  private mutating func byte() throws(Failure) -> UInt8 { try integer(UInt8.self) }

  private mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(Failure) -> Value {
    let place = try take(Value.bitWidth / 8).startIndex
    return bytes.integer(at: place, as: type)
  }

  /// LONG1: two's complement, little-endian, of any length.
  private mutating func longInteger() throws(Failure) -> PickleValue {
    let digits = try take(Int(try byte()))
    guard digits.count <= 8 else { return .number }
    let isNegative = digits.last.map { $0 >= 0x80 } ?? false
    return .int(digits.reversed().reduce(isNegative ? -1 : 0) { $0 << 8 | Int($1) })
  }

  private mutating func text(count: Int) throws(Failure) -> String {
    guard let text = String(validating: try take(count), as: UTF8.self) else { throw invalid("has a string that is not UTF-8") }
    return text
  }

  /// Up to a line feed.
  mutating func line() throws(Failure) -> String {
    let rest = bytes[position...].prefix(Self.nameLimit + 1)
    guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { throw invalid("has a name without an end") }
    defer { position = end + 1 }
    return try text(count: end - position)
  }

  /// Bytes of a module or a name in it.
  private static let nameLimit = 200

  // MARK: errors

  static let saveAgain = "in PyTorch, load the file and save it again"
  static let convert = "if you trust the file, load it in PyTorch and save its tensors as safetensors"

  func invalid(_ what: String) -> Failure {
    refusal(.pickleInvalid, "the pickle \(what)", remedy: "download the file again, or load it in PyTorch and save it again")
  }

  func stateDictRefusal(_ message: String, remedy: String = saveAgain) -> Failure {
    Failure(.badData, Problem(.stateDictInvalid, message, file: file, remedy: remedy))
  }

  func refusal(_ code: Problem.Code, _ message: String, remedy: String) -> Failure {
    Failure(.badData, Problem(code, message, file: file, byte: start + opcodeStart, remedy: remedy))
  }
}
