import Checkpoint
import Diagnostics
import Foundation
import SystemPackage
import TestSupport
import Testing

/// A file made by Scripts/python/pytorch_cases.py, with PyTorch's verdict.
private struct PyTorchCase: Decodable {
  struct Tensor: Decodable, Equatable {
    let dtype: String
    let shape: [Int]
    /// Hexadecimal.
    let bytes: String

    init(from decoder: any Decoder) throws {
      var values = try decoder.unkeyedContainer()
      dtype = try values.decode(String.self)
      shape = try values.decode([Int].self)
      bytes = try values.decode(String.self)
    }

    init(_ tensor: Checkpoint.Tensor, in file: [UInt8]) {
      dtype = tensor.dtype.rawValue
      shape = tensor.shape
      let stored = file[tensor.range]
      let inOrder = tensor.layout.map { layout in layout.places.flatMap { stored.dropFirst($0).prefix(layout.elementSize) } } ?? Array(stored)
      bytes = inOrder.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
  }

  let name: String
  let base64: String
  let torch: String
  let tensors: [String: Tensor]?

  var bytes: [UInt8] { Array(Data(base64Encoded: base64)!) }

  static let all: [PyTorchCase] = {
    let url = Bundle.module.url(forResource: "pytorch-cases", withExtension: "json", subdirectory: "Fixtures")!
    return try! JSONDecoder().decode([PyTorchCase].self, from: Data(contentsOf: url))
  }()
}

extension StridedLayout {
  /// Bytes from the first element to each, by counting through all indices.
  fileprivate var places: [Int] {
    zip(shape, strides).reduce([0]) { places, dimension in
      places.flatMap { place in (0..<dimension.0).map { place + $0 * dimension.1 * elementSize } }
    }
  }
}

@Suite("Strided tensors")
struct StridedLayoutTests {
  @Test(
    "a span holds what it is of, and is no wider than the dimension in which its ends differ",
    arguments: [
      ([3, 4], [1, 3]), ([3, 4], [10, 2]), ([2, 3, 4], [4, 8, 1]), ([2, 3, 4], [0, 5, 0]), ([5], [7]), ([4, 3], [1, 1]), ([1, 6, 1], [9, 2, 9]),
    ])
  func spans(shape: [Int], strides: [Int]) throws {
    let layout = try #require(StridedLayout(.f16, shape: shape, strides: strides))
    let places = layout.places
    #expect(layout.count == places.count && layout.spanBytes == places.max()! + 2)
    for start in 0..<places.count {
      for end in start + 1...places.count {
        let (span, part) = (layout.span(of: start..<end), places[start..<end])
        #expect(span.lowerBound <= part.min()! && span.upperBound >= part.max()! + 2, "\(start)..<\(end)")
        #expect(span.upperBound <= layout.spanBytes)
        if end == start + 1 { #expect(span.count == 2) }
      }
    }
  }

  @Test("what is too large, too far apart or no stride is none")
  func limits() {
    let most = StridedLayout.limit
    #expect(StridedLayout(.u8, shape: [most], strides: [0]) != nil)
    #expect(StridedLayout(.u8, shape: [2], strides: [most - 1]) != nil)
    for (shape, strides) in [
      ([most + 1], [0]), ([2], [most]), ([2, 2], [most - 1, 1]), ([2], [-1]), ([2], [1, 1]), ([0], [1]), ([3], [Int.max]),
      ([1 << 40, 1 << 40], [0, 0]), ([2, 2], [Int.max, Int.max]),
    ] {
      #expect(StridedLayout(.u8, shape: shape, strides: strides) == nil, "\(shape) \(strides)")
    }
    #expect(StridedLayout(.f4, shape: [2, 2], strides: [1, 2]) == nil)
  }
}

@Suite("PyTorch files")
struct PyTorchTests {
  let folder = TemporaryFolder()

