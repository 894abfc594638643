"""The method's mathematics as pure Paddle functions and layers: tensors in, tensors out.

Read in this order: ``geometry`` (pixels, rays, rigid transforms), ``camera_models`` (lens distortion),
``view_synthesis`` (warping), ``photometric``, ``reprojection_loss`` and ``smoothness`` (the published terms),
``self_supervised_loss`` (their weighted sum).
"""
