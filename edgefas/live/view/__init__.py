"""Seeing the stream: a status line, a page for browsers, a window. Each is an `Observer`."""