  /// What is refused, PyTorch agreeing or not (docs/file-formats.md), and why.
  static let refusals: [String: Problem.Code] = [
    "pickle protocol 4": .pickleRefused,
    "the format before 1.6": .pyTorchFormatOther, "a training checkpoint": .stateDictInvalid,
    "a number among the tensors": .stateDictInvalid, "a list of tensors": .stateDictInvalid, "a tensor alone": .stateDictInvalid,
    "names that are numbers": .stateDictInvalid, "conjugated": .stateDictInvalid, "complex128": .pickleRefused,
    "quantised": .pickleRefused, "sparse": .pickleRefused, "on the meta device": .pickleRefused, "big-endian": .pyTorchFormatOther,
    "an unknown byte order": .pyTorchFormatOther, "calls os.system, protocol 0": .pickleRefused,
    "calls os.system, protocol 2": .pickleRefused, "calls os.system, protocol 4": .pickleRefused,
    "calls eval in a tensor's place": .pickleRefused, "rebuilds by a class of its own": .pickleRefused,
    "calls a dtype": .pickleInvalid, "makes an object": .pickleRefused, "a module name without end": .pickleInvalid,
    "takes from an empty stack": .pickleInvalid, "takes from below a mark": .pickleInvalid, "no mark": .pickleInvalid,
    "recalls what was never kept": .pickleInvalid, "an odd number of items": .pickleInvalid, "values left over": .pickleInvalid,
    "no end": .pickleInvalid, "a string beyond the end": .pickleInvalid, "a dict in itself": .stateDictInvalid,
    "a name twice": .tensorDuplicated, "a name that is not UTF-8": .pickleInvalid, "an empty pickle": .pickleInvalid,
    "a stride that is missing": .shapeInvalid, "a negative length": .shapeInvalid, "a negative stride": .shapeInvalid,
    "a negative offset": .shapeInvalid, "more dimensions than tensors have": .pickleInvalid,
    "an offset beyond the storage": .dataMissing, "columns beyond the storage": .dataMissing, "a shape beyond the storage": .dataMissing,
    "a shape that overflows": .shapeOverflows, "an offset that overflows": .dataMissing,
    "a shape that overflows before its zero": .shapeOverflows, "an offset of more than 64 bits": .pickleInvalid,
    "a storage larger than its entry": .storageInvalid, "a storage smaller than its entry": .storageInvalid,
    "a negative storage": .storageInvalid, "a storage that overflows": .storageInvalid, "a storage that is not there": .storageInvalid,
    "a storage's name that leads elsewhere": .storageInvalid, "an unknown storage": .pickleRefused,
    "a storage that is a function": .pickleInvalid, "a persistent id that is no storage": .pickleInvalid,
    "compressed": .archiveCompressed, "encrypted": .archiveInvalid, "a comment": .archiveInvalid, "bytes before": .archiveInvalid,
    "bytes behind": .archiveInvalid, "too few entries counted": .archiveInvalid, "too many entries counted": .archiveInvalid,
    "65535 entries counted, zip64": .archiveInvalid, "two numbers of entries, zip64": .archiveInvalid,
    "sizes beyond the entries": .archiveInvalid,
    "entries at one place": .archiveInvalid, "an entry inside another": .archiveInvalid, "an entry in the directory": .archiveInvalid,
    "an entry beyond the file": .archiveInvalid, "an entry of another name": .archiveInvalid, "one of several parts": .archiveInvalid,
    "two entries of one name": .archiveInvalid, "a name of an entry that is not UTF-8": .archiveInvalid, "no pickle": .archiveInvalid,
    "the pickle behind the data": .archiveInvalid, "no entries": .pyTorchFormatOther, "a TorchScript program": .pyTorchFormatOther,
    "nothing": .pyTorchFormatOther, "a signature and no more": .archiveInvalid, "a pointer of git-lfs": .pyTorchFormatOther,
    "a tar archive": .pyTorchFormatOther,
  ]
  /// Read although PyTorch refuses: what it holds besides is not looked at.
  static let laxer: Set<String> = ["entries in other folders"]

