"""Whether frames come from one real camera, now: identity, clocks, repeated pictures, the projector's answer."""
