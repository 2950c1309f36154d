// mutants.mjs: bugs that this kind of software has had, as small changes of the sources. Always: `find` stands exactly once in `file`; what
// comes out still compiles; the test of `caughtBy` fails with it, and its message has `says`.
//
// S0 to S4, PATCH n and the races are told in the kernel's lists of 2020 to 2025; `why` says what went wrong there, or would here.

/**
 * @typedef {{
 *   name: string, file: string, find: string, replace: string, why: string,
 *   caughtBy: { file: string, test: string, says: string }
 * }} Mutant
 */

/** @type {readonly Mutant[]} */
export const MUTANTS = [
  {
    name: 'resident-page-taken-as-a-system-page',
    file: 'src/mm/migrate.ts',
    find: "if ((args.select & SELECT.devicePrivate) === 0) return 'present'",
    replace: "if ((args.select & SELECT.devicePrivate) === 0) return 'take'",
    why: 'S0: the second migrate collected pages that were in place, and copied host bytes that were stale over them.',
    caughtBy: {
      file: 'test/sim/migrate.test.ts',
      test: 'migrate mixed ranges: what is there stays, the rest comes; both directions',
      says: 'present: +0',
    },
  },
  {
    name: 'own-entries-of-pages-that-stay-dropped',
    file: 'src/driver/svmm.ts',
    find: "if (event === 'migrate' && owner === this) return null",
    replace: `if (event === 'migrate' && owner === this) {
      for (let vpn = range.start; vpn < range.end; vpn++) this.vmm.set(vpn, this.vmm.get(vpn) & (PTE.mayLoad | PTE.mayStore))
      return null
    }`,
    why: 'S0: the notifier made the driver drop its own entries of the whole range, those of pages that did not move too.',
    caughtBy: {
      file: 'test/sim/stay.test.ts',
      test: 'pages that stay a migrate of a mixed range takes no entry from the pages that are there already',
      says: 'expected 3 to be +0',
    },
  },
  {
    name: 'notifier-names-the-whole-range',
    file: 'src/mm/migrate.ts',
    find: "space.notifiers.invalidate({ range, event: 'migrate', owner, pages: moving })",
    replace: "space.notifiers.invalidate({ range, event: 'migrate', owner, pages: moving.length > 0 ? null : moving })",
    why: 'As Linux does it still: other mirrors lose the entries of pages that do not move.',
    caughtBy: {
      file: 'test/sim/stay.test.ts',
      test: 'pages that stay another device keeps its copies of pages for which there was no room',
      says: 'expected [ +0, 4 ] to deeply equal [ 4, +0 ]',
    },
  },
  {
    name: 'migrate-ignored-whoever-asked',
    file: 'src/driver/svmm.ts',
    find: "if (event === 'migrate' && owner === this) return null",
    replace: "if (event === 'migrate') return null",
    why: 'PATCH 04/16 without the owner: a driver that ignores every migration keeps entries of pages that another device took.',
    caughtBy: {
      file: 'test/sim/devices.test.ts',
      test: 'two simulated devices read the same page at the same time, and a write on one takes it from the other',
      says: 'to be 48',
    },
  },
  {
    name: 'uninitialised-destination',
    file: 'src/mm/migrate.ts',
    find: 'const dst = new Int32Array(count).fill(-1)',
    replace: 'const dst = new Int32Array(count)',
    why: 'S0 as posted: a page without a destination left copy_one with garbage in dst, and counted as moved there.',
    caughtBy: {
      file: 'test/mm/migrate.test.ts',
      test: 'a compressing store that is full takes what fits; the rest is restored and counted',
      says: "expected 'cccccc' to be 'cccchh'",
    },
  },
  {
    name: 'copy-length-in-the-wrong-unit',
    file: 'src/driver/copy.ts',
    find: 'const bytes = this.#space.hostRun(vma, start + i, adjacent(this.#dmem, frames, i))',
    replace: 'const bytes = this.#space.hostRun(vma, start + i, adjacent(this.#dmem, frames, i) * pageBytes)',
    why: 'S0 patch 1: the copy was told bytes where it counted pages, and wrote over what lay behind.',
    caughtBy: {
      file: 'test/sim/stay.test.ts',
      test: 'pages that are others’ are not written over by a copy: what is copied is as long as what moves',
      says: 'expected 24576 to be 8192',
    },
  },
  {
    name: 'dirty-bit-dropped-at-collect',
    file: 'src/mm/migrate.ts',
    find: 'args.src[i] = state === PAGE.dirty ? SRC.dirty : 0',
    replace: 'args.src[i] = 0',
    why: '4.6: collect cleared a dirty entry without moving the dirty bit; what was stored was lost when the page came home.',
    caughtBy: {
      file: 'test/sim/migrate.test.ts',
      test: 'all or nothing evicts others to make room',
      says: 'expected +0 to be 8192',
    },
  },
  {
    name: 'stores-of-a-pass-not-noted',
    file: 'src/driver/steady-pass.ts',
    find: '  for (const vpn of stored) markStored(mirror, vpn)\n',
    replace: '',
    why: 'A page that a resident pass stored to counts as clean, and comes home without its bytes.',
    caughtBy: {
      file: 'test/sim/coherence.test.ts',
      test: 'faults of kernels a resident launch takes one round, copies nothing, and marks what it stores',
      says: "expected 'ccc' to be 'ddd'",
    },
  },
  {
    name: 'mapping-not-looked-up-after-the-pager',
    file: 'src/mm/populate.ts',
    find: 'arrived = space.addresses.find(vpn) === vma',
    replace: 'arrived = true',
    why: '4.6: a hole filled in between. The range changed while a pager was asked, and what it gave was put there all the same.',
    caughtBy: {
      file: 'test/mm/hmm.test.ts',
      test: 'a range fault starts anew, with its questions, when the range changed while a pager was asked',
      says: 'expected 1 to be greater than 1',
    },
  },
  {
    name: 'pages-that-were-not-taken-lose-their-entries',
    file: 'src/driver/svmm.ts',
    find: `      if (((args.src[i] as number) & SRC.taken) === 0) continue
      const vpn = args.start + i
      this.vmm.set(`,
    replace: `      const vpn = args.start + i
      this.vmm.set(`,
    why: 'nouveau: unmapping with V=0 also hit the pages that the migration had skipped.',
    caughtBy: {
      file: 'test/sim/stay.test.ts',
      test: 'pages that stay a page in the middle of a range that goes home, and is not device-private, keeps its entry',
      says: 'expected 3 to be 2',
    },
  },
  {
    name: 'range-fault-without-a-second-look',
    file: 'src/mm/hmm.ts',
    find: '    await resolve(range, missing)\n',
    replace:
      "    await resolve(range, missing)\n    if (round >= 0) {\n      commit?.(range.space.notifiers.readBegin(range.subscription))\n      return 'ok'\n    }\n",
    why: '4.6: a notifier ran between the walk and the entry. Whoever does not retry maps what is no longer true.',
    caughtBy: {
      file: 'test/mm/hmm.test.ts',
      test: 'a range fault waits for pages that migrate',
      says: "to deeply equal [ 'ok', 'hhhhhh' ]",
    },
  },
  {
    name: 'ticket-drawn-during-an-invalidation-holds',
    file: 'src/mm/notifier.ts',
    find: 'sequence: (this.#sequence & 1) === 1 ? NEVER : subscription.sequence',
    replace: 'sequence: subscription.sequence',
    why: '4.6: an interval that is looked at while an invalidation runs. What is read then must be read again.',
    caughtBy: {
      file: 'test/mm/notifier.test.ts',
      test: 'tickets drawn while an invalidation runs hold for nothing, then or later',
      says: 'expected false to be true',
    },
  },
  {
    name: 'entries-dropped-after-the-copy',
    file: 'src/driver/svmm.ts',
    find: '    this.#dropEntries(args)\n',
    replace: '',
    why: 'PATCH 03/16: on the way home the device could store to a page whose bytes were being read. The entries went only afterwards.',
    caughtBy: {
      file: 'test/sim/stay.test.ts',
      test: 'pages that move home have lost their entries before their bytes are read',
      says: 'to deeply equal [ +0 ]',
    },
  },
  {
    name: 'failed-copy-counts-as-moved',
    file: 'src/driver/svmm.ts',
    find: '      args.dst.fill(-1)\n',
    replace: '',
    why: 'A copy fails, and the pages are committed to the host all the same: restoring was skipped.',
    caughtBy: {
      file: 'test/sim/stay.test.ts',
      test: 'pages that move home stay where they are when their copy fails',
      says: "expected 'm' to be 'd'",
    },
  },
  {
    name: 'read-only-copy-kept-beside-the-page',
    file: 'src/driver/bind.ts',
    find: 'args.dst[i] = mirror.takeSystemFrame(args.start + i)',
    replace: 'args.dst[i] = mirror.systemFrame(args.start + i)',
    why: 'A frame that is the page and a read-only copy at once is freed twice.',
    caughtBy: {
      file: 'test/sim/coherence.test.ts',
      test: 'faults of kernels turning a copy device-private copies nothing',
      says: 'invariant 45: simulated device counts',
    },
  },
  {
    name: 'zero-page-not-cleared',
    file: 'src/driver/bind.ts',
    find: '  if (zero !== null) mirror.copies.clear(zero)\n',
    replace: '',
    why: 'A hole that migrates shows what the frame held before: somebody else’s data.',
    caughtBy: {
      file: 'test/sim/stay.test.ts',
      test: 'pages that are others’ do not shine through zeros: a frame that is used again is cleared',
      says: 'invariant 1:',
    },
  },
  {
    name: 'copy-kept-after-a-host-write',
    file: 'src/mm/fault.ts',
    find: "        if (access !== 'read') changed.push(vpn)\n",
    replace: '',
    why: 'The host writes, and a device goes on reading its copy of before.',
    caughtBy: {
      file: 'test/sim/coherence.test.ts',
      test: 'the host writes, and the copies of devices go',
      says: "to be 'hmm'",
    },
  },
  {
    name: 'pinned-page-evicted',
    file: 'src/driver/evict.ts',
    find: 'if (space.pages.state(vpn) !== PAGE.migrating && !keeps(vpn)) found.push(vpn)',
    replace: 'if (space.pages.state(vpn) !== PAGE.migrating) found.push(vpn)',
    why: 'Room is made with the pages that it is made for.',
    caughtBy: {
      file: 'test/sim/stay.test.ts',
      test: 'pages that are others’ stay when room is made, if they are pinned',
      says: "to deeply equal [ 'hccc', 5 ]",
    },
  },
  {
    name: 'migrating-page-not-waited-for',
    file: 'src/mm/fault.ts',
    find: 'if (space.pages.state(vpn) === PAGE.migrating) migrating = true',
    replace: 'if (space.pages.state(vpn) === PAGE.migrating) migrating = false',
    why: '4.6: two devices at one range, each told that it is busy; the one that does not wait never gets it.',
    caughtBy: {
      file: 'test/mm/migrate.test.ts',
      test: 'a page that migrates is waited for by the host, and by nobody taken twice',
      says: 'is at home when the host takes it',
    },
  },
  {
    name: 'foreign-pages-sent-home-as-own',
    file: 'src/mm/migrate.ts',
    find: "      if (pages.memory(vpn) !== args.owner.memory) return 'busy'\n",
    replace: '',
    why: 'Homeward without the owner filter, another device’s page is copied from a frame of the wrong device.',
    caughtBy: {
      file: 'test/mm/migrate.test.ts',
      test: 'the direction homeward takes from nobody but the owner that is named',
      says: 'frame 0 is freed once',
    },
  },
  {
    name: 'table-not-flushed',
    file: 'src/driver/pass-table.ts',
    find: '    this.#words[index] = this.#plain(index, pte)\n    setBit(this.#changed, index)\n',
    replace: '    this.#words[index] = this.#plain(index, pte)\n',
    why: 'The entries changed and the device was not told: it goes by a table of before.',
    caughtBy: {
      file: 'test/sim/coherence.test.ts',
      test: 'the host writes, and the copies of devices go',
      says: 'made no progress',
    },
  },
  {
    name: 'tail-of-a-partial-unmap-stays',
    file: 'src/mm/unmap.ts',
    find: '    pages.clearRange(range)\n',
    replace: '    pages.clearRange({ start: range.start, end: range.end - 1 })\n',
    why: '4.6: a partial munmap left the tail of the range as it was.',
    caughtBy: {
      file: 'test/sim/stay.test.ts',
      test: 'pages that are others’ leave nothing behind: what is mapped where they were has never been touched',
      says: "[ '..c'",
    },
  },
  {
    name: 'frames-of-unmapped-pages-kept',
    file: 'src/mm/unmap.ts',
    find: 'if (state === PAGE.clean || state === PAGE.dirty) space.owners',
    replace: 'if (state === PAGE.dirty) space.owners',
    why: 'Device pages of an unmapped range were not given back: memory that nobody owns.',
    caughtBy: {
      file: 'test/sim/migrate.test.ts',
      test: 'frames and pools come with the first migration and go with the last page',
      says: 'framesUsed',
    },
  },
  {
    name: 'report-that-is-lost-means-nothing-stored',
    file: 'src/driver/steady-pass.ts',
    find: '    if (mirror.device.lostReason === null) noteAllStores(mirror)\n',
    replace: '',
    why: 'Found by svm fuzz: a pass ran, its report did not arrive, and what it had stored to counted as clean.',
    caughtBy: {
      file: 'test/sim/found.test.ts',
      test: 'a pass whose report does not arrive resident: what it may have stored to is not taken for clean',
      says: 'invariant 1:',
    },
  },
]
