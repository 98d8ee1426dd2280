/// The tensors of a well-known architecture, for trying things out and for measuring.
public enum ModelShape: String, Sendable, CaseIterable {
  /// A Llama of two layers: 0.1 million parameters.
  case tiny
  /// TinyLlama: 1.1 billion parameters.
  case llama1B = "llama-1b"
  /// Llama 2: 6.7 billion parameters.
  case llama7B = "llama-7b"
  /// Llama 2: 69 billion parameters.
  case llama70B = "llama-70b"
  /// DeepSeek-V3: 671 billion parameters in 256 experts a layer, without scales and without the layer for
  /// multi-token prediction.
  case deepseek671B = "deepseek-671b"

  public struct Tensor: Sendable {
    public let name: String
    public let shape: [Int]
  }

  public var tensors: [Tensor] {
    switch self {
    case .tiny, .llama1B, .llama7B, .llama70B: llama.tensors
    case .deepseek671B: deepseek
    }
  }

  // MARK: Llama

  struct Llama {
    let hidden, intermediate, layers, heads, keyValueHeads, vocabulary: Int

    var tensors: [Tensor] {
      let keyValue = hidden / heads * keyValueHeads
      var tensors = [Tensor(name: "model.embed_tokens.weight", shape: [vocabulary, hidden])]
      for layer in 0..<layers {
        let prefix = "model.layers.\(layer)."
        tensors += [
          Tensor(name: prefix + "input_layernorm.weight", shape: [hidden]),
          Tensor(name: prefix + "self_attn.q_proj.weight", shape: [hidden, hidden]),
          Tensor(name: prefix + "self_attn.k_proj.weight", shape: [keyValue, hidden]),
          Tensor(name: prefix + "self_attn.v_proj.weight", shape: [keyValue, hidden]),
          Tensor(name: prefix + "self_attn.o_proj.weight", shape: [hidden, hidden]),
          Tensor(name: prefix + "post_attention_layernorm.weight", shape: [hidden]),
          Tensor(name: prefix + "mlp.gate_proj.weight", shape: [intermediate, hidden]),
          Tensor(name: prefix + "mlp.up_proj.weight", shape: [intermediate, hidden]),
          Tensor(name: prefix + "mlp.down_proj.weight", shape: [hidden, intermediate]),
        ]
      }
      tensors += [
        Tensor(name: "model.norm.weight", shape: [hidden]), Tensor(name: "lm_head.weight", shape: [vocabulary, hidden]),
      ]
      return tensors
    }
  }

  var llama: Llama {
    switch self {
    case .tiny:
      Llama(hidden: 64, intermediate: 128, layers: 2, heads: 4, keyValueHeads: 2, vocabulary: 256)
    case .llama1B:
      Llama(hidden: 2048, intermediate: 5632, layers: 22, heads: 32, keyValueHeads: 4, vocabulary: 32000)
    case .llama7B, .deepseek671B:
      Llama(hidden: 4096, intermediate: 11008, layers: 32, heads: 32, keyValueHeads: 32, vocabulary: 32000)
    case .llama70B:
      Llama(hidden: 8192, intermediate: 28672, layers: 80, heads: 64, keyValueHeads: 8, vocabulary: 32000)
    }
  }

  // MARK: DeepSeek-V3

  private var deepseek: [Tensor] {
    let hidden = 7168
    var tensors = [Tensor(name: "model.embed_tokens.weight", shape: [129280, hidden])]
    func mlp(_ prefix: String, _ width: Int) -> [Tensor] {
      [
        Tensor(name: prefix + "gate_proj.weight", shape: [width, hidden]),
        Tensor(name: prefix + "up_proj.weight", shape: [width, hidden]),
        Tensor(name: prefix + "down_proj.weight", shape: [hidden, width]),
      ]
    }
    for layer in 0..<61 {
      let prefix = "model.layers.\(layer)."
      tensors += [
        Tensor(name: prefix + "input_layernorm.weight", shape: [hidden]),
        Tensor(name: prefix + "post_attention_layernorm.weight", shape: [hidden]),
        Tensor(name: prefix + "self_attn.q_a_proj.weight", shape: [1536, hidden]),
        Tensor(name: prefix + "self_attn.q_a_layernorm.weight", shape: [1536]),
        Tensor(name: prefix + "self_attn.q_b_proj.weight", shape: [24576, 1536]),
        Tensor(name: prefix + "self_attn.kv_a_proj_with_mqa.weight", shape: [576, hidden]),
        Tensor(name: prefix + "self_attn.kv_a_layernorm.weight", shape: [512]),
        Tensor(name: prefix + "self_attn.kv_b_proj.weight", shape: [32768, 512]),
        Tensor(name: prefix + "self_attn.o_proj.weight", shape: [hidden, 16384]),
      ]
      if layer < 3 {
        tensors += mlp(prefix + "mlp.", 18432)
      } else {
        tensors += [
          Tensor(name: prefix + "mlp.gate.weight", shape: [256, hidden]),
          Tensor(name: prefix + "mlp.gate.e_score_correction_bias", shape: [256]),
        ]
        for expert in 0..<256 { tensors += mlp(prefix + "mlp.experts.\(expert).", 2048) }
        tensors += mlp(prefix + "mlp.shared_experts.", 2048)
      }
    }
    tensors += [
      Tensor(name: "model.norm.weight", shape: [hidden]), Tensor(name: "lm_head.weight", shape: [129280, hidden]),
    ]
    return tensors
  }
}
