// The score over time: dots above the threshold, crosses below it, dashes where there was no score, and under them a
// band with the state. Drawn on a canvas that follows its box.

const STEPS = [2, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256];

// How far from the threshold the picture must reach, in steps, so that it does not breathe with every point.
export function reach(points, threshold) {
  let most = 4;
  for (const p of points) if (p.score !== null) most = Math.max(most, Math.abs(p.score - threshold));
  return STEPS.find((step) => step >= most * 1.05) ?? most * 1.1;
}

export class Chart {
  constructor(canvas, seconds) {
    this.canvas = canvas;
    this.seconds = seconds;
    new ResizeObserver(() => this.fit()).observe(canvas);
    this.fit();
  }

  fit() {
    const ratio = Math.min(3, window.devicePixelRatio || 1);
    const box = this.canvas.getBoundingClientRect();
    this.width = box.width;
    this.height = box.height;
    this.canvas.width = Math.max(1, Math.round(box.width * ratio));
    this.canvas.height = Math.max(1, Math.round(box.height * ratio));
    this.canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  draw(points, threshold, range, now) {
    const g = this.canvas.getContext("2d");
    const style = getComputedStyle(document.body);
    const tone = (name) => style.getPropertyValue(`--${name}`);
    const [left, right, top, bottom] = [34, 10, 8, 40];
    const w = this.width - left - right;
    const h = this.height - top - bottom;
    const x = (at) => left + w * (1 - (now - at) / this.seconds);
    const y = (score) => top + h * (0.5 - (score - threshold) / (2 * range));
    g.clearRect(0, 0, this.width, this.height);
    g.font = `11px ${style.fontFamily}`;
    g.textBaseline = "middle";

    g.fillStyle = tone("live-soft");
    g.fillRect(left, top, w, h / 2);
    g.fillStyle = tone("attack-soft");
    g.fillRect(left, top + h / 2, w, h / 2);

    g.textAlign = "right";
    g.strokeStyle = tone("edge");
    g.lineWidth = 1;
    for (const part of [-1, -0.5, 0, 0.5, 1]) {
      const score = threshold + part * range;
      g.fillStyle = tone("soft");
      g.fillText(format(score), left - 6, Math.min(top + h - 5, Math.max(top + 5, y(score))));
      if (Math.abs(part) === 0.5) line(g, left, y(score), left + w, y(score));
    }
    for (let ago = 0; ago <= this.seconds; ago += 5) {
      if (ago % 10 === 0) {
        g.textAlign = ago === 0 ? "right" : ago === this.seconds ? "left" : "center";
        g.fillText(ago === 0 ? "now" : `${ago} s`, x(now - ago), this.height - 8);
      }
      if (ago > 0 && ago < this.seconds) line(g, x(now - ago), top, x(now - ago), top + h);
    }

    g.textAlign = "right";
    g.fillText("state", left - 6, top + h + 12);

    g.save();
    g.beginPath();
    g.rect(left, 0, w, this.height);
    g.clip();
    this.band(g, points, x, top + h + 9, tone, now);
    g.lineWidth = 1.8;
    for (const p of points) {
      const px = x(p.at);
      if (p.score === null) {
        g.fillStyle = tone("none");
        g.fillRect(px - 1, top + h - 4, 2, 3);
        continue;
      }
      const py = Math.min(top + h - 3, Math.max(top + 3, y(p.score)));
      g.beginPath();
      if (p.decision === "attack") {
        g.strokeStyle = tone("attack");
        g.moveTo(px - 2.6, py - 2.6), g.lineTo(px + 2.6, py + 2.6);
        g.moveTo(px + 2.6, py - 2.6), g.lineTo(px - 2.6, py + 2.6);
        g.stroke();
      } else {
        g.fillStyle = tone(p.decision === "bona_fide" ? "live" : "none");
        g.arc(px, py, 2.3, 0, 7);
        g.fill();
      }
    }
    g.restore();

    g.strokeStyle = tone("soft");
    g.lineWidth = 1.5;
    g.setLineDash([6, 4]);
    line(g, left, y(threshold), left + w, y(threshold));
    g.setLineDash([]);
  }

  // What a door would have seen, as one band; gaps are times without any line.
  band(g, points, x, at, tone, now) {
    const tones = { bona_fide: "live", attack: "attack", no_decision: "edge" };
    for (let i = 0; i < points.length; i++) {
      const end = points[i + 1]?.at ?? now;
      if (end - points[i].at > 1.5) continue;
      g.fillStyle = tone(tones[points[i].state] ?? "quiet");
      g.fillRect(x(points[i].at), at, x(end) - x(points[i].at) + 0.6, points[i].state === "no_decision" ? 3 : 6);
    }
  }
}

export function format(score) {
  const text = Math.abs(score) >= 10 || Number.isInteger(score) ? score.toFixed(0) : score.toFixed(1);
  return score > 0 ? `+${text}` : text.replace("-", "−");
}

function line(g, x0, y0, x1, y1) {
  g.beginPath();
  g.moveTo(x0, Math.round(y0) + 0.5);
  g.lineTo(x1, Math.round(y1) + 0.5);
  g.stroke();
}
