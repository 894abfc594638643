#!/usr/bin/env bash
# Generate a driving world, pretrain, finetune at a higher resolution, evaluate on held-out streets, predict, and write
# a report. Needs no data, no GPU, and no download except the Python packages, one of which contains ImageNet weights.
#
#     bash configs/demo/demo.sh [--OPTION VALUE ...]
#
# Environment variables and their defaults:
#
#     DEMO_DIR         logs/demo   output: world/, pretrain/, finetune/, predictions/, report.html; resumed if it exists
#     FRAMES           640         stereo frames of the world
#     STEPS            300         steps of pretraining
#     FINETUNE_STEPS   120         steps of finetuning
#     HEIGHT           64          input height of pretraining, pixels
#     WIDTH            224         input width of pretraining, pixels
#     FINETUNE_HEIGHT  128         input height of finetuning, pixels
#     FINETUNE_WIDTH   448         input width of finetuning, pixels
#     WORLD_HEIGHT     192         height of the world's images, pixels
#     WORLD_WIDTH      640         width of the world's images, pixels
#     PYTHON                       interpreter; default: `python` if it has Paddle, else .venv, which is created
#
# Further arguments are passed to both training stages, and override all others.
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." > /dev/null && pwd)"

started=$SECONDS
python="$(bash "$root/tools/venv.sh")"
dir="${DEMO_DIR:-logs/demo}"
world="$dir/world"
config=(--config "$root/configs/demo/demo.yml" --data_path "$world")
# Stereo pairs alone converge fastest: with monocular frames, the pose network would have to learn first. Small images
# converge fastest, too, because their disparities are small.
# --resume auto resumes an interrupted demo.
training=("${config[@]}" --frame_ids 0 --model_name demo --resume auto --keep_checkpoints 1)
pretrain_size=(--height "${HEIGHT:-64}" --width "${WIDTH:-224}")
finetune_size=(--height "${FINETUNE_HEIGHT:-128}" --width "${FINETUNE_WIDTH:-448}")
world_size=(--height "${WORLD_HEIGHT:-192}" --width "${WORLD_WIDTH:-640}")
pretrained="$dir/pretrain/demo/models/weights_best"
finetuned="$dir/finetune/demo/models/weights_best"

step() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - started)); }

# Reports a mistyped option before the work starts.
"$python" "$root/options.py" "${training[@]}" "$@" > /dev/null

step "Generating the driving world: $world"
"$python" "$root/tools/make_synthetic.py" --out "$world" --frames "${FRAMES:-640}" "${world_size[@]}"

step "Pretraining on stereo pairs"
"$python" "$root/train.py" "${training[@]}" "${pretrain_size[@]}" --max_steps "${STEPS:-300}" \
    --log_dir "$dir/pretrain" "$@"

export MONODEPTH_DEVICE_NOTE=off  # the first stage has reported the device

step "Finetuning at a higher resolution"
"$python" "$root/train.py" "${training[@]}" "${finetune_size[@]}" --max_steps "${FINETUNE_STEPS:-120}" \
    --learning_rate 1.5e-4 --load_weights_folder "$pretrained" --log_dir "$dir/finetune" "$@"

step "Evaluation on held-out streets"
"$python" "$root/tools/evaluate_baselines.py" "${config[@]}"
for weights in "$pretrained" "$finetuned"; do
    "$python" "$root/evaluate_depth.py" "${config[@]}" --eval_mono --load_weights_folder "$weights"
done

# Whichever stage has the lower validation error is shown.
better="$("$python" -c '
import json, sys

def error(run):
    return min(line["abs_rel"] for line in map(json.loads, open(f"{run}/scalars.jsonl")) if line["part"] == "val")

print(min(sys.argv[1:], key=error))' "$dir/finetune/demo" "$dir/pretrain/demo")"

step "Prediction with $better"
drive="$(head -n 1 "$world/splits/synthetic/test_files.txt" | cut -d " " -f 1)"
"$python" "$root/predict.py" "$world/$drive/image_02/data" --load_weights_folder "$better/models/weights_best" \
    --output_dir "$dir/predictions"

step "Report"
"$python" "$root/tools/report.py" "$better" --out "$dir/report.html"

step "Done"
echo "Open $dir/report.html. Predictions are in $dir/predictions, weights in $better/models/weights_best."
