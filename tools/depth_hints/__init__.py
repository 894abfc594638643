"""Depth hints by stereo matching (Watson et al., "Self-Supervised Monocular Depth Hints", ICCV 2019)."""
