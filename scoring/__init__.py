"""What evaluate_depth.py is made of: frames and ground truth, disparities, and what is written about them."""
