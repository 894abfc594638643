#!/usr/bin/env bash
# Films the built-in world as somebody's own camera would, imports the films with nothing known of their motion nor of the
# camera, trains on video alone, which learns the camera as well, and evaluates.
#
#     bash configs/own_camera/own_camera.sh [--OPTION VALUE ...]
#
# From the environment, with the defaults:
#
#     OWN_DIR     logs/own_camera   gets videos/, data/ and the run; what is there is gone on with
#     VIDEOS      16                streets that are filmed, of every eight one to validate and one to test on
#     SECONDS_EACH 20               of each film
#     FPS         30
#     HEIGHT      64                of the films and of the networks' input
#     WIDTH       224
#     STEPS       3200
#     FOV         90                field of view of the camera that films, degrees across
#     CAMERA      unknown           or known: the films are then imported with the camera's file, and it is not learned
#     PYTHON                        the interpreter; by default `python` if it has Paddle, else .venv, made here
#
# Further arguments go to the training, after all else.
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
