"""Samplers beside each other: see scripts/compare_samplers."""
