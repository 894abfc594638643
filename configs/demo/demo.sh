#!/usr/bin/env bash
# The demo: makes a driving world, pretrains in it, finetunes at a higher resolution, evaluates on streets that it has not
# seen, predicts, and writes a report. Needs no data, no download but the packages, and no GPU.
#
#     bash configs/demo/demo.sh [--OPTION VALUE ...]
#
# From the environment, with the defaults:
#
#     DEMO_DIR         logs/demo   gets world/, pretrain/, finetune/ and predictions/; what is there is gone on with
#     FRAMES           640         stereo frames of the world
#     STEPS            300         of pretraining
#     FINETUNE_STEPS   100
#     HEIGHT           64          of pretraining
#     WIDTH            224
#     FINETUNE_HEIGHT  96          and of the world's images
#     FINETUNE_WIDTH   320
#     PYTHON                       the interpreter; by default `python` if it has Paddle, else .venv, made here
#
# Further arguments go to both training stages, after all else.
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." > /dev/null && pwd)"

started=$SECONDS
python="$(bash "$root/tools/venv.sh")"
dir="${DEMO_DIR:-logs/demo}"
world="$dir/world"
config=(--config "$root/configs/demo/demo.yml" --data_path "$world")
# From scratch, stereo pairs alone find shape and scale soonest: a pose network would have its motion to learn first.
# A demo that was stopped goes on where it was.
training=("${config[@]}" --frame_ids 0 --model_name demo --resume auto --keep_checkpoints 1)
pretrain_size=(--height "${HEIGHT:-64}" --width "${WIDTH:-224}")
finetune_size=(--height "${FINETUNE_HEIGHT:-96}" --width "${FINETUNE_WIDTH:-320}")
pretrained="$dir/pretrain/demo/models/weights_best"
finetuned="$dir/finetune/demo/models/weights_best"

step() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - started)); }

step "A driving world: $world"
"$python" "$root/tools/make_synthetic.py" --out "$world" --frames "${FRAMES:-640}" "${finetune_size[@]}"

step "Pretraining on stereo pairs"
"$python" "$root/train.py" "${training[@]}" "${pretrain_size[@]}" --max_steps "${STEPS:-300}" \
    --log_dir "$dir/pretrain" "$@"

step "Finetuning at a higher resolution"
"$python" "$root/train.py" "${training[@]}" "${finetune_size[@]}" --max_steps "${FINETUNE_STEPS:-100}" \
    --learning_rate 3e-4 --load_weights_folder "$pretrained" --log_dir "$dir/finetune" "$@"

step "Evaluation on streets that were not trained on"
"$python" "$root/tools/evaluate_baselines.py" "${config[@]}"
for weights in "$pretrained" "$finetuned"; do
    "$python" "$root/evaluate_depth.py" "${config[@]}" --eval_mono --load_weights_folder "$weights"
done

step "Prediction"
drive="$(head -n 1 "$world/splits/synthetic/test_files.txt" | cut -d " " -f 1)"
"$python" "$root/predict.py" "$world/$drive/image_02/data" --load_weights_folder "$finetuned" \
    --output_dir "$dir/predictions"

step "Report"
"$python" "$root/tools/report.py" "$dir/finetune/demo"

step "Done"
echo "Open $dir/finetune/demo/report.html; predictions are in $dir/predictions."
