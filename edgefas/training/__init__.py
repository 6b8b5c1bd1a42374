"""Training by recipe: data, loop, metrics. Needs the extra `train`; nothing of it runs on a board."""
