"""Rules for combinations of options. Each problem is one message that says what to do."""

from collections.abc import Iterator
from typing import Any

from common.option_types import nearest
from common.registry import CORRUPTIONS, DEPTH_SCALES
from common.text_files import abbreviate

Options = Any  # options.Options, which imports this module


def contradictions(options: Options) -> Iterator[str]:
    """Yield the conflicts between options, for training and evaluation alike."""
    for name in ("height", "width"):
        size = getattr(options, name)
        if size % 32:
            below = size // 32 * 32
            yield f"--{name}: got {size}, allowed: multiples of 32, for example {below} or {below + 32}"
    if options.frame_ids[0] != 0:
        yield f"--frame_ids: got {options.frame_ids}, allowed: lists that begin with 0, the target frame"
    elif not options.source_frames and not options.supervise_depth:
        yield (
            "--frame_ids contains only the target frame: add source frames (--frame_ids 0 -1 1), or pass --use_stereo "
            "or --supervise_depth"
        )
    if 0 not in options.scales:
        yield f"--scales: got {options.scales}, allowed: lists that contain 0, the scale of predictions"
    possible = DEPTH_SCALES.get(options.depth_network, options.scales)
    if not set(options.scales) <= set(possible):
        allowed = " ".join(map(str, possible))
        network = options.depth_network
        yield f"--scales: got {options.scales}, allowed with --depth_network {network}: {allowed}; omit --scales"
    if options.min_depth >= options.max_depth:
        yield f"--min_depth {options.min_depth} is not below --max_depth {options.max_depth}"
    if options.predictive_mask and not options.disable_automasking:
        yield "--predictive_mask replaces auto-masking: pass --disable_automasking too"
    if options.predictive_mask and not options.source_frames:
        yield "--predictive_mask weighs source frames: add some (--frame_ids 0 -1 1), or pass --use_stereo"
    for role, name in (("predictive_mask", "predictive_mask"), ("intrinsics", "learn_intrinsics")):
        if role in options.models_to_load and not getattr(options, name):
            yield f"--models_to_load contains {role}, a network that exists only with --{name}"
    for name in ("learn_intrinsics", "velocity_weight"):
        if getattr(options, name) and (options.pose_model_type == "posecnn" or not options.frame_ids[1:]):
            yield (
                f"--{name} requires temporal sources (--frame_ids 0 -1 1), and --pose_model_type separate_resnet or "
                "shared"
            )
    if options.velocity_weight and options.use_stereo:
        yield "--velocity_weight is for monocular training: with --use_stereo, the stereo pairs set the scale"
    if options.separate_stereo and not (options.use_stereo and len(options.frame_ids) > 1):
        yield "--separate_stereo requires --use_stereo and temporal sources (--frame_ids 0 -1 1)"
    yield from _map_contradictions(options)
    yield from _corruption_contradictions(options)
    yield from _recipe_contradictions(options)
    if options.sync_bn and options.freeze_bn:
        yield "--freeze_bn leaves no statistics to synchronise: omit --sync_bn"
    if options.eval_mono and options.eval_stereo:
        yield "--eval_mono and --eval_stereo exclude each other: choose one way of scaling"


def _map_contradictions(options: Options) -> Iterator[str]:
    """Yield the conflicts between the options of maps that accompany the images."""
    if options.depth_hints is not None and not options.use_stereo:
        yield "--depth_hints requires --use_stereo: a hint is followed where it explains the stereo pair better"
    late = (options.pseudo_label_late_weight, options.pseudo_label_late_epoch)
    if (late[0] is None) != (late[1] is None):
        yield "--pseudo_label_late_weight and --pseudo_label_late_epoch belong together: pass both"
    elif late[1] is not None and options.pseudo_labels is None:
        yield "--pseudo_label_late_epoch has no effect without --pseudo_labels"
    if options.crop_scale > 1:
        yield f"--crop_scale: got {options.crop_scale:g}, allowed: above 0, at most 1, the whole image"
    if (options.crop_scale, options.crop_aspect) == (1, 1):
        return
    crops = f"--crop_scale {options.crop_scale:g} --crop_aspect {options.crop_aspect:g}"
    if options.cache != "none":
        yield f"{crops}: crops are cut from the images at their own size, which --cache does not have: omit --cache"
    if options.learn_intrinsics:
        yield f"{crops}: each crop has its own intrinsics, but --learn_intrinsics learns those of a camera: omit one"


def _corruption_contradictions(options: Options) -> Iterator[str]:
    """Yield the conflicts between the options of corrupted images."""
    if options.corrupt_training > 1:
        yield f"--corrupt_training: got {options.corrupt_training:g}, allowed: a probability, from 0 to 1"
    for word in ("none", "all"):
        if word in options.corruptions and len(options.corruptions) > 1:
            yield f"--corruptions: got {' '.join(options.corruptions)}, allowed: {word} alone, or a list of names"
    for name in options.corruptions:
        if name not in (*CORRUPTIONS, "none", "all"):
            yield (
                f"--corruptions: got {abbreviate(name)}, the nearest is {nearest(name, CORRUPTIONS)}; allowed: all, "
                f"none, or some of {', '.join(CORRUPTIONS)}"
            )


