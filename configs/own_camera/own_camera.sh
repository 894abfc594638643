#!/usr/bin/env bash
# Render videos of the built-in world, import them without known motion or camera, train on monocular video with learned
# intrinsics, and evaluate.
#
#     bash configs/own_camera/own_camera.sh [--OPTION VALUE ...]
#
# Environment variables and their defaults:
#
#     OWN_DIR       logs/own_camera   output: videos/, data/ and the run; existing ones are resumed
#     VIDEOS        16                videos, one per street; of every eight, one is for validation and one for test
#     SECONDS_EACH  20                duration of each video, seconds
#     FPS           30                frame rate, frames per second
#     HEIGHT        64                height of the videos and the network input, pixels
#     WIDTH         224               width of the videos and the network input, pixels
#     STEPS         3200              training steps
#     FOV           90                horizontal FOV of the camera, degrees
#     CAMERA        unknown           or known: import with the camera file, and do not learn the intrinsics
#     PYTHON                          interpreter; default: `python` if it has Paddle, else .venv, which is created
#
# Further arguments are passed to the training, and override all others.
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." > /dev/null && pwd)"

dir="${OWN_DIR:-logs/own_camera}"
data=(--dataset folder --data_path "$dir/data" --num_workers 1)
weights="$dir/own/models/weights_best"
case "${CAMERA:-unknown}" in
    unknown) camera=() learn=(--learn_intrinsics) ;;
    known) camera=(--camera "$dir/videos/camera.json") learn=() ;;
    *) echo "error: CAMERA: got $CAMERA, expected known or unknown" >&2; exit 2 ;;
esac
python="$(bash "$root/tools/venv.sh")"

if [ ! -f "$dir/videos/camera.json" ]; then
    "$python" "$root/tools/make_video.py" --out "$dir/videos" --videos "${VIDEOS:-16}" --seconds "${SECONDS_EACH:-20}" \
        --fps "${FPS:-30}" --height "${HEIGHT:-64}" --width "${WIDTH:-224}" --fov "${FOV:-90}"
fi
"$python" "$root/tools/import_video.py" "$dir"/videos/*.mp4 --depth "$dir"/videos/*_depth --out "$dir/data" \
    --height "${HEIGHT:-64}" --width "${WIDTH:-224}" ${camera[@]+"${camera[@]}"}
"$python" "$root/train.py" "${data[@]}" --log_dir "$dir" --model_name own --resume auto --weights_init scratch \
    --batch_size 4 --learning_rate 1e-4 --num_epochs 1000 --max_steps "${STEPS:-3200}" --save_frequency 1000 \
    --scheduler_step_size 1000 ${learn[@]+"${learn[@]}"} "$@"
"$python" "$root/tools/evaluate_baselines.py" "${data[@]}"
"$python" "$root/evaluate_depth.py" "${data[@]}" --eval_mono --load_weights_folder "$weights"
