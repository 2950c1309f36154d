// The way into a GPUQueue.
//
// Always:
// - Writes, submissions and destructions enter in the order of the calls. What cannot enter at once, because a read-back before it waits for
//   a slot of the ring, waits in line with everything behind it.
// - A submission's work enters in one piece, with its first read-backs; further read-backs follow as slots come free, and nothing gets between.
// - What names something of the program's own (bind groups, buffers) rejects when the device refuses it: stale bytes never look like a success. What
//   names only our own is not asked about: that costs a tenth of a small submission.
// - What is held enters with the next submission, before it; before a write to what it names it enters by itself.
// - Work that will probably come again is encoded once more while the device is busy with it. Those commands are used only for the very same
//   arrays and the same slot; otherwise they are dropped, which costs nothing.

import { SvmError } from '../../base/error.ts'
import { type DeviceBuffer, DeviceFailure, type Readback, type Work } from '../device.ts'
import { HeldWork } from '../held-work.ts'
import { MAP_MODE_READ, type WebgpuBuffer } from './buffers.ts'
import { type EncodeContext, encodeWork } from './encode.ts'
import type { Lifeline } from './lifeline.ts'
import { wait, wake } from './nap.ts'
import { type Chunk, deliverChunk, encodeChunk, planChunks, type ReadbackRing, type Slot } from './readback-ring.ts'
import { inErrorScopes, NO_ERROR } from './scope.ts'

/**
 * A large write enters in pieces: the device's upload memory is then reused while it is warm. Measured with Dawn, 64 MiB into a buffer that
 * kernels write to: 54 ms in one piece, 16 ms so. (Smaller pieces win less where Dawn writes directly, into buffers that no kernel wrote.)
 */
const PIECE_BYTES = 2 * 1024 * 1024

const NOT_MAPPED = 'not mapped'
const VALIDATION: readonly GPUErrorFilter[] = ['validation']

/** Does its part now and returns true, or returns false to be asked again when a slot is free. */
type Entry = () => boolean

interface Job {
  readonly work: readonly Work[]
  readonly readbacks: readonly Readback[]
  /** It will probably be submitted again. */
  readonly again: boolean
  readonly chunks: readonly Chunk[]
  /** It names something of the program's own, which may be wrong: the device's verdict is asked for. */
  readonly checked: boolean
  /** The work is in the GPUQueue. */
  entered: boolean
  /** The first chunk that is not in the GPUQueue. */
  next: number
  /** Parts that are not complete. */
  open: number
  failed: boolean
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** One GPUQueue.submit of a job. */
interface Part {
  readonly chunk: Chunk | null
  readonly slot: Slot | null
  readonly done: Promise<unknown>
  readonly refused: Promise<GPUError | null>
}

/** Commands that nobody has asked for yet. */
interface Ahead {
  readonly work: readonly Work[]
  readonly readbacks: readonly Readback[]
  readonly chunks: readonly Chunk[]
  readonly slot: Slot
  readonly commands: GPUCommandBuffer
}

export class SubmitQueue {
  readonly counters = { submits: 0, maps: 0 }
  readonly #device: GPUDevice
  readonly #lifeline: Lifeline
  readonly #ring: ReadbackRing
  readonly #context: EncodeContext
  readonly #line: Entry[] = []
  /** Submitted, and neither resolved nor rejected. */
  readonly #open = new Set<Job>()
  #ahead: Ahead | null = null
  readonly #held = new HeldWork()
  /** Bytes of shared memory are copied through this: Node's binding crashes on shared views. */
  #scratch: Uint8Array<ArrayBuffer> | null = null
  #released = false

  constructor(device: GPUDevice, lifeline: Lifeline, ring: ReadbackRing, context: EncodeContext) {
    this.#device = device
    this.#lifeline = lifeline
    this.#ring = ring
    this.#context = context
    lifeline.onLost(() => {
      for (const job of this.#open) this.#fail(job, lifeline.failure())
      this.#advance()
    })
  }

  write(buffer: WebgpuBuffer, offset: number, bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return
    if (this.#line.length === 0) {
      this.#writeNow(buffer, offset, bytes)
      return
    }
    const taken = bytes.slice()
    this.#line.push(() => {
      this.#writeNow(buffer, offset, taken)
      return true
    })
  }

