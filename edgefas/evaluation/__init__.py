"""Metrics of presentation attack detection from files of scores, with where each figure comes from. numpy only."""
