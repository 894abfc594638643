#!/usr/bin/env bash
# The main job: pretrain with stereo pairs, finetune at a higher resolution from the best weights, and evaluate both
# stages. It runs from any folder; paths are relative to the current one.
#
#     DATA_PATH=/data/kitti LOG_DIR=logs bash configs/monodepthv2/mdp.sh [--OPTION VALUE ...]
#
# Environment variables and their defaults:
#
#     DATA_PATH        data/kitti   folder of the dataset
#     LOG_DIR          logs         output: pretrain/ and finetune/
#     SPLIT            eigen_zhou   training split: a folder, or a name in splits/ or DATA_PATH/splits/
#     EVAL_SPLIT       eigen        evaluation split, likewise
#     EPOCHS           20           epochs of pretraining
#     FINETUNE_EPOCHS  2            epochs of finetuning
#     HEIGHT           192          input height of pretraining, pixels
#     WIDTH            640          input width of pretraining, pixels
#     FINETUNE_HEIGHT  320          input height of finetuning, pixels
#     FINETUNE_WIDTH   1024         input width of finetuning, pixels
#     GPUS             0            GPUs to train on, as 0,1,2,3; "cpu" or empty for none
#     PYTHON                        interpreter; default: `python` if it has Paddle, else .venv, which is created
#
# On several GPUs, Paddle's launcher starts one process per GPU for each stage. It reads further environment variables:
# PADDLE_NNODES, PADDLE_MASTER and PADDLE_RANK for several machines, PADDLE_NPROC_PER_NODE for several processes on a
# CPU (docs/distributed.md).
#
# Add `--resume auto` to resume an interrupted job; completed stages are skipped.
#
# Further arguments are passed to both training stages and to the evaluations, since options such as --png,
# --depth_network and --device must be the same in all. --eval_stereo selects stereo-scaled evaluation instead of median
# scaling. Arguments override what a stage sets (--config, --batch_size, --learning_rate). They do not override the
# variables above, nor the paths that connect the stages (--log_dir, --eval_out_dir, and --load_weights_folder after
# pretraining).
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." > /dev/null && pwd)"

python="$(bash "$root/tools/venv.sh")"
log_dir="${LOG_DIR:-logs}"
pretrain_size=(--height "${HEIGHT:-192}" --width "${WIDTH:-640}")
finetune_size=(--height "${FINETUNE_HEIGHT:-320}" --width "${FINETUNE_WIDTH:-1024}")
data=(--data_path "${DATA_PATH:-data/kitti}" --split "${SPLIT:-eigen_zhou}" --eval_split "${EVAL_SPLIT:-eigen}")
defaults=(--config "$root/configs/monodepthv2/mdp.yml")

gpus="${GPUS-0}"
gpus="${gpus// /,}"
case "$gpus" in
    "" | cpu) defaults+=(--device cpu) ;;
    *) export CUDA_VISIBLE_DEVICES="$gpus" ;;
esac
launch=false
case "$gpus ${PADDLE_NNODES:-}${PADDLE_NPROC_PER_NODE:-}" in
    *,* | *" "?*) launch=true ;;
esac

# The path of the weights contains the name of the run, and --eval_mono and --eval_stereo exclude each other.
model_name=monodepthv2
scaling=--eval_mono
previous=""
for argument in "$@"; do
    case "$argument" in
        --model_name=*) model_name="${argument#*=}" ;;
        --eval_stereo) scaling=--eval_stereo ;;
    esac
    if [ "$previous" = --model_name ]; then model_name="$argument"; fi
    previous="$argument"
done

# stage SCRIPT NAME EPOCHS ARGUMENTS...: run a training stage in $log_dir/NAME. Later options override earlier ones.
stage() {
    local script="$1" name="$2" epochs="$3"
    shift 3
    local command=("$python")
    if $launch && [ "$script" = train.py ]; then
        command+=(-m paddle.distributed.launch --log_dir "$log_dir/$name/launch")
    fi
    "${command[@]}" "$root/$script" "$@" "${data[@]}" --num_epochs "$epochs" \
        --log_dir "$log_dir/$name" --model_name "$model_name"
}

# evaluate WEIGHTS ARGUMENTS...: evaluate weights, and write metrics.json into their folder.
evaluate() {
    local weights="$1"
    shift
    "$python" "$root/evaluate_depth.py" "${defaults[@]}" "$scaling" "$@" "${data[@]}" \
        --load_weights_folder "$weights" --eval_out_dir "$weights"
}

pretrained="$log_dir/pretrain/$model_name/models/weights_best"
finetuned="$log_dir/finetune/$model_name/models/weights_best"

finetune() {
    stage "$1" finetune "${FINETUNE_EPOCHS:-2}" "${defaults[@]}" --batch_size 4 --learning_rate 5e-5 "${@:2}" \
        "${finetune_size[@]}" --load_weights_folder "$pretrained"
}

# Validate the options of finetuning now, not after days of pretraining.
finetune options.py "$@" > /dev/null
stage train.py pretrain "${EPOCHS:-20}" "${defaults[@]}" "$@" "${pretrain_size[@]}"
finetune train.py "$@"
# With several machines, only the first one evaluates.
if [ "${PADDLE_RANK:-0}" != 0 ]; then exit; fi
evaluate "$pretrained" "$@" "${pretrain_size[@]}"
evaluate "$finetuned" "$@" "${finetune_size[@]}"

echo "Weights and metrics.json, pretrained: $pretrained"
echo "Weights and metrics.json, finetuned:  $finetuned"
