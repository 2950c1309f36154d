// One reading of a kernel for bounds.ts: statements and the state that they change.
//
// Always: the state holds every value that a variable can have where the reading stands; null, where nobody can come. What is read under a condition that is
// neither always true nor always false changes the state as if it may or may not have been. `certain` is only what every work-item does.

import { Evaluator, type Host } from './evaluator.ts'
import { type Extent, Unbounded } from './extents.ts'
import type { FunctionDeclaration } from './module.ts'
import { anyOf, binary, clip, gcd, isAny, type Range, rangeOf } from './ranges.ts'
import type { Expression, Loop, Statement } from './syntax.ts'
import { anyLike, anyOfType, conform, either, held, UNKNOWN, type Value } from './values.ts'

/** Statements and expressions that one reading may take. */
const STEPS_MAX = 50_000
const DEPTH_MAX = 16

export class Reading extends Evaluator {
  readonly extents: Extent[] = []
  #slots: Value[] | null = []
  #scopes: Map<string, number>[] = [new Map()]
  /** Conditions around the statement that is read, of which nobody knows whether they hold. */
  #conditions = 0
  /** Somebody may have left before. */
  #left = false
  #returned: Value | null = null
  #depth = 0
  #steps = 0

  constructor(host: Host) {
    super(host)
  }

  protected get certain(): boolean {
    return this.#conditions === 0 && !this.#left
  }

  protected step(): void {
    if (++this.#steps > STEPS_MAX) throw new Unbounded()
  }

  protected note(extent: Extent): void {
    this.extents.push(extent)
  }

  protected local(name: string): Value | null {
    const slot = this.#slotOf(name)
    return slot === null ? null : ((this.#slots as Value[])[slot] as Value)
  }

  /** What a function gives for these values. Nothing of the caller's changes: there are no pointers. */
  call(declaration: FunctionDeclaration, values: readonly Value[]): Value {
    if (this.#depth >= DEPTH_MAX) throw new Unbounded()
    const outer = { slots: this.#slots, scopes: this.#scopes, returned: this.#returned }
    this.#scopes = [new Map()]
    this.#slots = [...(outer.slots ?? [])]
    this.#returned = null
    this.#depth++
    declaration.parameters.forEach(({ name, type }, n) => {
      this.#declare(name, conform(values[n] ?? UNKNOWN, this.#anyOf(type)))
    })
    this.#block(this.host.bodyOf(declaration))
    const returned = conform(this.#returned ?? UNKNOWN, this.#anyOf(declaration.returnType))
    this.#depth--
    this.#slots = outer.slots
    this.#scopes = outer.scopes
    this.#returned = outer.returned
    return returned
  }

  #anyOf(type: string): Value {
    return type === '' ? UNKNOWN : anyOfType(this.host.plain(type), this.host.fieldsOf)
  }

  #slotOf(name: string): number | null {
    for (let n = this.#scopes.length - 1; n >= 0; n--) {
      const slot = (this.#scopes[n] as Map<string, number>).get(name)
      if (slot !== undefined) return slot
    }
    return null
  }

  #declare(name: string, value: Value): void {
    const slots = this.#slots as Value[]
    ;(this.#scopes[this.#scopes.length - 1] as Map<string, number>).set(name, slots.length)
    slots.push(value)
  }

  #set(name: string, value: Value): void {
    const slot = this.#slotOf(name)
    if (slot !== null && this.#slots !== null) this.#slots[slot] = value
  }

  #forget(names: Iterable<string>): void {
    for (const name of names) {
      const value = this.local(name)
      if (value !== null) this.#set(name, anyLike(value))
    }
  }

  #block(body: readonly Statement[]): void {
    this.#scopes.push(new Map())
    for (const statement of body) {
      if (this.#slots === null) break
      this.#statement(statement)
    }
    this.#scopes.pop()
  }

  #statement(statement: Statement): void {
    this.step()
    switch (statement.kind) {
      case 'block':
        return this.#block(statement.body)
      case 'declare':
        return this.#declaration(statement)
      case 'assign':
        return this.#assign(statement)
      case 'call':
        this.evaluate(statement.call)
        return
      case 'if':
        return this.#branch(statement)
      case 'loop':
        return this.#loop(statement)
      case 'switch':
        return this.#switch(statement)
      case 'return':
        return this.#return(statement.value)
      case 'leave':
        return this.#leave()
    }
  }

  #declaration({ word, name, type, value }: Statement & { kind: 'declare' }): void {
    const any = this.#anyOf(type)
    if (value === null) return this.#declare(name, any)
    const found = this.evaluate(value)
    this.#declare(name, type !== '' ? conform(found, any) : word === 'const' ? found : held(found))
  }

  #leave(): void {
    if (this.#conditions > 0) this.#left = true
    this.#slots = null
  }

  #return(expression: Expression | null): void {
    if (expression !== null) {
      const value = this.evaluate(expression)
      this.#returned = this.#returned === null ? value : either(this.#returned, value)
    }
    this.#leave()
  }

  #assign({ target, operator, value }: Statement & { kind: 'assign' }): void {
    const found = this.evaluate(value)
    if (target === null) return
    const before = this.evaluate(target)
    const sign = operator === '++' || operator === '--' ? (operator[0] as string) : operator
    const after = conform(sign === '' ? found : this.operate(sign, before, found), before)
    if (target.kind === 'name') return this.#set(target.name, after)
    let root: Expression = target
    while (root.kind === 'member' || root.kind === 'index') root = root.of
    if (root.kind !== 'name') throw new Unbounded()
    const whole = this.local(root.name)
    if (whole !== null) this.#set(root.name, anyLike(whole))
  }

