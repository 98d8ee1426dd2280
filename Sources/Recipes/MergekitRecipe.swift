import Diagnostics
import Planning

/// A recipe of mergekit that means an extrapolation or interpolation between two models (github.com/arcee-ai/mergekit,
/// docs/merge_methods.md and `mergekit/config.py`).
///
/// - `task_arithmetic` with one model: out = base + lambda·weight·(model - base).
/// - `linear` with two: out = weight·model + weight'·model', the weights together 1 or made so by `normalize`.
///
/// Weights may be numbers, lists over the depth, and lists of filters, which are parts of names of tensors.
struct MergekitRecipe {
  /// A value for some tensors.
  private struct Conditional {
    /// A part of a name; nil for all others.
    let filter: String?
    let values: [Double]
  }

  private let root: YAMLNode
  private let entries: [(key: String, value: YAMLNode)]

  init(_ entries: [(key: String, value: YAMLNode)], _ root: YAMLNode) {
    self.entries = entries
    self.root = root
  }

  func converted() throws(Failure) -> RecipeFile {
    let known: Set = ["merge_method", "base_model", "models", "parameters", "dtype", "out_dtype"]
    for (key, value) in entries where !known.contains(key) {
      throw value.refusal(
        "expomerge does not do what '\(key)' of mergekit asks for",
        remedy: "a merge of two whole models by task_arithmetic or linear can be run; remove the key if its meaning does not matter")
    }
    guard let method = value("merge_method"), let models = value("models") else { throw root.refusal("a recipe of mergekit needs models") }
    var file: RecipeFile
    switch try method.text("merge_method") {
    case "task_arithmetic": file = try taskArithmetic(models)
    case "linear": file = try linear(models)
    case let other:
      throw method.refusal(
        "'\(other)' is not an extrapolation between two models", remedy: "expomerge runs task_arithmetic with one model, and linear with two")
    }
    if let dtype = value("out_dtype") ?? value("dtype") {
      let names = ["bfloat16": "bf16", "float16": "f16", "float32": "f32", "float64": "f64"]
      let text = try dtype.text("dtype")
      guard let name = names[text] else { throw dtype.refusal("the dtype '\(text)' is not one of \(names.keys.sorted().joined(separator: ", "))") }
      file.settings.append(.init("dtype", name))
    }
    return file
  }

  private func value(_ key: String) -> YAMLNode? { entries.first { $0.key == key }?.value }

  // MARK: methods

  private func taskArithmetic(_ models: YAMLNode) throws(Failure) -> RecipeFile {
    guard let base = value("base_model") else { throw root.refusal("task_arithmetic needs a base_model") }
    let baseName = try base.text("base_model")
    // The base may be listed, with nothing said about it.
    let others = try self.models(models).filter { $0.name != baseName || $0.weight != nil }
    guard others.count == 1, let model = others.first, model.name != baseName else {
      throw models.refusal("task_arithmetic with \(others.count) models is not an extrapolation between two")
    }
    let parameters = try parameters()
    if parameters.normalize == true { throw root.refusal("task_arithmetic with normalize makes every weight 1", remedy: "set normalize: false") }
    guard let weights = model.weight else { throw models.refusal("\(model.name) has no weight") }
    let lambda = parameters.lambda ?? [Conditional(filter: nil, values: [1])]
    guard weights.count == 1 && weights[0].filter == nil && weights[0].values.count == 1
      || lambda.count == 1 && lambda[0].filter == nil && lambda[0].values.count == 1
    else { throw root.refusal("weight and lambda are both lists", remedy: "multiply them, and make one of them a number") }
    let isScaledByWeight = weights.count == 1 && weights[0].filter == nil && weights[0].values.count == 1
    let factor = isScaledByWeight ? weights[0].values[0] : lambda[0].values[0]
    let products = (isScaledByWeight ? lambda : weights).map { Conditional(filter: $0.filter, values: $0.values.map { $0 * factor }) }
    // Away from the model: the base is what is gone beyond.
    let isReversed = products.allSatisfy { $0.values.allSatisfy { $0 <= 0 } } && products.contains { $0.values.contains { $0 < 0 } }
    let alphas = products.map { Conditional(filter: $0.filter, values: $0.values.map { isReversed ? 0 - $0 : $0 - 1 }) }
    return try recipe(sft: isReversed ? model.name : baseName, aligned: isReversed ? baseName : model.name, alphas)
  }

