"""An hour at a door where everything that breaks, breaks: scripted faults on a software camera, and what came of them."""
