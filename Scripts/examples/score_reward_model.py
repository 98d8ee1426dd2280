"""Scores a checkpoint by what a reward model says of its answers: for expomerge search.

    expomerge search --sft SFT --aligned ALIGNED --range 0.1:0.5:0.1 --output DIR \\
      --score-command 'python score_reward_model.py {model} --reward REWARD --prompts prompts.jsonl'

Each line of the prompts is JSON: {"prompt": "..."}, or {"messages": [{"role": "user", "content": "..."}]}. The checkpoint
answers greedily, so that the same checkpoint has the same score; the reward model, any of
AutoModelForSequenceClassification with one output, is asked about prompt and answer. The last line is the mean reward.

Prompts that chose alpha say nothing about how good the model is: keep others for that.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer


def read_prompts(path: str, limit: int | None) -> list[list[dict[str, str]]]:
    conversations = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            entry = json.loads(line)
            messages = entry.get("messages") or [{"role": "user", "content": entry["prompt"]}]
            if messages[-1]["role"] != "user":
                sys.exit(f"{path}, line {number}: the last message must be the user's")
            conversations.append(messages)
    if not conversations:
        sys.exit(f"{path} has no prompts")
    return conversations[:limit]


def as_text(tokenizer, messages: list[dict[str, str]], *, for_answer: bool) -> str:
    """By the chat template, where there is one."""
    if tokenizer.chat_template:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=for_answer)
    text = "\n\n".join(message["content"] for message in messages)
    return text + "\n\n" if for_answer else text


def encode(tokenizer, texts: list[str], limit: int, side: str, device: torch.device) -> dict[str, torch.Tensor]:
    """A batch. The start of what is too long is left out."""
    tokenizer.padding_side, tokenizer.truncation_side = side, "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    # A chat template has the special tokens already.
    batch = tokenizer(
        texts, return_tensors="pt", padding=True, truncation=True, max_length=limit,
        add_special_tokens=not tokenizer.chat_template, return_token_type_ids=False,
    )
    return {name: values.to(device) for name, values in batch.items()}


def load(kind, path: str, device: torch.device):
    model, report = kind.from_pretrained(path, dtype="auto", output_loading_info=True)
    # transformers fills them with random numbers and only warns.
    if report["missing_keys"]:
        sys.exit(f"{path} has no weights for {', '.join(sorted(report['missing_keys'])[:5])}")
    return model.to(device).eval()


def batches(items: list, size: int):
    return (items[start : start + size] for start in range(0, len(items), size))


@torch.inference_mode()
def answer(options: argparse.Namespace, prompts: list[list[dict[str, str]]], device: torch.device) -> list[str]:
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = load(AutoModelForCausalLM, options.model, device)
    answers = []
    for batch in batches(prompts, options.batch_size):
        texts = [as_text(tokenizer, messages, for_answer=True) for messages in batch]
        inputs = encode(tokenizer, texts, options.max_length, "left", device)
        outputs = model.generate(
            **inputs, max_new_tokens=options.max_new_tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id
        )
        answers += tokenizer.batch_decode(outputs[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        print(f"{len(answers)} of {len(prompts)} prompts answered", file=sys.stderr)
    return answers


@torch.inference_mode()
def reward(
    options: argparse.Namespace, prompts: list[list[dict[str, str]]], answers: list[str], device: torch.device
) -> list[float]:
    tokenizer = AutoTokenizer.from_pretrained(options.reward)
    model = load(AutoModelForSequenceClassification, options.reward, device)
    if model.config.num_labels != 1:
        sys.exit(f"{options.reward} has {model.config.num_labels} outputs; a reward model has one")
    conversations = [
        messages + [{"role": "assistant", "content": text}] for messages, text in zip(prompts, answers, strict=True)
    ]
    rewards: list[float] = []
    for batch in batches(conversations, options.batch_size):
        texts = [as_text(tokenizer, messages, for_answer=False) for messages in batch]
        inputs = encode(tokenizer, texts, options.max_length, "right", device)
        if model.config.pad_token_id is None:
            model.config.pad_token_id = tokenizer.pad_token_id
        rewards += model(**inputs).logits[:, 0].float().tolist()
    return rewards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="CHECKPOINT", help="the model that answers")
    parser.add_argument("--reward", required=True, metavar="MODEL", help="the reward model: a folder, or a name on the hub")
    parser.add_argument("--prompts", required=True, metavar="FILE", help="prompts, a JSON object a line")
    parser.add_argument("--limit", type=int, metavar="N", help="use the first N prompts")
    parser.add_argument("--max-new-tokens", type=int, default=512, metavar="N")
    parser.add_argument("--max-length", type=int, default=2048, metavar="N", help="tokens of a prompt, or of prompt and answer")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()

    prompts = read_prompts(options.prompts, options.limit)
    device = torch.device(options.device)
    answers = answer(options, prompts, device)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    rewards = reward(options, prompts, answers, device)
    print(sum(rewards) / len(rewards))


if __name__ == "__main__":
    main()
