"""A small language model that names its tensors as InternLM2 does. Saved beside its weights, as models with code of their own are."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class TinyInternLM2Config(PretrainedConfig):
    model_type = "tiny_internlm2"

    def __init__(self, vocab_size=128, hidden_size=64, intermediate_size=160, num_hidden_layers=3, tie_word_embeddings=False, **others):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        super().__init__(tie_word_embeddings=tie_word_embeddings, **others)


class Attention(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.wqkv = nn.Linear(size, 3 * size, bias=False)
        self.wo = nn.Linear(size, size, bias=False)

    def forward(self, x):
        query, key, value = self.wqkv(x).chunk(3, dim=-1)
        return self.wo(nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True))


class FeedForward(nn.Module):
    def __init__(self, size, inner):
        super().__init__()
        self.w1 = nn.Linear(size, inner, bias=False)
        self.w2 = nn.Linear(inner, size, bias=False)
        self.w3 = nn.Linear(size, inner, bias=False)

    def forward(self, x):
        return self.w2(nn.functional.silu(self.w1(x)) * self.w3(x))


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.attention = Attention(config.hidden_size)
        self.feed_forward = FeedForward(config.hidden_size, config.intermediate_size)
        self.attention_norm = nn.RMSNorm(config.hidden_size)
        self.ffn_norm = nn.RMSNorm(config.hidden_size)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.ffn_norm(x))


class Body(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size)

    def forward(self, ids):
        x = self.tok_embeddings(ids)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class TinyInternLM2ForCausalLM(PreTrainedModel):
    config_class = TinyInternLM2Config
    base_model_prefix = "model"

    def __init__(self, config):
        super().__init__(config)
        self.model = Body(config)
        self.output = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            module.weight.data.normal_(std=0.02)

    def get_input_embeddings(self):
        return self.model.tok_embeddings

    def forward(self, input_ids, **_):
        return CausalLMOutput(logits=self.output(self.model(input_ids)))
