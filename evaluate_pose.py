"""Evaluate camera motion on a sequence: predict it, score it against the true poses, and save and plot the trajectory.

Example:
    python evaluate_pose.py --eval_split odom_9 --load_weights_folder DIR --data_path DIR
"""

from pathlib import Path

from common.atomic_files import check_writable
from common.command_help import POSE_EVALUATION
from common.environment import prepare_environment, run_script
from evaluation.metrics.pose_metrics import PoseEvaluation
from evaluation.odometry import open_sequence, report_motions
from inference.from_options import with_local_weights
from inference.split_prediction import predict_motions
from options import Options, parse_options


def main() -> None:
    """Parse the options and evaluate."""
    opt = parse_options(description=__doc__, command=POSE_EVALUATION)
    opt.check_for_pose_evaluation()
    prepare_environment()
    evaluate(opt)


def evaluate(opt: Options) -> PoseEvaluation | None:
    """Run the protocol, print the metrics, and write metrics and trajectory to the output folder.

    Returns:
        The metrics; None with ``--no_eval``.

    Raises:
        DataError: Images or true poses are missing or damaged.
        UserError: The output folder is not writable.
        WeightsError: The weights are missing or damaged, or do not fit the networks.
    """
    opt = with_local_weights(opt)
    check_writable(Path(opt.eval_out_dir or str(opt.load_weights_folder)))
    sequence = open_sequence(opt)
    return report_motions(opt, sequence, predict_motions(opt, sequence.dataset))


if __name__ == "__main__":
    run_script(main)
