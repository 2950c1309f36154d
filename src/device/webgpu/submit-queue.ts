// The way into a GPUQueue.
//
// Always:
// - Writes, submissions and destructions enter in the order of the calls. What cannot enter at once, because a read-back before it waits for
//   a slot of the ring, waits in line with everything behind it.
// - A submission's work enters in one piece, with its first read-backs; further read-backs follow as slots come free, and nothing gets between.
// - A submission that names something of the program's own (bind groups, buffers) rejects when the device refuses it: stale bytes never look
//   like a success. What names only our own is not asked about: that costs a tenth of a small submission.

import { SvmError } from '../../base/error.ts'
import { type DeviceBuffer, DeviceFailure, type Readback, type Work } from '../device.ts'
import { MAP_MODE_READ, type WebgpuBuffer } from './buffers.ts'
import { type EncodeContext, encodeWork } from './encode.ts'
import type { Lifeline } from './lifeline.ts'
import { type Chunk, deliverChunk, encodeChunk, planChunks, type ReadbackRing, type Slot } from './readback-ring.ts'
import { inErrorScopes } from './scope.ts'

/**
 * A large write enters in pieces: the device's upload memory is then reused while it is warm. Measured with Dawn, 64 MiB into a buffer that
 * kernels write to: 54 ms in one piece, 16 ms so. (Smaller pieces win less where Dawn writes directly, into buffers that no kernel wrote.)
 */
const PIECE_BYTES = 2 * 1024 * 1024

const VALIDATION: readonly GPUErrorFilter[] = ['validation']

/** Does its part now and returns true, or returns false to be asked again when a slot is free. */
type Entry = () => boolean

interface Job {
  readonly work: readonly Work[]
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

export class SubmitQueue {
  readonly counters = { submits: 0, maps: 0 }
  readonly #device: GPUDevice
  readonly #lifeline: Lifeline
  readonly #ring: ReadbackRing
  readonly #context: EncodeContext
  readonly #line: Entry[] = []
  /** Bytes of shared memory are copied through this: Node's binding crashes on shared views. */
  #scratch: Uint8Array<ArrayBuffer> | null = null
  #released = false

  constructor(device: GPUDevice, lifeline: Lifeline, ring: ReadbackRing, context: EncodeContext) {
    this.#device = device
    this.#lifeline = lifeline
    this.#ring = ring
    this.#context = context
    lifeline.onLost(() => this.#advance())
  }

  write(buffer: GPUBuffer, offset: number, bytes: Uint8Array): void {
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

  submit(work: readonly Work[], readbacks: readonly Readback[]): Promise<void> {
    if (this.#over) return Promise.reject(this.#lifeline.failure())
    const done = new Promise<void>((resolve, reject) => {
      const chunks = planChunks(readbacks, this.#ring.slotBytes)
      const checked = namesForeign(work, readbacks)
      const job: Job = { work: [...work], chunks, checked, entered: false, next: 0, open: Math.max(1, chunks.length), failed: false, resolve, reject }
      this.#enter(() => this.#advanceJob(job))
    })
    return this.#lifeline.guard(done)
  }

  destroy(buffer: WebgpuBuffer, destroyed: () => void): void {
    this.#enter(() => {
      buffer.gpu.destroy()
      destroyed()
      return true
    })
  }

  release(): void {
    this.#released = true
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

  #writeNow(buffer: GPUBuffer, offset: number, bytes: Uint8Array): void {
    const { queue } = this.#device
    const shared = isShared(bytes.buffer)
    for (let done = 0; done < bytes.byteLength; done += PIECE_BYTES) {
      const piece = bytes.subarray(done, done + PIECE_BYTES)
      queue.writeBuffer(buffer, offset + done, shared ? this.#unshared(piece) : (piece as Uint8Array<ArrayBuffer>))
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
        fail(job, this.#lifeline.failure())
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
        const encoder = device.createCommandEncoder()
        if (!job.entered) encodeWork(encoder, job.work, this.#context)
        if (chunk !== null) encodeChunk(encoder, chunk, slot as Slot)
        device.queue.submit([encoder.finish()])
        this.counters.submits++
        if (chunk !== null) this.counters.maps++
        if (chunk !== null) return (slot as Slot).buffer.mapAsync(MAP_MODE_READ, 0, chunk.byteLength)
        return countsAsPart ? device.queue.onSubmittedWorkDone() : Promise.resolve()
      } catch (error) {
        fail(job, error)
        return null
      }
    })
    job.entered = true
    if (chunk !== null) job.next++
    if (done !== null) void this.#finishPart(job, { chunk, slot, done, refused }, countsAsPart)
    else if (slot !== null) this.#ring.release(slot)
  }

  async #finishPart(job: Job, part: Part, countsAsPart: boolean): Promise<void> {
    const failure = await this.#outcome(job, part)
    if (part.slot !== null) {
      if (failure === null) this.#ring.release(part.slot)
      else this.#ring.drop(part.slot)
    }
    if (failure !== null) fail(job, failure)
    else if (countsAsPart && --job.open === 0 && !job.failed) job.resolve()
    this.#advance()
  }

  /** Brings the bytes of a part home. @returns why it could not, or null. */
  async #outcome(job: Job, { chunk, slot, done, refused }: Part): Promise<unknown> {
    let failure: unknown = null
    try {
      await done
    } catch {
      failure = 'not mapped'
    }
    if (failure === null && chunk !== null && slot !== null) {
      try {
        // After a failure the caller has his array back.
        if (!job.failed && !this.#over) deliverChunk(chunk, slot)
      } catch (error) {
        failure = error
      }
      slot.buffer.unmap()
    }
    if (slot !== null && slot.made !== null) {
      const shortage = await slot.made
      slot.made = null
      if (shortage !== null) return new DeviceFailure('no-memory', `No memory for a read-back slot of ${slot.byteLength} bytes: ${shortage.message}`)
    }
    const refusal = await refused
    if (refusal !== null) return new SvmError('invalid-value', `The device refused a submission: ${refusal.message}`)
    if (failure !== 'not mapped') return failure
    // Nothing but the end of the device, or of the ring, takes a mapping away.
    if (!this.#released) await this.#lifeline.lost
    return this.#lifeline.failure()
  }
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

/** What is not in the GPUQueue yet stays out; parts already there come home in their own time. */
function fail(job: Job, error: unknown): void {
  if (job.failed) return
  job.failed = true
  job.reject(error)
}

function isShared(buffer: ArrayBufferLike): boolean {
  return Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]'
}
