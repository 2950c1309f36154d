// Thrash: pages that go to and fro between a device and others, and pages that are wanted again as soon as they had to go. Pure: no clock, no device;
// commands and evictions are counted, so a run repeats itself. Compare uvm_perf_thrashing.c for the first, mm/workingset.c for the second, which UVM
// does not look for.
//
// Always: records are bounded, whatever is touched, and are made only for blocks that both sides move within a lapse, or once something was evicted;
// to forget is always right; at most half of the frames are pinned.

/** What the program may set; compare the parameters of uvm_perf_thrashing. */
export interface ThrashRules {
  /** Moves of a page, each the other way than the one before, that make it one that bounces. Default 3. */
  readonly moves: number
  /** Commands that may lie between two of them. Default 16. */
  readonly lapse: number
  /** Commands without a move after which a page bounces no more. Default 64. */
  readonly epoch: number
}

export const THRASH_RULES: ThrashRules = { moves: 3, lapse: 16, epoch: 64 }

/** Blocks that are watched: the one that moved longest ago makes room. */
const BLOCKS_MAX = 64
/** Evicted pages that are remembered. */
const GHOSTS_MAX = 1 << 16
/** Evictions for which a page that came back too soon stays, in frames. */
const PIN_FRAMES = 2
/** Arrivals by which one knows how often a page comes back. */
const RECENT = 64
const UNKNOWN = 255
const NONE: ReadonlySet<number> = new Set()

interface Block {
  turn: number
  away: boolean
  /** Of its pages; null until both sides moved some within a lapse. */
  pages: { readonly away: Uint8Array; readonly moves: Uint8Array; readonly turn: Uint32Array } | null
}

/** Pages that go to and fro. */
export class Bounces {
  readonly #blockPages: number
  readonly #rules: ThrashRules
  readonly #blocks = new Map<number, Block>()
  /** Blocks with pages. */
  #watched = 0
  /** Pages that were found to bounce. */
  found = 0

  constructor(blockPages: number, rules: ThrashRules) {
    this.#blockPages = blockPages
    this.#rules = rules
  }

