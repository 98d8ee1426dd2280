import Checkpoint
import Diagnostics
import Keys
import Planning
import Recipes
import Wire

/// A parser of bytes that others made. Whatever they are, it says no or gives something that holds what later code counts on.
public enum FuzzTarget: String, CaseIterable, Sendable {
  /// Three bytes, little-endian, that say how many bytes of data follow the header; the header's JSON.
  case header
  case index
  case config
  case description
  case wire
  case certificate
  /// YAML, of expomerge or of mergekit.
  case recipe
  /// A file: its directory, and where the entries' data are.
  case zip
  case pickle

  /// Parses, and checks what comes of it.
  public func run(_ bytes: UnsafeRawBufferPointer) {
    switch self {
    case .header: header(bytes)
    case .index: index(Array(bytes))
    case .config: config(Array(bytes))
    case .description: description(Array(bytes))
    case .wire: wire(bytes)
    case .certificate: certificate(bytes)
    case .recipe: recipe(bytes)
    case .zip: zip(Array(bytes))
    case .pickle: pickle(Array(bytes))
    }
  }

  private func header(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= 3 else { return }
    let data = Int(bytes[0]) | Int(bytes[1]) << 8 | Int(bytes[2]) << 16
    let json = UnsafeRawBufferPointer(rebasing: bytes[3...])
    let size = 8 + json.count + data
    let parsed = json.withMemoryRebound(to: UInt8.self) { json in
      try? SafetensorsHeader.parse(json: json, fileSize: size, file: "f")
    }
    guard let parsed else { return }
    precondition(parsed.dataStart == 8 + json.count && parsed.fileSize == size)
    var end = 0
    for tensor in parsed.tensors {
      precondition(tensor.range.lowerBound == end && tensor.range.upperBound <= data)
      precondition(tensor.elementCount * tensor.dtype.bits == tensor.range.count * 8)
      precondition(tensor.shape.allSatisfy { $0 >= 0 })
      end = tensor.range.upperBound
    }
    precondition(end == data)
    precondition(Set(parsed.tensors.map(\.name)).count == parsed.tensors.count)
  }

  private func recipe(_ bytes: UnsafeRawBufferPointer) {
    let options = RecipeFile.Options(valued: ["alpha", "sft", "aligned"], flags: ["sha256"])
    guard let text = String(validating: bytes, as: UTF8.self), let recipe = try? RecipeFile(text, file: "f", options: options) else { return }
    for rule in recipe.rules { precondition((try? AlphaRule(text: rule.text)) == rule) }
    for setting in recipe.settings { precondition(setting.value != nil || setting.name == "sha256") }
  }

  private func index(_ bytes: [UInt8]) {
    guard let index = try? CheckpointIndex.parse(json: bytes, file: "f") else { return }
    for name in index.weightMap.values {
      precondition(!name.isEmpty && !name.contains("/") && name != "." && name != ".." && !name.utf8.contains(0))
    }
    let again = try? CheckpointIndex.parse(json: index.encoded(totalSize: 1, totalParameters: 1), file: "f")
    precondition(again == index)
  }

  private func config(_ bytes: [UInt8]) {
    guard let config = try? ModelConfig(json: bytes, file: "f") else { return }
    let changed = config.json(withDType: "float32")
    precondition((try? ModelConfig(json: changed, file: "f")) != nil)
    let dequantised = try? ModelConfig(json: config.json(withDType: "bfloat16", isDequantised: true), file: "f")
    precondition(dequantised != nil && (dequantised?.quantisation == nil || config.quantisation?.method == "compressed-tensors"))
  }

