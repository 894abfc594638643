"""Videos of any camera made into a data set that `train.py --dataset folder` trains on."""
