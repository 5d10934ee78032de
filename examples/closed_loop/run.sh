#!/usr/bin/env bash
# The whole flywheel on one machine with a GPU, in about half an hour. README.md beside this says what it needs.
#
#   NEMO_ROOT=…/NeMo examples/closed_loop/run.sh WORKSPACE
#
# What is there already is not made again: start it anew after an interruption.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
workspace=${1:?usage: NEMO_ROOT=DIR run.sh WORKSPACE}
: "${NEMO_ROOT:?the folder of a NeMo checkout}"
python=${PYTHON:-python3}                   # has NeMo: pip install 'clinasr-tui[nemo]'
clinasr=${CLINASR:-clinasr-tui}
base_rows=${BASE_ROWS:-60000} base_minutes=${BASE_MINUTES:-8}
short=${SHORT_EPOCHS:-3} long=${LONG_EPOCHS:-12}
words=${WORDS:-/usr/share/dict/american-english}
place=(--backend local --python "$python" --root "$workspace/root")
if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    place+=(--cpu)                          # slow: for trying the script itself
fi

step() { # step FILE COMMAND…: run the command unless the file it makes is there
    local made=$1
    shift
    if [[ -e $made ]]; then
        printf '\n== %s is there\n' "$made"
    else
        printf '\n== %s\n' "$*"
        "$@"
    fi
}

cycle=$workspace/cycle1 general=$workspace/general/manifest.jsonl base=$workspace/base.nemo
mkdir -p "$workspace"
[[ -e $workspace/clinasr.toml ]] || cat >"$workspace/clinasr.toml" <<TOML
name = "espeak-demo"

[gate]
priority = ["drug"]
base = "$base"
TOML

step "$workspace/base/train.jsonl" "$python" "$here/synthesise.py" "$workspace" \
    --base-rows "$base_rows" --words "$words"
step "$base" "$python" "$here/train_base.py" "$workspace/base" "$base" \
    --nemo-root "$NEMO_ROOT" --minutes "$base_minutes"

$clinasr check "$cycle/manifest.jsonl"
step "$cycle/per_sample.json" $clinasr eval "$cycle" --model "$base" --general "$general" "${place[@]}"
$clinasr gate "$cycle" --base "$base" --first-eval
step "$cycle/train.jsonl" $clinasr split "$cycle/manifest.jsonl"

tune() { # tune NAME EPOCHS CYCLE: the stock script, watched to its end; then the next cycle's figures
    local run=$cycle/models/$1
    step "$run" $clinasr train "$cycle" --run "$1" --base "$base" --nemo-root "$NEMO_ROOT" \
        --epochs "$2" --batch-size 4 "${place[@]}"
    $clinasr watch "$run"
    step "$run/adapted_model.nemo" $clinasr fetch "$run"
    step "$workspace/cycle$3" $clinasr eval "$cycle" --run "$1" --out-cycle "$3" --general "$general" "${place[@]}"
}

tune "sft$short" "$short" 2
tune "sft$long" "$long" 3
$clinasr compare "$cycle" "$workspace/cycle2"
$clinasr compare "$workspace/cycle2" "$workspace/cycle3"
echo
echo "Look at it:  $clinasr $workspace"
