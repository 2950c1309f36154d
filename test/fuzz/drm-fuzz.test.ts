// drm-fuzz.test.ts: the request boundary under requests that are nearly right. `npm run fuzz:drm` sends a million; the suite a share of them.
// A finding names its seed and step: `SVM_FUZZ_SEED=… SVM_FUZZ_REQUESTS=… npm run fuzz:drm`.

import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { CHECKS } from '../../src/drm/refuse.ts'
import { checkShape, FIELD_CHECKS } from '../../src/drm/shape.ts'
import { fuzzRequests } from './drm-fuzz.ts'

const MINUTE = 60_000
const requests = Number(process.env.SVM_FUZZ_REQUESTS ?? 50_000)
const seed = Number(process.env.SVM_FUZZ_SEED ?? 1)
/** A thousand in a million; the share of that in a shorter run. */
const least = Math.floor(requests / 1000)

describe('the request boundary', () => {
  it(`${requests} requests (seed ${seed}): every check refuses at least ${least} times, and no refusal changes anything`, {
    timeout: 30 * MINUTE,
  }, async () => {
    const census = await fuzzRequests(seed, requests)
    const known = [...CHECKS, ...FIELD_CHECKS]
    const counts = known.map((check) => [check, census.checks.get(check) ?? 0] as const).sort((a, b) => a[1] - b[1])
    const { checks: _checks, ...totals } = census
    if (process.env.SVM_FUZZ_REPORT !== undefined) {
      writeFileSync(process.env.SVM_FUZZ_REPORT, `${JSON.stringify({ seed, ...totals, checks: Object.fromEntries(counts) }, null, 2)}\n`)
    }
    expect(counts.filter(([, count]) => count < least)).toEqual([])
    expect([...census.checks.keys()].filter((check) => !known.includes(check))).toEqual([])
    expect(census.valid).toBe(Math.floor(requests / 100))
    expect(census.refused).toBeGreaterThan(0.7 * requests)
  })

  it('every check is asked in one place of drm/', () => {
    const folder = new URL('../../src/drm/', import.meta.url)
    const text = ['copy', 'exec', 'host-access', 'local-port', 'mapping', 'ranges', 'resources', 'shape']
      .map((name) => readFileSync(new URL(`${name}.ts`, folder), 'utf8'))
      .join('')
    const places = CHECKS.map((check) => [check, text.split(new RegExp(`refuse\\(\\s*'${check}'`)).length - 1])
    expect(places.filter(([, count]) => count !== 1)).toEqual([])
    expect(/new SvmError\(\s*'invalid-value'/.test(text), 'use refuse()').toBe(false)
  })

  it.each(['5', 'null', '{"pointer": 0}'])('a key __proto__ (%s) is no field of a request, and is not dropped from its copy in silence', (value) => {
    const request = JSON.parse(`{"pointer": 65536, "__proto__": ${value}}`)
    expect(Object.keys(request)).toContain('__proto__')
    expect(() => checkShape('SVM_LOOKUP', request)).toThrow(/plain data/)
    expect(checkShape('SVM_LOOKUP', { pointer: 65536 })).toEqual({ pointer: 65536 })
  })
})