  writeForeign(buffer: WebgpuBuffer, offset: number, bytes: Uint8Array): Promise<void> {
    const taken = this.#line.length === 0 ? bytes : bytes.slice()
    const refused = new Promise<GPUError | null>((resolve, reject) => {
      this.#enter(() => {
        if (this.#over) reject(this.#lifeline.failure())
        else resolve(inErrorScopes(this.#device, VALIDATION, () => this.#writeNow(buffer, offset, taken)).error)
        return true
      })
    })
    return this.#lifeline.guard(refused).then((refusal) => {
      if (refusal !== null) throw refusalOf(refusal)
    })
  }

  submit(work: readonly Work[], readbacks: readonly Readback[], again: boolean): Promise<void> {
    if (this.#over) return Promise.reject(this.#lifeline.failure())
    return new Promise<void>((resolve, reject) => {
      const ahead = this.#isAhead(work, readbacks)
      const chunks = ahead?.chunks ?? planChunks(readbacks, this.#ring.slotBytes)
      // Nobody's own was encoded ahead.
      const checked = ahead === null && namesForeign(work, readbacks)
      const job: Job = {
        work,
        readbacks,
        again: again && !checked && chunks.length === 1,
        chunks,
        checked,
        entered: false,
        next: 0,
        open: Math.max(1, chunks.length),
        failed: false,
        resolve,
        reject,
      }
      this.#open.add(job)
      if (this.#line.length > 0 || !this.#advanceJob(job)) this.#line.push(() => this.#advanceJob(job))
    })
  }

  hold(work: readonly Work[]): void {
    this.#enter(() => {
      if (!this.#over) this.#held.hold(work)
      return true
    })
  }

  destroy(buffer: WebgpuBuffer, destroyed: () => void): void {
    this.#enter(() => {
      this.#submitHeld(buffer)
      buffer.gpu.destroy()
      destroyed()
      return true
    })
  }

  release(): void {
    this.#released = true
    this.#ahead = null
    this.#ring.destroy()
    this.#advance()
  }

  get #over(): boolean {
    return this.#released || this.#lifeline.lostReason !== null
  }

  #enter(entry: Entry): void {
    if (this.#line.length > 0 || !entry()) this.#line.push(entry)
  }

  #advance(): void {
    while (this.#line.length > 0 && this.#line[0]()) this.#line.shift()
  }

  /** What is held and names this buffer enters before what follows. */
  #submitHeld(buffer: WebgpuBuffer): void {
    if (!this.#held.names(buffer)) return
    this.#device.queue.submit([this.#encodeHeld(this.#held.take())])
    this.counters.submits++
  }

  #writeNow(buffer: WebgpuBuffer, offset: number, bytes: Uint8Array): void {
    const { queue } = this.#device
    this.#submitHeld(buffer)
    const shared = isShared(bytes.buffer)
    if (!shared && bytes.byteLength <= PIECE_BYTES) return queue.writeBuffer(buffer.gpu, offset, bytes as Uint8Array<ArrayBuffer>)
    for (let done = 0; done < bytes.byteLength; done += PIECE_BYTES) {
      const piece = bytes.subarray(done, done + PIECE_BYTES)
      queue.writeBuffer(buffer.gpu, offset + done, shared ? this.#unshared(piece) : (piece as Uint8Array<ArrayBuffer>))
    }
  }

  #unshared(piece: Uint8Array): Uint8Array<ArrayBuffer> {
    this.#scratch ??= new Uint8Array(PIECE_BYTES)
    this.#scratch.set(piece)
    return this.#scratch.subarray(0, piece.byteLength)
  }

  /** @returns true when the whole job is in the GPUQueue, or will never be. */
  #advanceJob(job: Job): boolean {
    while (!job.failed && (!job.entered || job.next < job.chunks.length)) {
      if (this.#over) {
        this.#fail(job, this.#lifeline.failure())
        break
      }
      const chunk = job.next < job.chunks.length ? job.chunks[job.next] : null
      const slot = chunk === null ? null : this.#ring.acquire(chunk.byteLength)
      if (chunk !== null && slot === null && job.entered) return false
      this.#submitPart(job, slot === null ? null : chunk, slot)
    }
    return true
  }

  /** One GPUQueue.submit: the work unless it is in already, and one chunk if there is a slot for it. */
  #submitPart(job: Job, chunk: Chunk | null, slot: Slot | null): void {
    const device = this.#device
    const countsAsPart = chunk !== null || job.chunks.length === 0
    const { value: done, error: refused } = inErrorScopes(device, job.checked ? VALIDATION : [], () => {
      try {
        const commands = this.#takeAhead(job, slot) ?? this.#encode(job, chunk, slot)
        const held = this.#held.take()
        device.queue.submit(held.length === 0 ? [commands] : [this.#encodeHeld(held), commands])
        this.counters.submits++
        if (chunk !== null) this.counters.maps++
        if (chunk !== null) return (slot as Slot).buffer.mapAsync(MAP_MODE_READ, 0, chunk.byteLength)
        return countsAsPart ? device.queue.onSubmittedWorkDone() : Promise.resolve()
      } catch (error) {
        // What is no bind group is refused before the device sees it.
        this.#fail(job, job.checked && error instanceof TypeError ? refusalOf(error) : error)
        return null
      }
    })
    if (done !== null) this.#watch(job, { chunk, slot, done, refused }, countsAsPart)
    else if (slot !== null) this.#ring.release(slot)
    if (done !== null && job.again && chunk !== null && slot !== null) {
      const { work, readbacks, chunks } = job
      this.#ahead = { work, readbacks, chunks, slot, commands: this.#encode(job, chunk, slot) }
    }
    job.entered = true
    if (chunk !== null) job.next++
  }

  #encode(job: Job, chunk: Chunk | null, slot: Slot | null): GPUCommandBuffer {
    const encoder = this.#device.createCommandEncoder()
    if (!job.entered) encodeWork(encoder, job.work, this.#context)
    if (chunk !== null) encodeChunk(encoder, chunk, slot as Slot)
    return encoder.finish()
  }

  #encodeHeld(work: readonly Work[]): GPUCommandBuffer {
    const encoder = this.#device.createCommandEncoder()
    encodeWork(encoder, work, this.#context)
    return encoder.finish()
  }

  #isAhead(work: readonly Work[], readbacks: readonly Readback[]): Ahead | null {
    const ahead = this.#ahead
    return ahead !== null && ahead.work === work && ahead.readbacks === readbacks ? ahead : null
  }

  /** Commands serve once. */
  #takeAhead(job: Job, slot: Slot | null): GPUCommandBuffer | null {
    const ahead = this.#isAhead(job.work, job.readbacks)
    if (ahead === null) return null
    this.#ahead = null
    return ahead.slot === slot ? ahead.commands : null
  }

  #watch(job: Job, part: Part, countsAsPart: boolean): void {
    const { slot, refused } = part
    const settle = (failure: unknown) => this.#settlePart(job, part, countsAsPart, failure)
    wait()
    part.done.then(
      () => {
        wake()
        const failure = deliver(job, part, this.#over)
        // Mostly nobody has anything to add.
        if (failure === null && refused === NO_ERROR && (slot === null || slot.made === null)) settle(null)
        else void this.#verdict(part, failure).then(settle)
      },
      () => {
        wake()
        void this.#verdict(part, NOT_MAPPED).then(settle)
      },
    )
  }

  #settlePart(job: Job, part: Part, countsAsPart: boolean, failure: unknown): void {
    if (part.slot !== null) {
      if (failure === null) this.#ring.release(part.slot)
      else this.#ring.drop(part.slot)
    }
    if (failure !== null) this.#fail(job, failure)
    else if (countsAsPart && --job.open === 0 && !job.failed) {
      this.#open.delete(job)
      job.resolve()
    }
    this.#advance()
  }

  /** What the device says of a part. @returns why its bytes are not home, or null. */
  async #verdict({ slot, refused }: Part, failure: unknown): Promise<unknown> {
    if (slot !== null && slot.made !== null) {
      const shortage = await slot.made
      slot.made = null
      if (shortage !== null) return new DeviceFailure('no-memory', `No memory for a read-back slot of ${slot.byteLength} bytes: ${shortage.message}`)
    }
    const refusal = await refused
    if (refusal !== null) return refusalOf(refusal)
    if (failure !== NOT_MAPPED) return failure
    // Nothing but the end of the device, or of the ring, takes a mapping away.
    if (!this.#released) await this.#lifeline.lost
    return this.#lifeline.failure()
  }

  /** What is not in the GPUQueue yet stays out; parts already there come home in their own time. */
  #fail(job: Job, error: unknown): void {
    if (job.failed) return
    job.failed = true
    this.#open.delete(job)
    job.reject(error)
  }
}

