"""Getting data ready: KITTI's archives fetched, unpacked and converted; published split lists; splits made by rule."""
