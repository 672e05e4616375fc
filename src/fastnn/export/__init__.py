"""Ways out of the library: a trained model as a file that others run."""
