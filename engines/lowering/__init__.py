"""Lowerings: pure functions from (float ONNX, scale table, recipe) to what one engine runs best."""