function refusalOf({ message }: { readonly message: string }): SvmError {
  return new SvmError('invalid-value', `The device refused a submission: ${message}`)
}

/** Brings the bytes of a part home. @returns why it could not, or null. */
function deliver(job: Job, { chunk, slot }: Part, over: boolean): unknown {
  if (chunk === null || slot === null) return null
  let failure: unknown = null
  try {
    // After a failure the caller has his array back.
    if (!job.failed && !over) deliverChunk(chunk, slot)
  } catch (error) {
    failure = error
  }
  slot.buffer.unmap()
  return failure
}

function namesForeign(work: readonly Work[], readbacks: readonly Readback[]): boolean {
  return readbacks.some(({ from }) => isForeign(from)) || work.some(isUnchecked)
}

/** Author's groups and foreign buffers come from outside; everything else was made here. */
function isUnchecked(item: Work): boolean {
  switch (item.kind) {
    case 'dispatch':
      return item.authorGroups.length > 0 || item.program.descriptor.authorBindings.length > 0
    case 'copy':
      return isForeign(item.from) || isForeign(item.to)
    case 'clear':
      return isForeign(item.buffer)
  }
}

function isForeign(buffer: DeviceBuffer): boolean {
  return (buffer as WebgpuBuffer).foreign
}

function isShared(buffer: ArrayBufferLike): boolean {
  // Of another realm it may be neither; mostly it is of this one.
  if (buffer instanceof ArrayBuffer) return false
  return Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]'
}
