// The policy of a space as it was wished for, checked and made whole. Always: a space that opens has a policy whose every part is what it should be, so
// that nothing about it can first be found out when memory is short.

import { SvmError } from '../base/error.ts'
import { lru } from './lru.ts'
import type { EvictionPolicy, PolicyOptions } from './policy.ts'
import { THRASH_RULES, type ThrashRules } from './thrash.ts'

export interface Policy {
  readonly eviction: EvictionPolicy
  readonly prefetches: boolean
  readonly direct: boolean
  readonly pools: number | undefined
  readonly thrash: ThrashRules | null
}

const KEYS: readonly string[] = ['eviction', 'prefetch', 'direct', 'pools', 'thrash'] satisfies (keyof PolicyOptions)[]

/** @param poolsMax pools that a space can have @throws SvmError invalid-value */
export function checkPolicy(wish: PolicyOptions | undefined, poolsMax: number): Policy {
  const given = record('policy', wish === undefined ? {} : wish, KEYS)
  const { eviction = lru, prefetch = 'density', direct = true, pools, thrash = {} } = given as PolicyOptions
  if (typeof eviction?.victims !== 'function' || typeof eviction.name !== 'string')
    wrong('policy.eviction', '{ name, victims(lastUse, dirty, wanted) }', eviction)
  if (prefetch !== 'density' && prefetch !== 'none') wrong('policy.prefetch', "'density' or 'none'", prefetch)
  if (typeof direct !== 'boolean') wrong('policy.direct', 'true or false', direct)
  if (pools !== undefined && !isCount(pools, poolsMax)) wrong('policy.pools', `a whole number from 1 to ${poolsMax}`, pools)
  return { eviction, prefetches: prefetch === 'density', direct, pools, thrash: thrash === false ? null : thrashRules(thrash) }
}

function thrashRules(wish: Partial<ThrashRules>): ThrashRules {
  const rules = { ...THRASH_RULES, ...record('policy.thrash', wish, Object.keys(THRASH_RULES)) }
  for (const [name, value] of Object.entries(rules)) if (!isCount(value)) wrong(`policy.thrash.${name}`, 'a whole number of at least 1', value)
  return rules
}

function record(name: string, value: unknown, keys: readonly string[]): object {
  if (typeof value !== 'object' || value === null) wrong(name, `an object with any of ${keys.join(', ')}`, value)
  const unknown = Object.keys(value).find((key) => !keys.includes(key))
  if (unknown !== undefined) throw new SvmError('invalid-value', `${name} has no '${unknown}'; it may have ${keys.join(', ')}.`)
  return value
}

function isCount(value: unknown, most = Number.MAX_SAFE_INTEGER): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= most
}

function wrong(name: string, expected: string, met: unknown): never {
  const text = typeof met === 'object' && met !== null ? 'another object' : (JSON.stringify(met) ?? String(met))
  throw new SvmError('invalid-value', `${name} must be ${expected}, but is ${text}.`)
}
