#!/bin/sh
# Scores a checkpoint by lm-eval (EleutherAI's lm-evaluation-harness; pip install 'lm-eval[hf]'): for expomerge search.
#
#   expomerge search --sft SFT --aligned ALIGNED --range 0.1:0.5:0.1 --output DIR \
#     --score-command 'sh score_lm_eval.sh {model} gsm8k exact_match,strict-match'
#
# The metric is named as in the results of lm-eval, with its filter: acc,none, acc_norm,none, exact_match,strict-match.
# LM_EVAL_OPTIONS has more of its options, as in LM_EVAL_OPTIONS='--num_fewshot 5 --batch_size auto --device cuda:0'.
set -eu
[ $# -eq 3 ] || { echo "usage: $0 CHECKPOINT TASK METRIC" >&2; exit 64; }
model=$1 task=$2 metric=$3

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
trap 'exit 143' TERM INT

# What it prints goes to standard error, as the score is the last line of standard output.
# shellcheck disable=SC2086  # options are several words
lm_eval --model hf --model_args "pretrained=$model,dtype=auto" --tasks "$task" --output_path "$results" \
  ${LM_EVAL_OPTIONS:-} >&2

# One file, in a folder that is named after the model.
python3 - "$results" "$task" "$metric" <<'PYTHON'
import json, pathlib, sys

folder, task, metric = sys.argv[1:]
files = sorted(pathlib.Path(folder).rglob("results*.json"))
if len(files) != 1:
    sys.exit(f"lm_eval left {len(files)} files of results")
results = json.loads(files[0].read_text())["results"]
values = results.get(task)
if values is None:
    sys.exit(f"there is no task {task}; there are {', '.join(sorted(results))}")
if not isinstance(values.get(metric), (int, float)):
    numbers = sorted(name for name, value in values.items() if isinstance(value, (int, float)))
    sys.exit(f"there is no metric {metric}; there are {', '.join(numbers)}")
print(values[metric])
PYTHON
