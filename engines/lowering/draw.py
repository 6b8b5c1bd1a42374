"""A network's INT8 placement as an SVG: one box per layer, green where TensorRT runs INT8, top to bottom."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from xml.sax.saxutils import escape, quoteattr

import onnx

from edgefas.engines.lowering.check import LAYER_OPS, Placement
from edgefas.engines.lowering.graph import producers

COLOURS = {"int8": "#2e7d32", "float": "#8d8d8d", "refused": "#c62828", "plugin": "#ef6c00", "other": "#455a64"}
LEGEND = {"int8": "INT8", "float": "float", "refused": "refused", "plugin": "plugin", "other": "input, sum, join"}
BOX_PX, GAP_PX, ROW_PX, MARGIN_PX, LANES_PER_INPUT = (132, 26), 20, 44, 56, 4


@dataclass(frozen=True)
class _Box:
    name: str
    label: str
    kind: str
    hint: str
    before: tuple[str, ...]


def placement_svg(model: onnx.ModelProto, placement: Placement) -> str:
    """The drawing; everything but layers, plugins, sums and joins is left out, so that edges lead over it."""
    boxes = _boxes(model, placement)
    rows: dict[str, int] = {}
    lanes: dict[str, int] = {}
    homes: dict[str, int] = {}
    """The lane of the input a box descends from: side branches leave it, what joins them comes back."""
    taken: set[tuple[int, int]] = set()
    entries = 0
    for box in boxes:
        row = max((rows[name] + 1 for name in box.before), default=0)
        if box.before:
            home = homes[max(box.before, key=lambda name: rows[name])]
        else:
            home, entries = entries * LANES_PER_INPUT, entries + 1
        lane = next(home + step for step in count() if (row, home + step) not in taken)
        rows[box.name], lanes[box.name], homes[box.name] = row, lane, home
        taken.add((row, lane))
    at = {box.name: _corner(lanes[box.name], rows[box.name]) for box in boxes}
    width = max(x for x, _ in at.values()) + BOX_PX[0] + MARGIN_PX
    height = max(y for _, y in at.values()) + BOX_PX[1] + MARGIN_PX
    edges = [_edge(at[name], at[box.name]) for box in boxes for name in box.before]
    drawn = [_box(box, at[box.name]) for box in boxes]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="10"><rect width="100%" height="100%" fill="#fff"/>'
    )
    return "\n".join([head, _legend(placement), *edges, *drawn, "</svg>"]) + "\n"


def _boxes(model: onnx.ModelProto, placement: Placement) -> list[_Box]:
    """In topological order, each with the boxes it reads from."""
    graph = model.graph
    constant = {tensor.name for tensor in graph.initializer}
    layers = {layer.name: layer for layer in placement.layers}
    sums = {add.name: add for add in placement.adds}
    boxes = [_Box(value.name, value.name, "other", "input", ()) for value in graph.input if value.name not in constant]
    sources: dict[str, tuple[str, ...]] = {box.name: (box.name,) for box in boxes}
    made_by = producers(graph.node)
    for node in graph.node:
        before = tuple(dict.fromkeys(box for name in node.input for box in sources.get(name, ())))
        name = node.name or node.output[0]
        if name in layers:
            layer = layers[name]
            hint = "; ".join([layer.weight, *layer.reasons, *layer.notes])
            box = _Box(name, f"{node.op_type} {_short(layer.weight)}", layer.verdict, hint, before)
        elif node.domain or node.op_type == "DeformConv":
            box = _Box(name, node.op_type, "plugin", "float", before)
        elif name in sums:
            box = _Box(name, f"Add ({sums[name].quantised_branches} quantised)", "other", sums[name].note, before)
        elif node.op_type == "Concat" and len(before) > 1:
            box = _Box(name, "Concat", "other", "", before)
        else:
            sources.update(dict.fromkeys(node.output, before))
            continue
        boxes.append(box)
        sources.update(dict.fromkeys(node.output, (name,)))
    ends = {box for value in graph.output for box in sources.get(value.name, ())}
    boxes += [_Box(f"output {v.name}", v.name, "other", "output", tuple(ends)) for v in graph.output if made_by]
    return boxes


def _short(weight: str) -> str:
    """The end of a weight's name, as much as a box holds."""
    name = weight.removesuffix("_int8").removesuffix("_dequantized").removesuffix(".weight")
    return name if len(name) <= 15 else "…" + name[-14:]


def _corner(lane: int, row: int) -> tuple[int, int]:
    return MARGIN_PX + lane * (BOX_PX[0] + GAP_PX), 2 * MARGIN_PX + row * ROW_PX


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    x0, y0, x1, y1 = start[0] + BOX_PX[0] // 2, start[1] + BOX_PX[1], end[0] + BOX_PX[0] // 2, end[1]
    if x0 == x1 and y1 - y0 > ROW_PX:  # past the boxes in between, not behind them
        side = x0 - BOX_PX[0] * 3 // 4
        return (
            f'<path d="M{x0} {y0}C{side} {y0 + ROW_PX} {side} {y1 - ROW_PX} {x1} {y1}" fill="none" stroke="#90a4ae"/>'
        )
    middle = (y0 + y1) // 2
    return f'<path d="M{x0} {y0}C{x0} {middle} {x1} {middle} {x1} {y1}" fill="none" stroke="#90a4ae"/>'


def _box(box: _Box, corner: tuple[int, int]) -> str:
    x, y = corner
    return (
        f"<g><title>{escape(box.name)}: {escape(box.hint)}</title>"
        f'<rect x="{x}" y="{y}" width="{BOX_PX[0]}" height="{BOX_PX[1]}" rx="4" fill={quoteattr(COLOURS[box.kind])}/>'
        f'<text x="{x + 6}" y="{y + 17}" fill="#fff">{escape(box.label)}</text></g>'
    )


def _legend(placement: Placement) -> str:
    parts = []
    for i, (kind, word) in enumerate(LEGEND.items()):
        x = MARGIN_PX + i * (BOX_PX[0] + GAP_PX)
        parts.append(f'<rect x="{x}" y="16" width="14" height="14" fill="{COLOURS[kind]}"/>')
        parts.append(f'<text x="{x + 20}" y="27">{word}</text>')
    total = len(placement.layers)
    text = f"{placement.count('int8')} of {total} {', '.join(sorted(LAYER_OPS))} layers in INT8"
    parts.append(f'<text x="{MARGIN_PX + len(LEGEND) * (BOX_PX[0] + GAP_PX)}" y="27">{escape(text)}</text>')
    return "".join(parts)