def _recipe_contradictions(options: Options) -> Iterator[str]:
    """Yield the conflicts between the options of the optimizer and of its learning rate."""
    if options.weight_decay is not None and options.optimizer != "adamw":
        yield f"--weight_decay has no effect with --optimizer {options.optimizer}: pass --optimizer adamw"
    if options.pose_learning_rate is not None and not options.frame_ids[1:]:
        yield "--pose_learning_rate requires a pose network, hence temporal sources (--frame_ids 0 -1 1)"
    if options.min_learning_rate and options.lr_schedule != "cosine":
        yield "--min_learning_rate is the end of the cosine schedule: pass --lr_schedule cosine"
    if options.min_learning_rate >= options.learning_rate:
        yield f"--min_learning_rate {options.min_learning_rate} is not below --learning_rate {options.learning_rate}"
    if options.warmup_epochs >= options.num_epochs:
        yield f"--warmup_epochs {options.warmup_epochs} is not below --num_epochs {options.num_epochs}"


def evaluation_problems(options: Options) -> Iterator[str]:
    """Yield what prevents depth evaluation, and options that it would ignore."""
    if not (options.eval_mono or options.eval_stereo):
        yield "pass --eval_mono (median scaling, or --eval_alignment) or --eval_stereo (the dataset's stereo factor)"
    if options.eval_stereo and options.pred_depth_scale_factor != 1.0:
        yield "--eval_stereo ignores --pred_depth_scale_factor: pass --eval_mono and --disable_median_scaling"
    for name, default in (("eval_alignment", "median"), ("eval_alignment_scope", "image")):
        fixed = "eval_stereo" if options.eval_stereo else "disable_median_scaling"
        given = name in options.explicitly_set or getattr(options, name) != default
        if given and getattr(options, fixed):
            yield f"--{name} fits predictions to the ground truth, but --{fixed} leaves them: omit one of them"
    if options.eval_split_name == "benchmark" and not (options.eval_stereo or options.disable_median_scaling):
        yield (
            "--eval_split benchmark has no local ground truth for median scaling: pass --eval_stereo (the dataset's "
            "stereo factor), or --eval_mono with --disable_median_scaling and --pred_depth_scale_factor"
        )
    yield from _corruption_problems(options)
    if options.no_eval and not options.save_pred_disps:
        yield "--no_eval without --save_pred_disps leaves nothing to do"
    for name in ("compare_published", "uncertainty"):
        if getattr(options, name) and (options.no_eval or options.eval_split_name == "benchmark"):
            why = "--no_eval" if options.no_eval else "the benchmark split has no local ground truth"
            yield f"--{name} needs scores, which this evaluation does not compute ({why}): omit it"
    if options.ext_disp_to_eval is None:
        if options.load_weights_folder is None:
            yield "nothing to evaluate: pass --load_weights_folder, or --ext_disp_to_eval (saved disparities)"
        if options.eval_eigen_to_benchmark and options.eval_split not in ("eigen", "eigen_benchmark"):
            yield f"--eval_eigen_to_benchmark scores eigen_benchmark: omit --eval_split {options.eval_split}"
        return
    for name in ("load_weights_folder", "post_process", "save_pred_disps", "no_eval", "uncertainty"):
        if getattr(options, name):
            yield f"--{name} is for prediction, but --ext_disp_to_eval scores saved disparities: omit one of them"


def _corruption_problems(options: Options) -> Iterator[str]:
    """Yield what prevents the evaluation of corruptions."""
    if options.corruptions == ("none",):
        if options.corruptions_baseline is not None:
            yield "--corruptions_baseline is compared with the scores of corruptions: pass --corruptions all too"
        return
    if options.ext_disp_to_eval is not None:
        yield "--corruptions predicts corrupted images: pass --load_weights_folder instead of --ext_disp_to_eval"
    if options.no_eval:
        yield "--corruptions scores, but --no_eval does not: omit one of them"
    if options.eval_split_name == "benchmark":
        yield "--corruptions needs ground truth, but --eval_split benchmark has none: choose another split"
    if options.eval_alignment_scope == "dataset":
        yield "--corruptions scores image by image: omit --eval_alignment_scope dataset"


def pose_evaluation_problems(options: Options) -> Iterator[str]:
    """Yield what prevents pose evaluation, and options that it would ignore."""
    if options.load_weights_folder is None:
        yield "nothing to evaluate: pass --load_weights_folder"
    if options.eval_stereo and options.pred_depth_scale_factor != 1.0:
        yield "--eval_stereo ignores --pred_depth_scale_factor: pass --disable_median_scaling instead of --eval_stereo"
    for name in ("ext_disp_to_eval", "post_process", "save_pred_disps"):
        if getattr(options, name):
            yield f"--{name} is for depth evaluation: omit it, or run evaluate_depth.py"
    frames = sorted(options.frame_ids)
    if options.pose_model_input == "all" and (len(frames) < 2 or frames != list(range(frames[0], frames[-1] + 1))):
        yield f"--frame_ids: got {options.frame_ids}, expected consecutive frames, for example --frame_ids 0 -1 1"
