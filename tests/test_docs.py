"""The documents: links that lead somewhere, options that exist, and the Chinese README beside the English one."""

import re
import subprocess
import sys
from collections import Counter
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
# Scripts whose further options are those of training.
PASS_ON = (
    *("configs/monodepthv2/mdp.sh", "configs/demo/demo.sh"),
    *("tools/report.py", "tools/benchmark.py", "tools/step_cost.py"),
)

# Of Paddle's launcher, which docs/distributed.md tells of.
LAUNCHER = {"--nproc_per_node", "--nnodes", "--master", "--rank", "--max_restart", "--elastic_level", "--log_dir"}


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    """The fenced blocks."""
    return re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S)


def prose(text: str) -> str:
    """All but the fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def spans(text: str) -> list[str]:
    """Code within the prose, each on one line."""
    return [re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", prose(text))]


def links(text: str) -> list[str]:
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(text)) if not link.startswith("http")]


def anchors(path: Path) -> set[str]:
    """What the headings of a document are linked by."""
    titles = re.findall(r"^#+ (.*)$", prose(text_of(path)), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(text: str) -> list[list[str]]:
    """Words of each call of a script, from the script on, in blocks and within prose."""
    lines = [line for block in blocks(text) for line in block.replace("\\\n", " ").splitlines()]
    found = (
        re.search(r"(?:python|bash) +((?:[\w./-]+/)?[\w-]+\.(?:py|sh)\b.*)", line) for line in [*lines, *spans(text)]
    )
    return [re.split(r"[\s\[\]]+", match[1].split(" # ")[0]) for match in found if match]


@cache
def options_of(script: str) -> frozenset[str]:
    """The options of a script, as itself or, of a shell script, its text tells them."""
    if script.endswith(".sh"):
        told = text_of(ROOT / script)
    else:
        command = [sys.executable, script, "--help"]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True).stdout
    found = frozenset(re.findall(r"--\w[\w-]*", told))
    return found | options_of("train.py") if script in PASS_ON else found


@pytest.fixture(scope="module")
def used() -> dict[str, dict[str, set[str]]]:
    """Script -> option -> the documents that use it."""
    found: dict[str, dict[str, set[str]]] = {}
    for path in DOCUMENTS:
        for script, *words in commands(text_of(path)):
            options = found.setdefault(script, {})
            for word in words:
                if word.startswith("--"):
                    options.setdefault(word.split("=")[0], set()).add(str(path.relative_to(ROOT)))
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for link in links(text_of(path)):
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), f"{path}: there is no {link}"
        if anchor:
            assert anchor in anchors(file), f"{path}: {file} has no heading for #{anchor}"


def test_the_index_names_every_document():
    index = ROOT / "docs" / "README.md"
    named = {(index.parent / link).resolve() for link in links(text_of(index))}
    others = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".md", ".ipynb") and path != index]
    assert [path for path in others if path not in named] == []


def test_commands_name_scripts_and_options_that_exist(used):
    scripts = [script for script in used if (ROOT / script).is_file()]
    assert len(scripts) > 8
    for script in set(used) - set(scripts):
        raise AssertionError(f"there is no {script}, which {used[script]} call")
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(options_of, scripts))
    for script, options in used.items():
        unknown = {option: where for option, where in options.items() if option not in options_of(script)}
        assert not unknown, f"{script} has no such options: {unknown}"
    every = frozenset().union(*map(options_of, scripts), {"--no-"}, LAUNCHER)
    for path in DOCUMENTS:
        for span in spans(text_of(path)):
            if span.startswith("--"):
                assert span.split()[0].split("=")[0] in every, f"{path}: no script has {span}"


def test_the_chinese_readme_has_the_same_commands():
    """What is added to one README is missed in the other here."""
    english, chinese = text_of(ENGLISH), text_of(CHINESE)
    assert blocks(chinese) == blocks(english)
    assert Counter(spans(chinese)) == Counter(spans(english))
    assert Counter(links(chinese)) - Counter(links(english)) == Counter(["README.md"])
    assert Counter(links(english)) - Counter(links(chinese)) == Counter(["README_zh-CN.md"])


def test_the_chinese_readme_has_the_same_headings_and_figures():
    english, chinese = text_of(ENGLISH), text_of(CHINESE)
    for text in (english, chinese):
        assert re.search(r"^# ", text)
    levels = [re.findall(r"^(#+) ", prose(text), re.M) for text in (chinese, english)]
    assert levels[0] == levels[1]
    rows = [[line for line in prose(text).splitlines() if line.startswith("|")] for text in (chinese, english)]
    figures = [[re.findall(r"\d+\.\d+", row) for row in table] for table in rows]
    assert figures[0] == figures[1]


def test_the_original_has_no_option_that_is_not_told():
    """All options of the original stand in the document for those who come from it."""
    original = """
        data_path log_dir model_name split num_layers dataset png height width disparity_smoothness scales min_depth
        max_depth use_stereo frame_ids batch_size learning_rate num_epochs scheduler_step_size v1_multiscale
        avg_reprojection disable_automasking predictive_mask no_ssim weights_init pose_model_input
        pose_model_type no_cuda num_workers load_weights_folder models_to_load log_frequency save_frequency
        eval_stereo eval_mono disable_median_scaling pred_depth_scale_factor ext_disp_to_eval eval_split
        save_pred_disps no_eval eval_eigen_to_benchmark eval_out_dir post_process
    """
    told = text_of(ROOT / "docs" / "coming_from_the_original.md")
    assert [name for name in original.split() if f"`--{name}`" not in told] == []
    same = told.split("These have the same name, meaning and default:")[1].split("These differ")[0]
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
    for name in re.findall(r"`--(\w+)`", same):
        if name == "num_layers":
            assert OPTION_FIELDS["depth_network"].default == "resnet18"
        elif name != "no_cuda":
            assert OPTION_FIELDS[name].default == defaults.get(name, False), name
