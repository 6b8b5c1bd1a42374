"""An hour at a door where everything breaks: scripted faults on a software camera, and what came of them."""
