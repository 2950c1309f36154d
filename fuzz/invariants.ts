// The 64 invariants of an SVM stack, and where each is held here. Always: every number from 1 to 64 stands once; what the fuzzer checks is counted in
// its report by the same number; ARCHITECTURE.md prints this table, and a test compares the two.

/**
 * `await`: at every await of every operation; `invalidation`: during each invalidation; `rest`: after each step, when nothing is under way;
 * `operation`: of each operation that it concerns; `run`: of a whole run; `construction`: nothing else can be written, or an assertion stands in the
 * way; `suite`: a test of the suites holds it, and the fuzzer does not; `none`: it has no meaning here.
 */
export type Where = 'await' | 'invalidation' | 'rest' | 'operation' | 'run' | 'construction' | 'suite' | 'none'

export interface Invariant {
  readonly id: number
  readonly sentence: string
  readonly where: Where
  /** By what: a file, an assertion, a test; or why it has no meaning. */
  readonly how: string
}

const CHECK = '`fuzz/check.ts`'
const rows: readonly (readonly [id: number, where: Where, sentence: string, how: string])[] = [
  [
    1,
    'rest',
    'A page has one current copy; copies that could differ are never both readable.',
    `${CHECK}: frames counted against the state, bytes of copies compared`,
  ],
  [2, 'rest', 'What the host table says of a page is where its bytes are; untouched pages are zero.', CHECK],
  [
    3,
    'operation',
    'A read gives what was last written, whoever wrote and however often the page moved.',
    '`fuzz/model.ts`: every read, mapping and kernel against a map of bytes',
  ],
  [
    4,
    'await',
    'Moving never changes bytes; a hole becomes zeros; what does not move keeps its entry.',
    '`fuzz/run.ts`: every page compared where it lies; `fuzz/check.ts`: entries at every await; `fuzz/race.ts`, `mixed`',
  ],
  [5, 'await', 'A frame belongs to one page.', CHECK],
  [6, 'none', 'Copy on write after fork.', 'an address space has no fork'],
  [7, 'none', 'mremap moves bytes with the address.', 'there is no mremap'],
  [
    8,
    'rest',
    'Unmapping frees the copy wherever it is; what is mapped there next reads as zero.',
    '`fuzz/check.ts`: no page and no cached byte outside of mappings, also when one goes while a pager is asked (`fuzz/race.ts`)',
  ],
  [9, 'await', 'A page is in one of eight states; the host reads no device page.', `${CHECK}; \`mm/page-table\`: arrows refuse other starts`],
  [10, 'await', 'An entry grants no more than the mapping.', CHECK],
  [11, 'operation', 'A host access brings the page home or fails.', `${CHECK}, \`taken\`; \`mm/fault\`: \`settle\` asserts it`],
  [12, 'await', 'A page migrates only while somebody is at it.', CHECK],
  [
    13,
    'rest',
    'What was stored is never forgotten: only pages with unseen stores are lost with a device.',
    '`fuzz/run.ts`: losses against what kernels stored',
  ],
  [14, 'await', 'A page that is pinned or mapped by the host does not move.', `${CHECK}; evictions of the fuzzer pin pages`],
  [15, 'await', 'An entry with a right names the page’s present place, in a readable mapping.', CHECK],
  [16, 'await', 'An entry that can be stored to: device-private here, writable mapping, no host mapping.', CHECK],
  [17, 'invalidation', 'When an invalidation returns, nobody who was told has a right to its pages left.', `${CHECK}, \`watch\``],
  [
    18,
    'invalidation',
    'Nobody makes an entry between its begin and its end.',
    '`fuzz/check.ts`, `watch`: entries are looked at after the callbacks, and again after the body',
  ],
  [
    19,
    'await',
    'A driver ignores its own migrations only, and drops exactly the entries of pages that move, before the copy.',
    `${CHECK}: a page that migrates has no right anywhere`,
  ],
  [
    20,
    'operation',
    'Entries of pages that stay are left alone: none lost, no fault more.',
    '`fuzz/check.ts`, `watch`; `fuzz/command.ts`: a second equal migrate; `fuzz/launch.ts`: what was migrated is run without a fault',
  ],
  [21, 'await', 'Another device loses its entry whenever the page moves.', CHECK],
  [22, 'await', 'The first and the topmost page are never mapped.', CHECK],
  [23, 'rest', 'Every entry is what it should be, outside of mappings too; what is counted of them is right.', CHECK],
  [
    24,
    'suite',
    'The device’s table is flushed before frames are used again.',
    'the device keeps the order of its queue; `test/sim/coherence.test.ts` fails without the flush (mutant table-not-flushed)',
  ],
  [25, 'await', 'Live frames have different addresses, and an entry names its page’s.', CHECK],
  [26, 'await', 'The sequence never decreases, and is odd exactly during an invalidation.', `${CHECK}, also inside`],
  [27, 'invalidation', 'A ticket drawn during an invalidation holds for nothing.', `${CHECK}, \`watch\``],
  [28, 'invalidation', 'A ticket survives no invalidation but the own migration.', `${CHECK}, \`watch\``],
  [29, 'invalidation', 'Who comes during an invalidation counts as invalidated.', `${CHECK}, \`watch\`: a mirror is inserted inside each`],
  [30, 'invalidation', 'Begin and end come in pairs.', 'one call; the sequence moves by two'],
  [31, 'operation', 'Setup counts what it takes, and what it takes migrates.', '`fuzz/race.ts`: migrations that are set up and given up'],
  [32, 'operation', 'A setup with nothing to do changes nothing.', '`fuzz/race.ts`, `fuzz/command.ts`'],
  [33, 'operation', 'Only pages that direction and owner allow are collected.', '`fuzz/race.ts`'],
  [
    34,
    'construction',
    'The source list is setup’s, the destinations are the owner’s.',
    '`driver/bind`: one function fills them, between setup and pages, without an await',
  ],
  [35, 'rest', 'A page that did not move is not mapped, and its frame is free.', `${CHECK}: used frames are those that pages name`],
  [36, 'rest', 'After finalize no page is left migrating and no frame without a page.', `${CHECK}, \`fuzz/race.ts\``],
  [37, 'rest', 'A copy is complete before its page can be seen.', 'read-backs arrive when the seed says so; bytes are compared'],
  [
    38,
    'operation',
    'A migration that fails leaves bytes, rights and places as they were.',
    '`fuzz/command.ts`, `fuzz/race.ts`: frames and entries after a failure; every byte after each injected failure',
  ],
  [39, 'none', 'Pages of files are never collected to a device.', 'here they are: a pager’s page goes to the device, and the pager still has it'],
  [40, 'operation', 'To migrate twice is to migrate once.', '`fuzz/command.ts`: the second moves nothing and writes no entry; frames and entries page by page'],
  [41, 'operation', 'A page that was sent for is at home, or somebody else changed it.', '`fuzz/race.ts`, `mixed`'],
  [42, 'operation', 'Moved, present, discarded and skipped add up.', '`fuzz/command.ts`, `fuzz/race.ts`'],
  [43, 'await', 'Free and used frames add up, pool by pool.', '`DeviceMemory.assertCounts`'],
  [44, 'await', 'A free frame has no page, a used one knows its own.', CHECK],
  [45, 'rest', 'No frame is left without a page; nothing is left after close.', `${CHECK}, \`fuzz/run.ts\``],
  [46, 'run', 'A failed allocation leaves nothing half made.', '`fuzz/run.ts`: what devices hold after close, where allocations failed'],
  [47, 'await', 'The budget holds; making room ends, and makes what it can.', `${CHECK}, \`fuzz/race.ts\``],
  [48, 'construction', 'A fault that was reported is served or fails the command.', 'faults are bitmaps, read whole; nothing overflows (`abi/fault-record`)'],
  [49, 'operation', 'An access that is replayed succeeds, or faults again and is served.', 'every launch ends, with what its twin says'],
  [50, 'operation', 'A launch fails only for a reason that is there.', '`fuzz/launch.ts`: the words that it touches say which'],
  [51, 'operation', 'Hints of poisoned work-items harm nobody.', '`fuzz/kernels.ts`: `chase` follows null'],
  [52, 'operation', 'The order of service changes nothing but rounds.', 'orders and windows by seed; the twin runs in one'],
  [53, 'rest', 'What is mapped for a fault is cut to the mapping.', `${CHECK}: entries beyond are 0`],
  [54, 'await', 'An exclusive entry is the only one.', CHECK],
  [55, 'operation', 'A host access takes the exclusive right away.', `${CHECK}, \`taken\``],
  [56, 'operation', 'A store after the right was taken fails.', '`fuzz/launch.ts`: launches that store to protected pages'],
  [
    57,
    'construction',
    'Callbacks take no lock that their caller has.',
    'an invalidation is synchronous and may not nest; there is no lock but a page’s `migrating`',
  ],
  [58, 'run', 'Every loop ends, every wait can.', '`fuzz/scheduler.ts`: a wait that nobody ends, and a run without end, are failures'],
  [59, 'rest', 'When nobody touches a page any more it stays.', '`fuzz/run.ts`: a turn of the event loop later no page, entry or sequence has changed'],
  [60, 'rest', 'At rest nothing is locked, pending or deferred.', '`fuzz/run.ts`: nothing waits; `fuzz/check.ts`: no page migrates'],
  [61, 'rest', 'A device that goes takes nobody else’s data, and in good order not its own.', '`fuzz/run.ts`, releases and losses'],
  [62, 'run', 'The same seed and operations give the same trace and counts.', '`fuzz/suite.ts`: each run twice'],
  [63, 'none', 'Parts of a large page stay together.', 'pages have one size'],
  [
    64,
    'operation',
    'From one device to another a page passes through a state in which neither maps it.',
    '`fuzz/race.ts`, `abandon`: a setup takes nobody else’s pages',
  ],
]

export const INVARIANTS: readonly Invariant[] = rows.map(([id, where, sentence, how]) => ({ id, where, sentence, how }))

/** Those that a report of the fuzzer counts. */
export const COUNTED: readonly number[] = INVARIANTS.filter(({ where }) => !['construction', 'suite', 'none'].includes(where)).map(({ id }) => id)

/** The table of ARCHITECTURE.md. */
export function printInvariants(): string {
  const lines = INVARIANTS.map(({ id, sentence, where, how }) => `| ${id} | ${sentence} | ${where === 'none' ? '–' : where} | ${how} |`)
  return ['| | invariant | checked | by, or why not |', '| --- | --- | --- | --- |', ...lines].join('\n')
}
