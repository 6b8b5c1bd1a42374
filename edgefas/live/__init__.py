"""From frames to decisions: gates, engine, temporal rule. Needs numpy, OpenCV and one engine runtime."""
