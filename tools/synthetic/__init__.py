"""The built-in driving world: procedural streets, rendered in NumPy and written as a KITTI raw tree.

`street` lays out what there is and how the car drives, `render` draws it, `kitti_tree` writes it, `world` puts many
streets together. World axes are x east, y north, z up; camera axes x right, y down, z forward; lengths are metres.
"""
