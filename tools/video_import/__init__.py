"""Import videos of any camera as a dataset for ``train.py --dataset folder``."""