  @Test("agree with PyTorch on every file made for it", arguments: PyTorchCase.all.indices)
  func reference(index: Int) throws {
    let reference = PyTorchCase.all[index]
    folder.write(reference.bytes, to: "pytorch_model.bin")
    do throws(Failure) {
      let checkpoint = try Checkpoint.open(folder("pytorch_model.bin"))
      #expect(Self.refusals[reference.name] == nil, "\(reference.name)")
      #expect(reference.torch == "accepts" || Self.laxer.contains(reference.name), "\(reference.name)")
      var tensors: [String: PyTorchCase.Tensor] = [:]
      for tensor in checkpoint.tensors { tensors[tensor.name] = .init(tensor, in: reference.bytes) }
      if let expected = reference.tensors { #expect(tensors == expected, "\(reference.name)") }
      #expect(checkpoint.tensors.allSatisfy { $0.range.lowerBound >= checkpoint.files[0].dataStart })
    } catch {
      #expect(error.problems.map(\.code) == [Self.refusals[reference.name]], "\(reference.name): \(error)")
      #expect(error.problems.allSatisfy { $0.file != nil && $0.remedy != nil })
    }
  }

  @Test("what is expected of the files is expected of files that are there")
  func names() {
    #expect(Set(Self.refusals.keys).union(Self.laxer).isSubset(of: PyTorchCase.all.map(\.name)))
    #expect(PyTorchCase.all.count { $0.tensors != nil && Self.refusals[$0.name] == nil } >= 14)
  }

  @Test("a file cut short anywhere is refused", arguments: ["by hand", "by hand, zip64"])
  func truncated(name: String) throws {
    let bytes = try #require(PyTorchCase.all.first { $0.name == name }).bytes
    for length in 0..<bytes.count {
      folder.write(Array(bytes.prefix(length)), to: "x.bin")
      #expect(throws: Failure.self, "\(length)") { try Checkpoint.open(folder("x.bin")) }
    }
  }

  @Test("a file with any byte changed is refused, or read within its bounds")
  func changed() throws {
    let bytes = try #require(PyTorchCase.all.first { $0.name == "by hand, zip64" }).bytes
    for place in bytes.indices {
      for change: UInt8 in [0x01, 0xFF] {
        var damaged = bytes
        damaged[place] ^= change
        folder.write(damaged, to: "x.bin")
        guard let checkpoint = try? Checkpoint.open(folder("x.bin")) else { continue }
        #expect(checkpoint.tensors.allSatisfy { $0.range.upperBound <= bytes.count })
      }
    }
  }

  @Test("tensors that share bytes are each there, and named in a warning")
  func shared() throws {
    folder.write(try #require(PyTorchCase.all.first { $0.name == "views of one storage" }).bytes, to: "pytorch_model.bin")
    let warnings = try Checkpoint.open(folder.path).warnings
    #expect(warnings.map(\.code) == [.tensorsShared])
    #expect(warnings[0].message.hasSuffix("whole, rows, row"))
  }

  @Test("a call is refused by the name of what it calls, and where")
  func call() throws {
    folder.write(try #require(PyTorchCase.all.first { $0.name == "calls os.system, protocol 2" }).bytes, to: "pytorch_model.bin")
    let failure = #expect(throws: Failure.self) { try Checkpoint.open(folder.path) }
    let problem = try #require(failure?.problems.first)
    #expect(problem.message.contains("posix.system"))
    #expect(problem.file == folder("pytorch_model.bin").string)
    #expect(problem.byte != nil)
  }
}

@Suite("Pickles")
struct PickleTests {
  private func code(_ program: [UInt8], valueLimit: Int = 1000) -> Problem.Code? {
    var machine = PickleMachine(program, file: "f", start: 0, valueLimit: valueLimit)
    do throws(Failure) {
      _ = try machine.stateDict()
      return nil
    } catch {
      return error.problems[0].code
    }
  }

  @Test(
    "what nests or grows without end costs bounded memory, and no recursion",
    arguments: [
      ("tuples in each other", [0x85]), ("marks", [0x28]), ("dicts", [0x7D]), ("things kept", [0x72, 1, 2, 3, 4]),
      ("things recalled", [0x71, 0, 0x68, 0]),
    ] as [(String, [UInt8])])
  func bombs(name: String, step: [UInt8]) {
    #expect(code([0x29] + Array(repeatElement(step, count: 1001).joined())) == .pickleTooLarge)
  }

  @Test("very deep tuples are let go without recursion")
  func deep() {
    #expect(code([0x29] + [UInt8](repeating: 0x85, count: 300_000) + [0x2E], valueLimit: 400_000) == .stateDictInvalid)
  }

  @Test("tuples that double in number do not double in memory")
  func doubling() {
    // t = (); t = (t, t), again and again.
    let program: [UInt8] = [0x29] + Array(repeatElement([0x71, 0, 0x68, 0, 0x86], count: 300).joined()) + [0x2E]
    #expect(code(program) == .stateDictInvalid)
  }
}