  private func description(_ bytes: [UInt8]) {
    guard let plan = try? JobDescription.plan(from: bytes) else { return }
    var shards = 0
    for file in plan.files {
      precondition(file.firstShard == shards && file.size > 0)
      shards += file.shardCount
    }
    precondition(shards == plan.shardCount)
    for number in 0..<min(shards, 100) {
      let shard = plan.shard(number)
      for segment in plan.segments(of: shard) {
        precondition(segment.output.lowerBound >= shard.range.lowerBound && segment.output.upperBound <= shard.range.upperBound)
        for source in [segment.aligned, segment.sft].compactMap({ $0 }) {
          if let gathering = source.gathering {
            let span = gathering.layout.span(of: gathering.elements)
            precondition(source.range == gathering.start + span.lowerBound..<gathering.start + span.upperBound)
          }
          guard let scaling = source.scaling, source.gathering == nil else { continue }
          let (all, part) = (scaling.scales.range, scaling.source.range)
          precondition(scaling.elements.count == source.range.count && part.clamped(to: all) == part)
        }
      }
    }
    let again = try? JobDescription.plan(from: JobDescription(plan).encoded())
    precondition(again?.fingerprint == plan.fingerprint)
  }

  private func wire(_ bytes: UnsafeRawBufferPointer) {
    func again<Value: Equatable>(_ value: Value, _ encoded: [UInt8], _ decode: (UnsafeRawBufferPointer) throws -> Value) {
      precondition((try? encoded.withUnsafeBytes { try decode($0) }) == value)
    }
    if let message = try? Inbound.decode(bytes) {
      switch message {
      case .worker(let envelope): again(message, envelope.encoded(), Inbound.decode)
      case .client(let request, let number): again(message, request.encoded(request: number), Inbound.decode)
      }
    }
    if let envelope = try? CoordinatorEnvelope.decode(bytes) { again(envelope, envelope.encoded(), CoordinatorEnvelope.decode) }
    if let message = try? DataMessage.decode(bytes) { again(message, message.encoded(), DataMessage.decode) }
    if let (reply, number) = try? ClientReply.decode(bytes) {
      again(reply, reply.encoded(request: number)) { try ClientReply.decode($0).reply }
    }
  }

  private func certificate(_ bytes: UnsafeRawBufferPointer) {
    guard let certificate = try? Certificate(parsing: bytes, file: "f") else { return }
    // What others say of a key need not be what this program would write.
    let again = PublicKey(z85: certificate.publicKey.z85)
    precondition(again == certificate.publicKey)
  }

  private func zip(_ bytes: [UInt8]) {
    let tail = Array(bytes.suffix(ZipDirectory.tailLength))
    guard let directory = try? ZipDirectory(tail: tail, fileSize: bytes.count, file: "f"),
      let entries = try? directory.entries(Array(bytes[directory.range]))
    else { return }
    precondition(Set(entries.map(\.name)).count == entries.count)
    for entry in entries {
      let header = Array(bytes[entry.start..<entry.start + entry.headerLength])
      guard let place = try? directory.place(of: entry, header: header) else { continue }
      precondition(place.count == entry.size && place.lowerBound >= entry.start + header.count)
      precondition(place.upperBound <= directory.range.lowerBound)
    }
  }

  private func pickle(_ bytes: [UInt8]) {
    var machine = PickleMachine(bytes, file: "f", start: 0)
    guard let entries = try? machine.stateDict() else { return }
    precondition(Set(entries.map(\.name)).count == entries.count)
    // Storages as large as the pickle says, as far as a file could be.
    var storages: [String: Range<Int>] = [:]
    for (_, tensor) in entries {
      let size = tensor.storage.elementCount.multipliedReportingOverflow(by: (tensor.storage.dtype?.bits ?? 8) / 8)
      if !size.overflow, (0...1 << 50).contains(size.partialValue) { storages[tensor.storage.key] = 100..<100 + size.partialValue }
    }
    let end = storages.values.map(\.upperBound).max() ?? 100
    guard let header = try? PyTorchHeader(entries, storages: storages, dataStart: 100, fileSize: end, file: "f") else { return }
    precondition(header.tensors.count == entries.count)
    for tensor in header.tensors {
      precondition(tensor.range.lowerBound >= 100 && tensor.range.upperBound <= end)
      precondition(tensor.elementCount * tensor.dtype.bits == tensor.range.count * 8 || tensor.layout?.spanBytes == tensor.range.count)
      precondition(tensor.shape.allSatisfy { $0 >= 0 })
    }
  }
}
