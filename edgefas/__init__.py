"""edgefas: multimodal face anti-spoofing networks, from a paper to a Jetson behind a RealSense camera."""

__version__ = "0.1.0"
