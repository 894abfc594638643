"""The varied world of single views, made to train depth that generalises to real photos.

Every scene has its own layout, objects, materials, light, weather, camera and image quality (domain randomisation:
Tobin et al., "Domain Randomization for Transferring Deep Neural Networks", IROS 2017).
"""
