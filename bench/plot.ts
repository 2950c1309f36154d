// A table of results as one picture: bars of ratios with their goals, and the curves of working sets that are larger than the budget. Always: every result
// that has a ratio or a goal is in it, a bar that leaves the picture says how long it is, and what missed its goal looks different without colour, too.

import type { BenchResult } from './case.ts'

const WIDTH = 1040
const MARGIN = 24
const NAMES = 210
const FIGURES = 200
const ROW = 17
/** Ratios beyond this are cut off. */
const RATIO_MOST = 4
const CURVE_HEIGHT = 380
const CURVE_RIGHT = 150
const INK = '#1f2933'
const FAINT = '#d5dbe1'
const COLOURS = { met: '#2f6f9f', missed: '#c2410c', none: '#93a1af' } as const
const LINES = ['#2f6f9f', '#c2410c', '#3f7d3a', '#7b3fa0', '#9a6b00', '#00747a', '#a01f5a', '#4b5563'] as const
/** `jacobi-x1.5`: the workload, and its working set over the budget. */
const CROWDED = /^(.*)-x([\d.]+)$/

export function plot(device: string, results: readonly BenchResult[]): string {
  const bars = results.filter(({ name, ratio, goal }) => !CROWDED.test(name) && (ratio !== null || goal !== null))
  const curves = curvesOf(results)
  const barsHeight = bars.length * ROW + 70
  const height = 80 + barsHeight + (curves.size > 0 ? CURVE_HEIGHT + 90 : 0)
  const missed = results.filter(({ met }) => met === false).length
  const judged = results.filter(({ met }) => met !== null).length
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12" fill="${INK}">`,
    '<title>Time with webgpu-svm over the time of the same work in plain WebGPU</title>',
    `<defs><pattern id="missed" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="${COLOURS.missed}"/><rect width="2" height="6" fill="#fff" fill-opacity="0.45"/></pattern></defs>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    text(MARGIN, 30, 'Time with webgpu-svm over the time of the same work in plain WebGPU (lower is better)', { size: 17, bold: true }),
    text(MARGIN, 52, `${device}; medians; ${judged - missed} of ${judged} goals met`),
    ...drawBars(bars, 80),
    ...(curves.size > 0 ? drawCurves(curves, 80 + barsHeight) : []),
    '</svg>\n',
  ].join('\n')
}

function drawBars(bars: readonly BenchResult[], top: number): string[] {
  const left = MARGIN + NAMES
  const scale = (WIDTH - MARGIN - FIGURES - left) / RATIO_MOST
  const bottom = top + 14 + bars.length * ROW
  const key = [
    ['goal met', COLOURS.met],
    ['goal missed', 'url(#missed)'],
    ['no goal', COLOURS.none],
  ].flatMap(([label, fill], n) => [
    `<rect x="${left + n * 110}" y="${top - 14}" width="14" height="10" fill="${fill}"/>`,
    text(left + n * 110 + 20, top - 5, label as string),
  ])
  const grid = Array.from({ length: RATIO_MOST + 1 }, (_, ratio) => {
    const x = left + ratio * scale
    return `<line x1="${x}" y1="${top + 6}" x2="${x}" y2="${bottom}" stroke="${ratio === 1 ? INK : FAINT}"/>${text(x, bottom + 16, `${ratio}`, { anchor: 'middle' })}`
  })
  const goalKey = `<line x1="${left + 332}" y1="${top - 16}" x2="${left + 332}" y2="${top - 2}" stroke="${INK}" stroke-width="3"/>${text(left + 342, top - 5, 'goal')}`
  return [...key, goalKey, ...grid, ...bars.flatMap((bar, n) => drawBar(bar, left, top + 14 + n * ROW, scale))]
}

function drawBar({ name, svm, ratio, goal, met, unit }: BenchResult, left: number, y: number, scale: number): string[] {
  const label = text(left - 8, y + 11, name, { anchor: 'end' })
  const fill = met === null ? COLOURS.none : met ? COLOURS.met : 'url(#missed)'
  const figure = ratio === null ? `${round(svm)} ${unit}` : round(ratio)
  const wanted = goal === null ? '' : ` (goal ${round(goal)}${met === false ? ', missed' : ''})`
  if (ratio === null) return [label, text(left + 6, y + 11, `${figure}${wanted}`, met === false ? { bold: true } : {})]
  const cut = ratio > RATIO_MOST
  const end = left + Math.min(ratio, RATIO_MOST) * scale
  const mark =
    goal === null || goal > RATIO_MOST
      ? ''
      : `<line x1="${left + goal * scale}" y1="${y - 1}" x2="${left + goal * scale}" y2="${y + ROW - 3}" stroke="${INK}" stroke-width="3"/>`
  // The figure stands behind the bar and behind the mark.
  const behind = Math.max(end, goal === null || goal > RATIO_MOST ? 0 : left + goal * scale) + 8
  return [
    label,
    `<rect x="${left}" y="${y + 1}" width="${Math.max(1, end - left).toFixed(1)}" height="${ROW - 6}" fill="${fill}"/>`,
    cut ? `<path d="M${end - 12} ${y - 1} l8 ${ROW - 2}" stroke="#fff" stroke-width="3"/>` : '',
    mark,
    text(behind, y + 11, `${figure}${wanted}`, met === false ? { bold: true } : {}),
  ]
}

interface Point {
  readonly x: number
  readonly y: number
}

function curvesOf(results: readonly BenchResult[]): Map<string, Point[]> {
  const curves = new Map<string, Point[]>()
  for (const { name, ratio } of results) {
    const [, workload, x] = CROWDED.exec(name) ?? []
    if (workload === undefined || ratio === null) continue
    curves.set(workload, [...(curves.get(workload) ?? []), { x: Number(x), y: ratio }])
  }
  for (const points of curves.values()) points.sort((a, b) => a.x - b.x)
  return curves
}

/** Slow-downs grow by factors: the axis is logarithmic. */
function drawCurves(curves: ReadonlyMap<string, readonly Point[]>, top: number): string[] {
  const all = [...curves.values()].flat()
  const most = 2 ** Math.ceil(Math.log2(Math.max(4, ...all.map(({ y }) => y))))
  const least = 0.5
  const left = MARGIN + 60
  const right = WIDTH - MARGIN - CURVE_RIGHT
  const bottom = top + 50 + CURVE_HEIGHT
  const atX = (x: number) => left + ((x - 0.5) / 2.5) * (right - left)
  const atY = (y: number) => bottom - (Math.log2(Math.max(least, y) / least) / Math.log2(most / least)) * CURVE_HEIGHT
  const grid: string[] = []
  for (let y = least; y <= most; y *= 2)
    grid.push(
      `<line x1="${left}" y1="${atY(y)}" x2="${right}" y2="${atY(y)}" stroke="${y === 1 ? INK : FAINT}"/>${text(left - 8, atY(y) + 4, `${y}`, { anchor: 'end' })}`,
    )
  for (const x of [...new Set(all.map((point) => point.x))].sort((a, b) => a - b))
    grid.push(
      `<line x1="${atX(x)}" y1="${top + 50}" x2="${atX(x)}" y2="${bottom}" stroke="${FAINT}"/>${text(atX(x), bottom + 16, `${x}`, { anchor: 'middle' })}`,
    )
  return [
    text(MARGIN, top + 20, 'Time over the time in memory (working set / budget = 0.5), the whole budget of the library counted', { size: 15, bold: true }),
    text((left + right) / 2, bottom + 34, 'working set / budget', { anchor: 'middle' }),
    ...grid,
    `<path d="M${atX(1.5) - 16} ${atY(2)} h32" stroke="${INK}" stroke-width="4"/>${text(atX(1.5) + 22, atY(2) + 16, 'goal: 2 at 1.5', { bold: true })}`,
    ...drawLines(curves, atX, atY, right),
  ]
}

function drawLines(curves: ReadonlyMap<string, readonly Point[]>, atX: (x: number) => number, atY: (y: number) => number, right: number): string[] {
  const ends = [...curves].map(([name, points], n) => ({ name, points, colour: LINES[n % LINES.length] as string, y: atY((points.at(-1) as Point).y) }))
  // Labels that would lie on each other move down.
  const labels = [...ends].sort((a, b) => a.y - b.y)
  let free = Number.NEGATIVE_INFINITY
  const places = new Map(
    labels.map(({ name, y }) => {
      free = Math.max(y, free + 15)
      return [name, free] as const
    }),
  )
  return ends.flatMap(({ name, points, colour, y }) => [
    `<polyline points="${points.map((point) => `${atX(point.x).toFixed(1)},${atY(point.y).toFixed(1)}`).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ...points.map((point) => `<circle cx="${atX(point.x).toFixed(1)}" cy="${atY(point.y).toFixed(1)}" r="3.5" fill="${colour}"/>`),
    `<line x1="${atX((points.at(-1) as Point).x)}" y1="${y}" x2="${right + 12}" y2="${places.get(name)}" stroke="${colour}" stroke-dasharray="2 2"/>`,
    text(right + 16, (places.get(name) as number) + 4, `${name} (${round((points.at(-1) as Point).y)})`, { fill: colour, bold: true }),
  ])
}

function text(
  x: number,
  y: number,
  content: string,
  { size, bold, anchor, fill }: { size?: number; bold?: boolean; anchor?: string; fill?: string } = {},
): string {
  const attributes = [
    size === undefined ? '' : ` font-size="${size}"`,
    bold ? ' font-weight="600"' : '',
    anchor === undefined ? '' : ` text-anchor="${anchor}"`,
    fill === undefined ? '' : ` fill="${fill}"`,
  ]
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${attributes.join('')}>${escaped}</text>`
}

function round(value: number): string {
  if (value >= 100) return value.toFixed(0)
  return value < 0.1 ? value.toFixed(4) : value.toFixed(2)
}
