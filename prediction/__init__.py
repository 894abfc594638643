"""Predicting depth of images on disk: which images there are, what is written for each, what may be asked for."""
