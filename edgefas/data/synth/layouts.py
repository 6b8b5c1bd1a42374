"""The layouts that `edgefas data synth` makes, by name."""

from __future__ import annotations

from edgefas.data.synth import bench, captures, cefa, celeba, hdf5, surf, videos
from edgefas.data.synth.plan import Layout

LAYOUTS: dict[str, Layout] = {
    **{
        layout.dataset: layout
        for layout in (
            surf.LAYOUT,
            cefa.LAYOUT,
            hdf5.WMCA,
            hdf5.HQ_WMCA,
            celeba.LAYOUT,
            videos.MSU,
            videos.CASIA_FASD,
            videos.OULU,
            captures.LAYOUT,
        )
    },
    bench.NAME: bench.LAYOUT,
}
