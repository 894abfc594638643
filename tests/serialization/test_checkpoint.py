"""The state of a checkpoint: values of a wrong type are named before training uses them."""

import dataclasses
import json

import pytest

from common.errors import WeightsError
from serialization.checkpoint import STATE_FILE, RunState, read_state

STATE = RunState(
    step=3,
    epoch=0,
    samples_done=3,
    samples=12,
    best=None,
    schedule={},
    compiled=False,
    kernels=True,
    loss_scale=None,
    seconds={"steps": 3},
)
WRONG = [3, "x", None, [], [[]], {"a": "b"}, True, -1, 1e400, "1" * 100000]


def write(folder, content) -> None:
    (folder / STATE_FILE).write_text(content if isinstance(content, str) else json.dumps(content))


def test_a_state_is_read_as_it_was_written(tmp_path):
    state = dataclasses.replace(STATE, best=0.25, loss_scale=1024.0)
    write(tmp_path, dataclasses.asdict(state))
    assert read_state(tmp_path) == state


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(RunState)])
def test_values_of_a_wrong_type_are_named(tmp_path, name):
    """Whether a value fits is known by name: each of these fits a few fields."""
    fits = {
        "compiled": [True],
        "kernels": [True],
        "schedule": [{"a": "b"}],
        "best": [3, None, -1, 1e400],
        "best_ema": [3, None, -1, 1e400],
        "loss_scale": [3, None, -1, 1e400],
        "seconds": [],
    }.get(name, [3])
    for value in WRONG:
        write(tmp_path, {**dataclasses.asdict(STATE), name: value})
        if any(value is other or (value == other and type(value) is type(other)) for other in fits):
            assert getattr(read_state(tmp_path), name) == value
            continue
        with pytest.raises(WeightsError, match=rf"damaged: {name} should not be {type(value).__name__}") as caught:
            read_state(tmp_path)
        assert len(str(caught.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("content", ["3", "null", "[]", '"text"', "{}", "[" * 9999, "", "\0", '{"step": ' + "1" * 5000])
def test_other_contents_are_one_sentence(tmp_path, content):
    write(tmp_path, content)
    with pytest.raises(WeightsError, match=STATE_FILE) as caught:
        read_state(tmp_path)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))
