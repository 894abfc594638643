"""A page in the browser to try depth on: what tools/demo_app.py is made of."""
