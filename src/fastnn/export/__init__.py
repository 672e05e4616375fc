"""Ways out of Python: a trained model as something that runs without it."""
