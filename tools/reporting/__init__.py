"""The training report: one HTML page with metrics, curves, frames and a point cloud. Entry point: ``html_report``."""
