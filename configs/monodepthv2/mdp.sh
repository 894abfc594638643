#!/usr/bin/env bash
# The main job: pretrain with stereo pairs, finetune at a higher resolution from the best weights, and
# evaluate both, each with its own weights. It runs from any folder; paths are relative to that.
#
#     DATA_PATH=/data/kitti LOG_DIR=logs bash configs/monodepthv2/mdp.sh [--OPTION VALUE ...]
#
# From the environment, with the defaults:
#
#     DATA_PATH        data/kitti   folder of the dataset
#     LOG_DIR          logs         gets pretrain/ and finetune/
#     SPLIT            eigen_zhou   trained on: a folder, or a name in splits/ or DATA_PATH/splits/
#     EVAL_SPLIT       eigen        evaluated on, found likewise
#     EPOCHS           20           of pretraining
#     FINETUNE_EPOCHS  2
#     HEIGHT           192          of pretraining
#     WIDTH            640
#     FINETUNE_HEIGHT  320
#     FINETUNE_WIDTH   1024
#     GPUS             0            the GPUs to train on, as 0,1,2,3; "cpu" or empty for none
#     PYTHON                        the interpreter; by default `python` if it has Paddle, else .venv, made here
#
# On several GPUs each stage trains in a process for each of them, started by Paddle's launcher, which takes its own
# settings from the environment too: PADDLE_NNODES, PADDLE_MASTER and PADDLE_RANK for several machines,
# PADDLE_NPROC_PER_NODE for several processes on a CPU (docs/distributed.md).
#
# A job that was stopped goes on with `--resume auto` added: stages that are done are passed over.
#
# Further arguments go to both training stages, and to the evaluations too, since --png, --depth_network or --device
# must be the same there; --eval_stereo scores by the stereo factor in the place of median scaling. They win over
# what a stage sets (--config, --batch_size, --learning_rate), but not over the variables above, nor over what
# ties the stages together (--log_dir, --eval_out_dir, and --load_weights_folder after pretraining).
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

# The run's name is part of its weights' path, and only one way of scaling can be evaluated.
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

# stage SCRIPT NAME EPOCHS ARGUMENTS...: a training stage in $log_dir/NAME; what comes later on a command line wins.
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

# evaluate WEIGHTS ARGUMENTS...: writes metrics.json into the folder of the weights.
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

# A mistake in what finetuning is given shows now, not after days of pretraining.
finetune options.py "$@" > /dev/null
stage train.py pretrain "${EPOCHS:-20}" "${defaults[@]}" "$@" "${pretrain_size[@]}"
finetune train.py "$@"
# Of several machines the first one does the rest.
if [ "${PADDLE_RANK:-0}" != 0 ]; then exit; fi
evaluate "$pretrained" "$@" "${pretrain_size[@]}"
evaluate "$finetuned" "$@" "${finetune_size[@]}"

echo "Weights and metrics.json, pretrained: $pretrained"
echo "Weights and metrics.json, finetuned:  $finetuned"
