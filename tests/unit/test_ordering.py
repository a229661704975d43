"""The order of turns: strict, aging, weights, ranges and reserves."""
