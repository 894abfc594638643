"""Random numbers that depend on numbers alone, so that a run that goes on needs no random state."""

import random

import numpy as np
import paddle


def seed_everything(*numbers: int) -> None:
    """Seeds every generator by one number, or by several together: the run's seed, the step, the process."""
    seed = numbers[0] if len(numbers) == 1 else int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    paddle.seed(seed)
