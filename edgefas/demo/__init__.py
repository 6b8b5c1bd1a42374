"""The shipped demonstration: a bundle trained on simulated data, how it was made, and how it is shown."""
