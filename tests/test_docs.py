"""Check the documentation: link targets, the options of commands, and the Chinese README against the English one."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README_zh-CN.md"
DOCUMENTS = [
    *(ENGLISH, CHINESE),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "docs").rglob("*.ipynb")),
    *(ROOT / "splits/README.md", ROOT / "weights/README.md"),
    *sorted((ROOT / "configs").rglob("*.md")),
]
# Scripts that pass further options on to train.py.
PASSING_OPTIONS_ON = (
    *("configs/monodepthv2/mdp.sh", "configs/demo/demo.sh"),
    *("tools/report.py", "tools/benchmark.py", "tools/step_cost.py"),
)

# Options of paddle.distributed.launch (docs/distributed.md).
LAUNCHER = {"--nproc_per_node", "--nnodes", "--master", "--rank", "--max_restart", "--elastic_level", "--log_dir"}


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    """Return the contents of the fenced code blocks."""
    return re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S)


def prose(text: str) -> str:
    """Return the text without its fenced code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def spans(text: str) -> list[str]:
    """Return the inline code of the prose, with line breaks replaced by spaces."""
    return [re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", prose(text))]


def links(text: str) -> list[str]:
    """Return the link targets inside the repository."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(text)) if not link.startswith("http")]


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub derives from the headings of a document."""
    titles = re.findall(r"^#+ (.*)$", prose(text_of(path)), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(text: str) -> list[list[str]]:
    """Split each script call into words, starting with the script; calls are in code blocks and inline code."""
    lines = [line for block in blocks(text) for line in block.replace("\\\n", " ").splitlines()]
    found = (
        re.search(r"(?:python|bash) +((?:[\w./-]+/)?[\w-]+\.(?:py|sh)\b.*)", line) for line in [*lines, *spans(text)]
    )
    return [re.split(r"[\s\[\]]+", match[1].split(" # ")[0]) for match in found if match]


HELP_WITHOUT_PADDLE = """
import runpy, sys
sys.modules["paddle"] = None  # importing it takes seconds: an ImportError
sys.argv = [sys.argv[1], "--help"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@cache
def options_of(script: str) -> frozenset[str]:
    """Return the options of a script: from the text of a shell script, or from ``--help``, which needs no Paddle."""
    if script.endswith(".sh"):
        documented = text_of(ROOT / script)
    else:
        command = [sys.executable, "-c", HELP_WITHOUT_PADDLE, script]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
        documented = result.stdout
    found = frozenset(re.findall(r"--\w[\w-]*", documented))
    return found | options_of("options.py") if script in PASSING_OPTIONS_ON else found


@pytest.fixture(scope="module")
def used() -> dict[str, dict[str, set[str]]]:
    """Map each script to its options, and each option to the documents that use it."""
    found: dict[str, dict[str, set[str]]] = {}
    for path in DOCUMENTS:
        for script, *words in commands(text_of(path)):
            options = found.setdefault(script, {})
            for word in words:
                if word.startswith("--"):
                    options.setdefault(word.split("=")[0], set()).add(str(path.relative_to(ROOT)))
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_link_targets_exist(path):
    for link in links(text_of(path)):
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), f"{path}: link target {link} not found"
        if anchor:
            assert anchor in anchors(file), f"{path}: #{anchor} matches no heading of {file}"


def test_index_links_every_document():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in links(text_of(index))}
    others = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".md", ".ipynb") and path != index]
    assert [path for path in others if path not in linked] == []


def test_documented_scripts_and_options_exist(used):
    scripts = [script for script in used if (ROOT / script).is_file()]
    assert len(scripts) > 8
    for script in set(used) - set(scripts):
        raise AssertionError(f"{script} not found; used in {used[script]}")
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(options_of, scripts))
    for script, options in used.items():
        unknown = {option: where for option, where in options.items() if option not in options_of(script)}
        assert not unknown, f"{script} does not accept {unknown}"
    every = frozenset().union(*map(options_of, scripts), {"--no-"}, LAUNCHER)
    for path in DOCUMENTS:
        for span in spans(text_of(path)):
            if span.startswith("--"):
                assert span.split()[0].split("=")[0] in every, f"{path}: no script accepts {span}"


def test_chinese_readme_has_the_same_commands():
    """Detect a command that is added to or changed in one README only. The sentences are free to differ."""
    english, chinese = text_of(ENGLISH), text_of(CHINESE)
    assert blocks(chinese) == blocks(english)
    inline = [sorted(span for span in spans(text) if commands(f"`{span}`")) for text in (chinese, english)]
    assert inline[0] == inline[1]


def test_chinese_readme_has_the_same_table_figures():
    rows = [[line for line in prose(text_of(path)).splitlines() if line.startswith("|")] for path in (CHINESE, ENGLISH)]
    figures = [[re.findall(r"\d+\.\d+", row) for row in table] for table in rows]
    assert figures[0] == figures[1]


def test_options_of_the_original_are_documented():
    """Check that ``docs/coming_from_the_original.md`` lists every option, and the defaults it calls equal."""
    original = """
        data_path log_dir model_name split num_layers dataset png height width disparity_smoothness scales min_depth
        max_depth use_stereo frame_ids batch_size learning_rate num_epochs scheduler_step_size v1_multiscale
        avg_reprojection disable_automasking predictive_mask no_ssim weights_init pose_model_input
        pose_model_type no_cuda num_workers load_weights_folder models_to_load log_frequency save_frequency
        eval_stereo eval_mono disable_median_scaling pred_depth_scale_factor ext_disp_to_eval eval_split
        save_pred_disps no_eval eval_eigen_to_benchmark eval_out_dir post_process
    """
    document = text_of(ROOT / "docs" / "coming_from_the_original.md")
    assert [name for name in original.split() if f"`--{name}`" not in document] == []
    # The section lists the equal options first; the options that differ follow in a table.
    same = re.search(r"^## Options\n(.*?)^\|", document, re.M | re.S)[1]
    from options import OPTION_FIELDS

    defaults = {"split": "eigen_zhou", "height": 192, "width": 640, "disparity_smoothness": 1e-3}
    defaults |= {
        "scales": (0, 1, 2, 3),
        "min_depth": 0.1,
        "max_depth": 100.0,
        "frame_ids": (0, -1, 1),
        "batch_size": 12,
    }
    defaults |= {"learning_rate": 1e-4, "num_epochs": 20, "scheduler_step_size": 15, "save_frequency": 1}
    defaults |= {"pose_model_input": "pairs", "pose_model_type": "separate_resnet", "eval_split": "eigen"}
    defaults |= {"pred_depth_scale_factor": 1.0, "models_to_load": ("encoder", "depth", "pose_encoder", "pose")}
    defaults |= {"dataset": "kitti", "load_weights_folder": None, "ext_disp_to_eval": None, "eval_out_dir": None}
    names = re.findall(r"`--(\w+)`", same)
    assert len(names) > 30
    for name in names:
        if name == "num_layers":
            assert OPTION_FIELDS["depth_network"].default == "resnet18"
        elif name != "no_cuda":
            assert OPTION_FIELDS[name].default == defaults.get(name, False), name
