"""Scenes of simple shapes: their drawing, captions and checking, for the small model models/shapes."""
