"""The built-in driving world: procedural streets, rendered in NumPy and written as a KITTI raw tree.

``street`` generates the scene and the drive, ``render`` renders it, ``kitti_tree`` writes it, and ``world`` combines
many streets. World axes: x east, y north, z up. Camera axes: x right, y down, z forward. Lengths are in metres.
"""