  private func linear(_ models: YAMLNode) throws(Failure) -> RecipeFile {
    let two = try self.models(models)
    guard two.count == 2, two[0].name != two[1].name else {
      throw models.refusal("linear with \(two.count) models is not an extrapolation between two")
    }
    if let base = value("base_model") { throw base.refusal("linear has no use for a base_model", remedy: "remove it") }
    let parameters = try parameters()
    if parameters.lambda != nil { throw root.refusal("linear has no lambda", remedy: "remove it") }
    let weights = try two.map { (model) throws(Failure) in
      guard let weight = model.weight else { throw models.refusal("\(model.name) has no weight") }
      return weight
    }
    guard weights[0].count == weights[1].count, zip(weights[0], weights[1]).allSatisfy({ $0.filter == $1.filter && $0.values.count == $1.values.count })
    else { throw models.refusal("the weights of the two models differ in their filters or in how many they are") }
    let isFirstAligned = (weights[0].last?.values.max() ?? 0) > (weights[1].last?.values.max() ?? 0)
    let (aligned, sft) = isFirstAligned ? (0, 1) : (1, 0)
    // mergekit's default for linear.
    let isNormalized = parameters.normalize ?? true
    let alphas = try zip(weights[aligned], weights[sft]).map { (own, other) throws(Failure) -> Conditional in
      let values = try zip(own.values, other.values).map { (own, other) throws(Failure) -> Double in
        let sum = own + other
        if isNormalized && abs(sum) > 1e-6 { return own / sum - 1 }
        guard abs(sum - 1) <= 1e-6 else {
          throw models.refusal("the weights \(own) and \(other) are \(sum) together, not 1", remedy: "with another sum it is no extrapolation")
        }
        return own - 1
      }
      return Conditional(filter: own.filter, values: values)
    }
    return try recipe(sft: two[sft].name, aligned: two[aligned].name, alphas)
  }

  private func recipe(sft: String, aligned: String, _ alphas: [Conditional]) throws(Failure) -> RecipeFile {
    var file = RecipeFile()
    file.settings = [.init("sft", sft), .init("aligned", aligned)]
    // In mergekit as here, the first that fits is taken.
    for conditional in alphas {
      if let filter = conditional.filter {
        if filter.unicodeScalars.contains(";") { throw root.refusal("the filter '\(filter)' has a semicolon, and no tensor has") }
        let escaped = filter.unicodeScalars.map { "*?[]\\".unicodeScalars.contains($0) ? "\\\($0)" : String($0) }.joined()
        file.rules.append(AlphaRule(glob: "*\(escaped)*", alphas: conditional.values))
      } else if conditional.values.count > 1 {
        file.rules.append(AlphaRule(alphas: conditional.values))
      }
    }
    guard let others = alphas.first(where: { $0.filter == nil }) else {
      throw root.refusal("tensors that no filter fits have no weight", remedy: "add a value without a filter")
    }
    file.settings.append(.init("alpha", "\(others.values[0])"))
    file.notes = ["config and tokenizer come from \(aligned), and elements are computed in f32, whatever mergekit's dtype"]
    return file
  }

  // MARK: parts

  private func models(_ node: YAMLNode) throws(Failure) -> [(name: String, weight: [Conditional]?)] {
    guard node.isList else { throw node.refusal("models is not a list") }
    return try node.items.map { (item) throws(Failure) in
      var name: String?
      var weight: [Conditional]?
      for (key, value) in try item.entries("a model") {
        switch key {
        case "model": name = try value.text(key)
        case "parameters":
          for (key, value) in try value.entries("parameters") {
            guard key == "weight" else { throw value.refusal("expomerge has no parameter '\(key)' of mergekit") }
            weight = try conditionals(value, key)
          }
        default: throw value.refusal("expomerge does not know '\(key)' of a model of mergekit")
        }
      }
      guard let name else { throw item.refusal("a model has no name") }
      return (name, weight)
    }
  }

  private func parameters() throws(Failure) -> (normalize: Bool?, lambda: [Conditional]?) {
    var (normalize, lambda): (Bool?, [Conditional]?)
    for (key, value) in try value("parameters")?.entries("parameters") ?? [] {
      switch key {
      case "normalize": normalize = try value.truth(key)
      case "lambda": lambda = try conditionals(value, key)
      // It is only about integers.
      case "int8_mask": break
      default: throw value.refusal("expomerge has no parameter '\(key)' of mergekit")
      }
    }
    return (normalize, lambda)
  }

  /// A number, a list of them, or a list of maps of filter and value.
  private func conditionals(_ node: YAMLNode, _ what: String) throws(Failure) -> [Conditional] {
    func values(_ node: YAMLNode) throws(Failure) -> [Double] {
      let values = try node.items.map { (item) throws(Failure) in try item.number(what) }
      guard !values.isEmpty else { throw node.refusal("\(what) is an empty list") }
      return values
    }
    guard node.items.contains(where: \.isMap) else { return [Conditional(filter: nil, values: try values(node))] }
    return try node.items.map { (item) throws(Failure) in
      var (filter, found): (String?, [Double]?)
      for (key, value) in try item.entries(what) {
        switch key {
        case "filter": filter = try value.text(key)
        case "value": found = try values(value)
        default: throw value.refusal("a filter of mergekit has no '\(key)'")
        }
      }
      guard let found else { throw item.refusal("\(what) has a filter without a value") }
      return Conditional(filter: filter == "*" ? nil : filter, values: found)
    }
  }
}