  #branch({ condition, then, otherwise }: Statement & { kind: 'if' }): void {
    const found = this.evaluate(condition)
    const truth = found.kind === 'truth' ? found.truth : null
    if (truth !== null) return this.#block(truth ? then : otherwise)
    const before = this.#slots as Value[]
    const run = (body: readonly Statement[], holds: boolean) => {
      this.#slots = [...before]
      this.#refine(condition, holds)
      if (this.#slots !== null) this.#block(body)
      return this.#slots
    }
    this.#conditions++
    const one = run(then, true)
    const other = run(otherwise, false)
    this.#conditions--
    this.#slots = joined(one, other, before.length)
  }

  #switch({ selector, cases, assigned }: Statement & { kind: 'switch' }): void {
    this.evaluate(selector)
    this.#forget(assigned)
    const before = this.#slots as Value[]
    this.#conditions++
    for (const body of cases) {
      this.#slots = [...before]
      this.#block(body)
    }
    this.#conditions--
    this.#slots = before
  }

  #loop(loop: Loop): void {
    this.#scopes.push(new Map())
    if (loop.init !== null) this.#statement(loop.init)
    this.#forget(loop.assigned)
    const sure = loop.condition === null || this.#holds(loop.condition)
    this.#count(loop)
    const around = [...(this.#slots as Value[])]
    if (loop.condition !== null) {
      this.evaluate(loop.condition)
      this.#refine(loop.condition, true)
    }
    const certain = sure && !loop.leaves
    if (!certain) this.#conditions++
    this.#scopes.push(new Map())
    const before = this.#slots === null ? null : [...(this.#slots as Value[])]
    for (const statement of loop.body) {
      if (this.#slots === null) break
      this.#statement(statement)
    }
    if (before !== null) {
      // Who comes here may have left the body anywhere: what it declares can be anything.
      const declared = Math.max(0, ...[...(this.#scopes[this.#scopes.length - 1] as Map<string, number>).values()].map((slot) => slot + 1))
      while (before.length < declared) before.push(UNKNOWN)
      this.#slots = before
      for (const statement of loop.continuing) if (this.#slots !== null) this.#statement(statement)
    }
    this.#scopes.pop()
    if (before !== null && loop.update !== null) {
      // What the body assigns to is no longer what the condition said.
      this.#slots = before
      this.#forget(loop.assigned)
      this.#statement(loop.update)
    }
    if (!certain) this.#conditions--
    this.#scopes.pop()
    this.#slots = around
  }

  #holds(condition: Expression): boolean {
    const found = this.evaluate(condition)
    return found.kind === 'truth' && found.truth === true
  }

  /** The variable that a `for` counts gets all its values; what else its update assigns to is forgotten. */
  #count({ update, condition, assigned }: Loop): void {
    if (update?.kind !== 'assign' || update.target === null) return
    let root = update.target
    while (root.kind === 'member' || root.kind === 'index') root = root.of
    if (root.kind !== 'name') throw new Unbounded()
    const { name } = root
    const start = this.local(name)
    if (start === null) return
    const counted = update.target.kind === 'name' && !assigned.has(name) && start.kind === 'range' ? this.#counted(name, start, update, condition) : null
    this.#set(name, counted ?? anyLike(start))
  }

  /** Every value at the loop's head; null: it may wrap around, or this is no way to count that is known. */
  #counted(name: string, start: Range, { operator, value }: Statement & { kind: 'assign' }, condition: Expression | null): Range | null {
    // It may step by itself.
    this.#set(name, anyLike(start))
    const step = this.evaluate(value)
    this.#set(name, start)
    if (step.kind !== 'range' || step.low <= 0 || condition === null || start.low < 0) return null
    const { type } = start
    const { low: least, high: most } = anyOf(type)
    const sign = operator === '++' || operator === '--' ? operator[0] : operator
    const stride = gcd(gcd(start.step, step.low), step.step)
    const all =
      sign === '+'
        ? rangeOf(type, start.low, most, stride)
        : sign === '-'
          ? rangeOf(type, least + ((start.low - least) % stride), start.high, stride)
          : sign === '*' || sign === '<<'
            ? rangeOf(type, start.low, most, 1)
            : sign === '/' || sign === '>>'
              ? rangeOf(type, 0, start.high, 1)
              : null
    if (all === null) return null
    // What it is where the body runs, and what the update makes of the last of it.
    const held = this.#slots as Value[]
    this.#slots = [...held]
    this.#set(name, all)
    this.#refine(condition, true)
    const within = this.#slots === null ? null : this.local(name)
    this.#slots = held
    if (within === null || within.kind !== 'range') return start
    if (sign === '-' && within.low - step.high < least) return null
    if (sign === '+' && within.high + step.high > most) return null
    if ((sign === '*' || sign === '<<') && isAny(binary(sign, type, within, step))) return null
    return all
  }

  /** Only values with which the condition holds, or does not, stay. */
  #refine(condition: Expression, holds: boolean): void {
    if (this.#slots === null) return
    if (condition.kind === 'unary' && condition.operator === '!') return this.#refine(condition.of, !holds)
    if (condition.kind !== 'binary') return
    const { left, right } = condition
    if (condition.operator === (holds ? '&&' : '||')) {
      this.#refine(left, holds)
      return this.#refine(right, holds)
    }
    const operator = holds ? condition.operator : OPPOSITE[condition.operator]
    const mirrored = operator === undefined ? undefined : MIRRORED[operator]
    if (operator === undefined || mirrored === undefined) return
    const quiet = this.extents.length
    const a = this.evaluate(left)
    const b = this.evaluate(right)
    this.extents.length = quiet
    if (a.kind !== 'range' || b.kind !== 'range' || a.type === 'ptr' || b.type === 'ptr') return
    this.#narrow(left, a, operator, b)
    this.#narrow(right, b, mirrored, a)
  }

  #narrow(place: Expression, value: Range, operator: string, limit: Range): void {
    if (this.#slots === null) return
    const low = operator === '>' ? limit.low + 1 : operator === '>=' || operator === '==' ? limit.low : -Infinity
    const high = operator === '<' ? limit.high - 1 : operator === '<=' || operator === '==' ? limit.high : Infinity
    const kept = clip(value, low, high)
    if (kept === null) this.#slots = null
    else this.#keep(place, kept)
  }

  /** A name, or a part of what has a name, is this. */
  #keep(place: Expression, value: Value): void {
    if (place.kind === 'name') return this.#set(place.name, value)
    if (place.kind !== 'member') return
    const of = quietly(this, place.of)
    if (of === null) return
    if (of.kind === 'struct') this.#keep(place.of, { kind: 'struct', fields: new Map([...of.fields, [place.name, value]]) })
    const part = of.kind === 'vector' && place.name.length === 1 ? Math.max('xyzw'.indexOf(place.name), 'rgba'.indexOf(place.name)) : -1
    if (of.kind === 'vector' && part >= 0) this.#keep(place.of, { kind: 'vector', parts: of.parts.map((one, n) => (n === part ? value : one)) })
  }
}

const OPPOSITE: Readonly<Record<string, string>> = { '<': '>=', '<=': '>', '>': '<=', '>=': '<', '==': '!=', '!=': '==' }
const MIRRORED: Readonly<Record<string, string>> = { '<': '>', '<=': '>=', '>': '<', '>=': '<=', '==': '==' }

/** Names and their members alone: nothing is called. */
function quietly(reading: Reading, place: Expression): Value | null {
  let root = place
  while (root.kind === 'member') root = root.of
  return root.kind === 'name' ? reading.evaluate(place) : null
}

/** The state after a branch. Variables that it declared are gone. */
function joined(one: Value[] | null, other: Value[] | null, length: number): Value[] | null {
  if (one === null || other === null) return (one ?? other)?.slice(0, length) ?? null
  return one.slice(0, length).map((value, n) => either(value, other[n] as Value))
}
