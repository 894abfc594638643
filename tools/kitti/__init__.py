"""Prepare KITTI: download, unpack and convert its archives, get published split lists, generate splits by rule."""
