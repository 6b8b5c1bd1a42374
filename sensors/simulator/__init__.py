"""A D435-like camera in numpy and OpenCV: faces, prints, screens and masks as colour, infrared and depth see them.

`sample_episode` or `parse_options` says what stands before the camera, `render` gives its frames, `true_face` where
the face is (for training and tests; the pipeline never sees it). What is learned on it is a demonstration.
"""

from edgefas.sensors.simulator.episode import Episode, Presentation, parse_options, sample_episode, subject_skin_group
from edgefas.sensors.simulator.render import SIMULATOR_VERSION, render
from edgefas.sensors.simulator.truth import face_window, true_face

__all__ = [
    "SIMULATOR_VERSION",
    "Episode",
    "Presentation",
    "face_window",
    "parse_options",
    "render",
    "sample_episode",
    "subject_skin_group",
    "true_face",
]
