"""Where decision lines go beside stdout: a log file, a web hook. Lines only, no picture; each is an `Observer`."""