  get byteLength(): number {
    let bytes = 0
    for (const { pages } of this.#blocks.values()) bytes += 16 + (pages === null ? 0 : 6 * this.#blockPages)
    return bytes
  }

  /** The page went to the device (`away`), or left it. */
  moved(vpn: number, away: boolean, turn: number): void {
    const number = Math.floor(vpn / this.#blockPages)
    const block = this.#blocks.get(number)
    if (block === undefined) {
      this.#makeRoom()
      this.#blocks.set(number, { turn, away, pages: null })
      return
    }
    if (block.pages === null && block.away !== away && turn - block.turn <= this.#rules.lapse) {
      const n = this.#blockPages
      this.#watched++
      block.pages = { away: new Uint8Array(n).fill(UNKNOWN), moves: new Uint8Array(n), turn: new Uint32Array(n) }
    }
    block.turn = turn
    block.away = away
    if (block.pages !== null) this.#count(block.pages, vpn % this.#blockPages, away, turn)
  }

  #count(pages: NonNullable<Block['pages']>, at: number, away: boolean, turn: number): void {
    const { moves, lapse } = this.#rules
    const since = turn - (pages.turn[at] as number)
    const isNew = pages.away[at] === UNKNOWN || since > lapse
    const before = pages.moves[at] as number
    if (isNew) pages.moves[at] = 1
    else if (pages.away[at] !== Number(away)) pages.moves[at] = Math.min(UNKNOWN, before + 1)
    if (before < moves && (pages.moves[at] as number) >= moves) this.found++
    pages.away[at] = Number(away)
    pages.turn[at] = turn
  }

  is(vpn: number, turn: number): boolean {
    const block = this.#blocks.get(Math.floor(vpn / this.#blockPages))
    return block !== undefined && block.pages !== null && this.#bounces(block.pages, vpn % this.#blockPages, turn)
  }

  /** The turn in which the page moved last, if it bounces; -1 otherwise. */
  lastMove(vpn: number, turn: number): number {
    const pages = this.#blocks.get(Math.floor(vpn / this.#blockPages))?.pages ?? null
    return pages !== null && this.#bounces(pages, vpn % this.#blockPages, turn) ? (pages.turn[vpn % this.#blockPages] as number) : -1
  }

  /** Pages that bounce in the blocks in which some of these do, without these: where those go the others are about to follow. */
  companions(vpns: readonly number[], turn: number): Set<number> {
    const found = new Set<number>()
    const seen = new Set<number>()
    for (const vpn of vpns) {
      const number = Math.floor(vpn / this.#blockPages)
      const pages = seen.has(number) ? null : (this.#blocks.get(number)?.pages ?? null)
      if (pages === null || !this.#bounces(pages, vpn % this.#blockPages, turn)) continue
      seen.add(number)
      for (let at = 0; at < this.#blockPages; at++) if (this.#bounces(pages, at, turn)) found.add(number * this.#blockPages + at)
    }
    if (found.size > 0) for (const vpn of vpns) found.delete(vpn)
    return found
  }

  /** Pages that bounce now. */
  count(turn: number): number {
    let count = 0
    for (const { pages } of this.#blocks.values()) {
      if (pages === null) continue
      for (let at = 0; at < this.#blockPages; at++) if (this.#bounces(pages, at, turn)) count++
    }
    return count
  }

  /** No block has pages that both sides move. */
  get isQuiet(): boolean {
    return this.#watched === 0
  }

  /** What the program moved itself is no thrash. */
  reset(start: number, end: number): void {
    if (this.#blocks.size === 0) return
    for (const [number, { pages }] of [...this.#blocks]) {
      const first = number * this.#blockPages
      if (first >= end || first + this.#blockPages <= start) continue
      if (first >= start && first + this.#blockPages <= end) this.#forget(number)
      else pages?.moves.fill(0, Math.max(0, start - first), end - first)
    }
  }

  #bounces(pages: NonNullable<Block['pages']>, at: number, turn: number): boolean {
    return (pages.moves[at] as number) >= this.#rules.moves && turn - (pages.turn[at] as number) <= this.#rules.epoch
  }

  #makeRoom(): void {
    if (this.#blocks.size < BLOCKS_MAX) return
    let oldest = -1
    let turn = Number.POSITIVE_INFINITY
    for (const [number, block] of this.#blocks) {
      if (block.turn >= turn) continue
      oldest = number
      turn = block.turn
    }
    this.#forget(oldest)
  }

  #forget(number: number): void {
    if ((this.#blocks.get(number)?.pages ?? null) !== null) this.#watched--
    this.#blocks.delete(number)
  }
}

/**
 * Pages that had to go and were wanted again before as many others went as there are frames: with twice the frames they would have stayed. Each is
 * remembered in one place by its number, which another page of that place takes unless it is pinned. Compare the shadow entries of mm/workingset.c.
 */
export class Refaults {
  readonly #frames: number
  #vpn = new Float64Array(0)
  /** The eviction by which it went; 0: it is back. */
  #wentAt = new Uint32Array(0)
  /** The eviction up to which it stays; 0: it may go. */
  #pinnedTo = new Uint32Array(0)
  #evictions = 0
  #pins = 0
  #countedAt = 0
  #arrivals = 0
  #recent = 0
  /** Pages that came back too soon. */
  found = 0

  constructor(frames: number) {
    this.#frames = frames
  }

  get byteLength(): number {
    return this.#vpn.byteLength + this.#wentAt.byteLength + this.#pinnedTo.byteLength
  }

  evicted(vpn: number): void {
    if (this.#vpn.length === 0) this.#make()
    const at = this.#placeOf(vpn)
    this.#evictions++
    if (this.#isPinned(at)) {
      // Who stays keeps his place.
      if (this.#vpn[at] !== vpn) return
      this.#pins--
    }
    this.#vpn[at] = vpn
    this.#wentAt[at] = this.#evictions
    this.#pinnedTo[at] = 0
  }

  /** The page came by a fault. */
  arrived(vpn: number): void {
    if (++this.#arrivals > RECENT) {
      this.#arrivals >>= 1
      this.#recent >>= 1
    }
    if (this.#vpn.length === 0) return
    const at = this.#placeOf(vpn)
    const went = this.#wentAt[at] as number
    if (this.#vpn[at] !== vpn || went === 0) return
    this.#wentAt[at] = 0
    if (this.#evictions - went >= this.#frames) return
    this.found++
    this.#recent++
    if (this.#roomForPin()) {
      this.#pinnedTo[at] = this.#evictions + PIN_FRAMES * this.#frames
      this.#pins++
    }
  }

  get hasPins(): boolean {
    return this.#pins > 0
  }

  isPinned(vpn: number): boolean {
    if (this.#pins === 0) return false
    const at = this.#placeOf(vpn)
    return this.#vpn[at] === vpn && this.#isPinned(at)
  }

  get pins(): number {
    this.#recount()
    return this.#pins
  }

  /** Of the pages that came lately more than a quarter had just gone: what is read ahead now would only push out what is needed. */
  get areFrequent(): boolean {
    return this.#recent * 4 > this.#arrivals && this.#recent >= 8
  }

  reset(start: number, end: number): void {
    if (this.#vpn.length === 0) return
    const forget = (at: number) => {
      const vpn = this.#vpn[at] as number
      if (vpn < start || vpn >= end) return
      if (this.#isPinned(at)) this.#pins--
      this.#wentAt[at] = 0
      this.#pinnedTo[at] = 0
    }
    if (end - start < this.#vpn.length) for (let vpn = start; vpn < end; vpn++) forget(this.#placeOf(vpn))
    else for (let at = 0; at < this.#vpn.length; at++) forget(at)
  }

  #roomForPin(): boolean {
    const most = this.#frames >> 1
    // Pins end by themselves: they are counted anew now and then.
    if (this.#pins >= most && this.#evictions - this.#countedAt > this.#frames >> 3) this.#recount()
    return this.#pins < most
  }

  #recount(): void {
    this.#countedAt = this.#evictions
    this.#pins = 0
    for (let at = 0; at < this.#pinnedTo.length; at++) if (this.#isPinned(at)) this.#pins++
  }

  #isPinned(at: number): boolean {
    return (this.#pinnedTo[at] as number) > this.#evictions
  }

  #placeOf(vpn: number): number {
    return vpn % this.#vpn.length
  }

  #make(): void {
    const places = Math.min(GHOSTS_MAX, 2 ** Math.ceil(Math.log2(Math.max(2, 2 * this.#frames))))
    this.#vpn = new Float64Array(places).fill(-1)
    this.#wentAt = new Uint32Array(places)
    this.#pinnedTo = new Uint32Array(places)
  }
}

/** Pages, and times, since the space was opened; `bouncing` and `pinned` are what is so now. */
export interface ThrashCounts {
  /** Pages found to go to and fro between this device and the host or another device; one that does so again after an epoch counts again. */
  readonly pingPongs: number
  /** Pages that were evicted and wanted again before as many others were evicted as there are frames. */
  readonly refaults: number
  /** Pages that go to and fro now: those of a block do so together, and none is evicted by the command that it came for while another can go. */
  readonly bouncing: number
  /** Pages that came back too soon, and are evicted last for that. */
  readonly pinned: number
  /** Times that nothing was read ahead, since too much of what had gone came back. */
  readonly throttled: number
}

/** Both, of one device; without rules nothing is looked for. */
export class Thrash {
  readonly #bounces: Bounces | null
  readonly #refaults: Refaults | null
  #throttled = 0
  /** Commands of the one order so far. */
  turn = 0

  constructor(blockPages: number, frames: number, rules: ThrashRules | null) {
    this.#bounces = rules === null ? null : new Bounces(blockPages, rules)
    this.#refaults = rules === null ? null : new Refaults(frames)
  }

  get byteLength(): number {
    return (this.#bounces?.byteLength ?? 0) + (this.#refaults?.byteLength ?? 0)
  }

  get counts(): ThrashCounts {
    return {
      pingPongs: this.#bounces?.found ?? 0,
      refaults: this.#refaults?.found ?? 0,
      bouncing: this.#bounces?.count(this.turn) ?? 0,
      pinned: this.#refaults?.pins ?? 0,
      throttled: this.#throttled,
    }
  }

  /** The page came by a fault. */
  arrived(vpn: number): void {
    this.#bounces?.moved(vpn, true, this.turn)
    this.#refaults?.arrived(vpn)
  }

  /** The host, or another device, took the page or ended its copy. */
  left(vpn: number): void {
    this.#bounces?.moved(vpn, false, this.turn)
  }

  /** The page had to go. UVM does not count these as moves either. */
  evicted(vpn: number): void {
    this.#refaults?.evicted(vpn)
  }

  /** The program moved or unmapped these itself. */
  reset(start: number, end: number): void {
    this.#bounces?.reset(start, end)
    this.#refaults?.reset(start, end)
  }

  /** Nobody reads it ahead. */
  isBouncing(vpn: number): boolean {
    return this.#bounces?.is(vpn, this.turn) ?? false
  }

  /** It goes only when nobody else can: it came back too soon, or it bounces and came in this very command (the time slice of UVM). */
  staysLonger(vpn: number): boolean {
    return (this.#refaults?.isPinned(vpn) ?? false) || this.#bounces?.lastMove(vpn, this.turn) === this.turn
  }

  /** Nothing bounces. */
  get isQuiet(): boolean {
    return this.#bounces?.isQuiet ?? true
  }

  /** Pages stay since they came back too soon. */
  get hasPins(): boolean {
    return this.#refaults?.hasPins ?? false
  }

  /** Where these go, those are about to follow. */
  companions(vpns: readonly number[]): ReadonlySet<number> {
    return this.isQuiet ? NONE : (this.#bounces?.companions(vpns, this.turn) ?? NONE)
  }

  /** Asked by who reads ahead: not now, and that is counted. */
  pausesReadAhead(): boolean {
    const pauses = this.#refaults?.areFrequent ?? false
    if (pauses) this.#throttled++
    return pauses
  }
}
