"""The engine: a plan (operations over arenas) and the native loops that run it. Nothing in here knows of models."""
