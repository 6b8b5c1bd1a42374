"""The page for browsers: Starlette under uvicorn in a thread of its own. Needs the extra `web`.

The deciding thread leaves each line in one slot (`hub`) and never waits; everything else happens on the other side,
and only while somebody watches. Loopback unless told otherwise, and then only with a token.
"""
