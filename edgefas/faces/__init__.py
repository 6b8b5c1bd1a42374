"""Where the faces are: detectors, their place in depth, and following them from frame to frame.

Every detector gives boxes on the depth/IR grid and asks depth whether a head's size fits there: posters on the wall
and false alarms fall here, before any network runs. A print held at face distance passes by design: this is geometry,
not liveness.
"""

from edgefas.faces.fixed import FixedBox
from edgefas.faces.haar import detect_faces
from edgefas.faces.place import Detector, face_at
from edgefas.faces.track import Track, Tracks, follow
from edgefas.faces.yunet import FaceModelError, YuNet

__all__ = [
    "Detector",
    "FaceModelError",
    "FixedBox",
    "Track",
    "Tracks",
    "YuNet",
    "detect_faces",
    "face_at",
    "follow",
]
