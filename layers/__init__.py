"""The mathematics of the method as pure Paddle functions and layers: tensors in, tensors out.

Read in this order: ``geometry`` (pixels, rays, rigid transforms), ``camera_models`` (lenses), ``view_synthesis`` (one
frame rendered from another), ``photometric`` and ``smoothness`` (the error terms), ``self_supervised_loss`` (all of
them together).
"""
