"""What a pipeline talks to."""

from contextlib import contextmanager


class Surroundings:
    def __init__(self, *a):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *a):
        pass

    def see(self, f, l):
        pass

    @contextmanager
    def full_disk(self):
        yield

    dead_webhook = slow_viewer = full_disk
