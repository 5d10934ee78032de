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
python=${PYTHON:-python3}                   # has NeMo: README.md says how
clinasr=${CLINASR:-clinasr-tui}
base_rows=${BASE_ROWS:-60000} base_minutes=${BASE_MINUTES:-8}
short=${SHORT_EPOCHS:-3} long=${LONG_EPOCHS:-12}
words=${WORDS:-/usr/share/dict/american-english}
script=$NEMO_ROOT/examples/asr/speech_to_text_finetune.py
place=(--backend local --python "$python" --root "$workspace/root")

# What is needed, all of it looked at before anything is made.
lacking=0
lacks() { # lacks WHAT WHAT-TO-DO: one line for each thing
    printf 'run.sh: %s. %s\n' "$1" "$2" >&2
    lacking=1
}

command -v "$clinasr" >/dev/null ||
    lacks "$clinasr is no command here" "Install it (pip install . in its clone), or name it: CLINASR=PROGRAM"
command -v espeak-ng >/dev/null || lacks "espeak-ng is not installed" "sudo apt install espeak-ng"
[[ -s $words ]] ||
    lacks "there is no list of words in $words" "sudo apt install wamerican, or name another: WORDS=FILE"
[[ -f $script ]] || lacks "$script is not there" "Name the folder of a NeMo checkout: NEMO_ROOT=DIR"

# soxr comes with NeMo's speech part, nemo_toolkit[asr]. The last line is the answer, or the error.
said=$("$python" -c 'import nemo, soundfile, soxr, tomllib, torch; print(torch.cuda.is_available())' 2>&1) || true
case ${said##*$'\n'} in
    True) ;;
    False)
        if [[ ${CUDA_VISIBLE_DEVICES-all} ]] && nvidia-smi -L 2>/dev/null | grep GPU >/dev/null; then
            lacks "there is a GPU, but torch cannot use it" \
                "Ask $python -c 'import torch; torch.zeros(1).cuda()' why; to do without: CUDA_VISIBLE_DEVICES="
        else
            printf 'run.sh: no CUDA GPU: a small RNNT on the CPU, for trying the script\n' >&2
            place+=(--cpu)
        fi
        ;;
    *) lacks "$python lacks what NeMo brings (${said##*$'\n'})" \
        "pip install '.[nemo]' in the clone of clinasr-tui, or name the Python that has it: PYTHON=PROGRAM" ;;
esac

if [[ ! $base_rows =~ ^[1-9][0-9]{2,6}$ || $base_rows -le 300 ]]; then
    lacks "BASE_ROWS is $base_rows" "Give a number above 300: so many are held out of the base's training"
else
    above=$workspace
    until [[ -d $above ]]; do above=$(dirname "$above"); done
    free=$(df -Pk "$above" | awk 'NR == 2 { print $4 }')
    held=$(du -sk "$workspace" 2>/dev/null | cut -f1 || true)
    # In kB: 115 for each clip of the base's set, 3 GB for the runs' checkpoints and all else.
    wanted=$((3000000 + 115 * base_rows - ${held:-0}))
    ((free >= wanted)) ||
        lacks "$above has $((free / 1000000)) GB free, $((wanted / 1000000)) GB are needed" \
            "Make room, take another disk, or less speech: BASE_ROWS=N"
fi
((lacking == 0)) || exit 2

show() { # show COMMAND…: say it, as it could be typed, and run it
    printf '\n=='
    printf ' %q' "$@"
    printf '\n'
    "$@"
}

step() { # step FILE COMMAND…: run the command unless the file it makes is there
    local made=$1
    shift
    if [[ -e $made ]]; then
        printf '\n== %s is there\n' "$made"
    else
        show "$@"
    fi
}

cycle=$workspace/cycle1 general=$workspace/general/manifest.jsonl base=$workspace/base.nemo
mkdir -p "$workspace"
[[ -e $workspace/clinasr.toml ]] || cat >"$workspace/clinasr.toml" <<'TOML'
name = "espeak-demo"

[gate]
priority = ["drug"]
base = "base.nemo"
TOML

step "$workspace/base/train.jsonl" "$python" "$here/synthesise.py" "$workspace" \
    --base-rows "$base_rows" --words "$words"
step "$base" "$python" "$here/train_base.py" "$workspace/base" "$base" \
    --nemo-root "$NEMO_ROOT" --minutes "$base_minutes"

"$clinasr" check "$cycle/manifest.jsonl"
step "$cycle/per_sample.json" "$clinasr" eval "$cycle" --model "$base" --general "$general" "${place[@]}"
"$clinasr" gate "$cycle" --first-eval
step "$cycle/train.jsonl" "$clinasr" split "$cycle/manifest.jsonl"

outcome() { # outcome RUN: finished, running, failed, … as its folder tells it
    "$clinasr" watch "$1" --once --json | sed -n 's/.*"outcome": "\([a-z]*\)".*/\1/p' || true
}

tune() { # tune NAME EPOCHS CYCLE: the stock script, watched to its end; then the next cycle's figures
    local run=$cycle/models/$1 found=new
    local train=("$clinasr" train "$cycle" --run "$1" --nemo-root "$NEMO_ROOT" --epochs "$2" --batch-size 4)
    [[ ! -e $run/training_run_info.json ]] || found=$(outcome "$run")
    case $found in
        new) show "${train[@]}" "${place[@]}" ;;
        finished) printf '\n== %s is there\n' "$run" ;;
        diverged) ;; # nor are its checkpoints any good: `watch` says what to do
        # Cut off (a kill, a reboot), it goes on from its last checkpoint. One that lives is refused that: 3.
        *) show "${train[@]}" "${place[@]}" --resume || (($? == 3)) ;;
    esac
    [[ $found == finished ]] || "$clinasr" watch "$run"
    step "$run/adapted_model.nemo" "$clinasr" fetch "$run"
    step "$workspace/cycle$3" "$clinasr" eval "$cycle" --run "$1" --out-cycle "$3" \
        --general "$general" "${place[@]}"
}

tune "sft$short" "$short" 2
tune "sft$long" "$long" 3
"$clinasr" compare "$cycle" "$workspace/cycle2"
"$clinasr" compare "$workspace/cycle2" "$workspace/cycle3"
printf '\nLook at it:  %q %q\n' "$clinasr" "$workspace"
