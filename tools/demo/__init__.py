"""The demo page: depth prediction in the browser, served by ``tools/demo_app.py``."""
