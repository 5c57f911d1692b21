/** Small charts as SVG, readable on light and on dark ground. */

/** Colours that stand off from white and from near black. */
const COLOURS = ["#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#06b6d4", "#ec4899", "#84cc16"];
const STYLE = "text{font:12px system-ui,sans-serif;fill:#24292f}.g{stroke:#8c959f;stroke-opacity:.35}" +
  ".t{font-weight:600}@media(prefers-color-scheme:dark){text{fill:#e6edf3}}";
const WIDTH = 720;
const LINE = 18;
const PAD = 12;

const escape = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
const place = (value: number) => String(Math.round(value * 10) / 10);
const label = (value: number) => value.toLocaleString("en-US", { maximumFractionDigits: value < 10 ? 1 : 0 });

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${place(x)}" y="${place(y)}"${attributes}>${escape(content)}</text>`;
}

function document(height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${place(height)}" role="img" aria-label="${
      escape(title)
    }">`,
    `<style>${STYLE}</style>`,
    text(PAD, LINE, title, ' class="t"'),
    ...parts,
    "</svg>\n",
  ].join("\n");
}

function legend(names: readonly string[], y: number): string[] {
  const parts: string[] = [];
  let x = PAD;
  names.forEach((name, index) => {
    parts.push(
      `<rect x="${place(x)}" y="${y - 9}" width="10" height="10" fill="${COLOURS[index % COLOURS.length]}"/>`,
    );
    parts.push(text(x + 15, y, name));
    x += 30 + name.length * 6.6;
  });
  return parts;
}

/** A row of a bar chart: one part per series. */
export interface Bar {
  readonly name: string;
  readonly values: readonly number[];
}

/**
 * Bars from left to right, the parts of each one after the other, with their sum behind it.
 *
 * @param series names of the parts
 */
export function barChart(
  title: string,
  unit: string,
  series: readonly string[],
  bars: readonly Bar[],
): string {
  const nameWidth = 16 + Math.max(0, ...bars.map(({ name }) => name.length)) * 6.4;
  const sums = bars.map(({ values }) => values.reduce((sum, value) => sum + value, 0));
  const scale = (WIDTH - nameWidth - 90) / Math.max(1e-9, ...sums);
  const top = LINE * 3.2;
  const parts = legend(series, LINE * 2.2);
  bars.forEach(({ name, values }, row) => {
    const y = top + row * (LINE + 4);
    let x = nameWidth;
    parts.push(text(PAD, y + 11, name));
    values.forEach((value, index) => {
      const width = value * scale;
      if (width <= 0) return;
      parts.push(
        `<rect x="${place(x)}" y="${place(y)}" width="${place(width)}" height="14" rx="2" fill="${
          COLOURS[index % COLOURS.length]
        }"/>`,
      );
      x += width;
    });
    parts.push(text(x + 6, y + 11, `${label(sums[row])} ${unit}`));
  });
  return document(top + bars.length * (LINE + 4) + PAD, title, parts);
}

/** A line of a chart. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** How an axis runs. */
export interface Axis {
  readonly name: string;
  readonly logarithmic?: boolean;
}

/** Round numbers from below the least to above the greatest value. */
function ticksOf(values: readonly number[], logarithmic: boolean): number[] {
  const greatest = Math.max(...values);
  if (logarithmic) {
    const least = Math.floor(Math.log10(Math.min(...values)));
    const last = Math.max(least + 1, Math.ceil(Math.log10(greatest)));
    return Array.from({ length: last - least + 1 }, (_, i) => 10 ** (least + i));
  }
  const rough = Math.max(greatest, 1e-9) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough)!;
  return Array.from({ length: Math.ceil(greatest / step - 1e-9) + 1 }, (_, i) => i * step);
}

/** Lines over a horizontal axis. Points with no place on a logarithmic axis (0) are left out. */
export function lineChart(title: string, x: Axis, y: Axis, series: readonly Series[]): string {
  const shown = series.map(({ name, points }) => ({
    name,
    points: points.filter(([px, py]) => (!x.logarithmic || px > 0) && (!y.logarithmic || py > 0)),
  })).filter(({ points }) => points.length > 0);
  if (shown.length === 0) throw new TypeError("a chart needs points");
  const height = 320;
  const left = 70;
  const right = WIDTH - 24;
  const top = LINE * 3.4;
  const bottom = height - 44;
  const points = shown.flatMap((its) => its.points);
  const axis = (ticks: number[], logarithmic: boolean, from: number, to: number) => (value: number) => {
    const of = logarithmic ? Math.log10 : (number: number) => number;
    const [low, high] = [of(ticks[0]), of(ticks[ticks.length - 1])];
    return from + (of(value) - low) / (high - low || 1) * (to - from);
  };
  const xTicks = ticksOf(points.map(([px]) => px), x.logarithmic ?? false);
  const yTicks = ticksOf(points.map(([, py]) => py), y.logarithmic ?? false);
  const atX = axis(xTicks, x.logarithmic ?? false, left, right);
  const atY = axis(yTicks, y.logarithmic ?? false, bottom, top);
  const parts = legend(shown.map(({ name }) => name), LINE * 2.2);
  for (const tick of yTicks) {
    parts.push(
      `<line class="g" x1="${left}" x2="${right}" y1="${place(atY(tick))}" y2="${place(atY(tick))}"/>`,
    );
    parts.push(text(left - 6, atY(tick) + 4, label(tick), ' text-anchor="end"'));
  }
  for (const tick of xTicks) parts.push(text(atX(tick), bottom + 16, label(tick), ' text-anchor="middle"'));
  parts.push(text((left + right) / 2, height - 10, x.name, ' text-anchor="middle"'));
  parts.push(
    text(
      0,
      0,
      y.name,
      ` text-anchor="middle" transform="translate(14 ${place((top + bottom) / 2)}) rotate(-90)"`,
    ),
  );
  shown.forEach((its, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const path = its.points.map(([px, py]) => `${place(atX(px))},${place(atY(py))}`);
    parts.push(`<polyline fill="none" stroke="${colour}" stroke-width="2" points="${path.join(" ")}"/>`);
    for (const point of path) {
      const [cx, cy] = point.split(",");
      parts.push(`<circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"/>`);
    }
  });
  return document(height, title, parts);
}
