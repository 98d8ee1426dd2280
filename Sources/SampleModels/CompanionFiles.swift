/// The files beside the weights of a sample: what a loader expects to find.
struct CompanionFiles {
  let shape: ModelShape
  /// PyTorch's name.
  let dtype: String

  /// Contents by name.
  var all: [(name: String, contents: String)] {
    [
      ("config.json", config), ("generation_config.json", generationConfig), ("tokenizer.json", tokenizer),
      ("tokenizer_config.json", tokenizerConfig), ("special_tokens_map.json", specialTokens),
    ]
  }

  private var config: String {
    guard shape != .deepseek671B else { return deepseekConfig }
    let llama = shape.llama
    return """
      {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": \(llama.hidden),
        "initializer_range": 0.02,
        "intermediate_size": \(llama.intermediate),
        "max_position_embeddings": 2048,
        "model_type": "llama",
        "num_attention_heads": \(llama.heads),
        "num_hidden_layers": \(llama.layers),
        "num_key_value_heads": \(llama.keyValueHeads),
        "rms_norm_eps": 1e-05,
        "tie_word_embeddings": false,
        "torch_dtype": "\(dtype)",
        "use_cache": true,
        "vocab_size": \(llama.vocabulary)
      }

      """
  }

  private var deepseekConfig: String {
    """
    {
      "architectures": ["DeepseekV3ForCausalLM"],
      "bos_token_id": 1,
      "eos_token_id": 2,
      "first_k_dense_replace": 3,
      "hidden_act": "silu",
      "hidden_size": 7168,
      "intermediate_size": 18432,
      "kv_lora_rank": 512,
      "model_type": "deepseek_v3",
      "moe_intermediate_size": 2048,
      "n_routed_experts": 256,
      "n_shared_experts": 1,
      "num_attention_heads": 128,
      "num_experts_per_tok": 8,
      "num_hidden_layers": 61,
      "num_key_value_heads": 128,
      "q_lora_rank": 1536,
      "qk_nope_head_dim": 128,
      "qk_rope_head_dim": 64,
      "tie_word_embeddings": false,
      "torch_dtype": "\(dtype)",
      "v_head_dim": 128,
      "vocab_size": 129280
    }

    """
  }

  private var generationConfig: String {
    """
    {
      "bos_token_id": 1,
      "eos_token_id": 2,
      "max_length": 2048
    }

    """
  }

  private var tokenizer: String {
    let words = ["<unk>", "<s>", "</s>", "the", "a", "model", "merge", "of", "and", "weights"]
    let vocabulary = words.enumerated().map { "\"\($1)\": \($0)" }.joined(separator: ", ")
    let special = words.prefix(3).enumerated().map { id, word in
      "{\"id\": \(id), \"content\": \"\(word)\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}"
    }.joined(separator: ", ")
    return """
      {
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [\(special)],
        "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": {\(vocabulary)}, "unk_token": "<unk>"}
      }

      """
  }

  private var tokenizerConfig: String {
    """
    {
      "bos_token": "<s>",
      "eos_token": "</s>",
      "model_max_length": 2048,
      "tokenizer_class": "PreTrainedTokenizerFast",
      "unk_token": "<unk>"
    }

    """
  }

  private var specialTokens: String {
    """
    {
      "bos_token": "<s>",
      "eos_token": "</s>",
      "unk_token": "<unk>"
    }

    """
  }
}
