// From the author's WGSL to the modules that run.
//
//   author's text, edited in place  (rewrite.ts)      lines stay, directives stay on top
//   offset constants of his structs (reflect.ts)
//   the runtime that he uses        (prelude.ts)
//   the entry point svm_entry       (wrapper.ts)
//
// Always: a translated kernel is plain data and functions of it, but for what it is told of the guards that it was built with; nothing here asks a device.
// What the author can get wrong is refused here with his line, or by the compiler with his line (messages.ts).

import { SvmError } from '../base/error.ts'
import type { AuthorBinding, ProgramDescriptor, ProgramVariant } from '../device/device.ts'
import { PUBLIC_NAMES, stubText } from './accessors.ts'
import { Analyser, type Behaviour, type Loop } from './analyse.ts'
import { attemptPrologue } from './attempt.ts'
import { Bounds } from './bounds.ts'
import { directPrologue, STORED_DIRECT } from './direct.ts'
import { type ElementTexts, elementTexts, isElement } from './element-texts.ts'
import { type ElementAccess, elementAccesses } from './elements.ts'
import { evaluateInteger, overrideKey } from './evaluate.ts'
import { findings, lineOf } from './findings.ts'
import { heldDeclaration, heldPrologue, isHeld } from './held.ts'
import { attributeOf, type FunctionDeclaration, readModule, type SourceModule, type VariableDeclaration } from './module.ts'
import { checkNames } from './names.ts'
import { preludeText } from './prelude.ts'
import {
  type ArgumentLayout,
  type KernelAnalysis,
  type KernelGuards,
  LOOP_GUARDS,
  type LoopGuards,
  type StructLayout,
  type TranslatedKernel,
  type TranslateOptions,
} from './program.ts'
import { provenPrologue } from './proven.ts'
import { argumentLayout, authorBinding, bindingNumber, layoutConstants, plainType, structLayouts } from './reflect.ts'
import { STORED_RESIDENT } from './resident.ts'
import { ARGUMENTS_BINDING, guardOf, Rewriter, RUNTIME_GROUP, type WaitsFound } from './rewrite.ts'
import { splitAtCommas, type Token, textError } from './scanner.ts'
import { steadyEpilogue } from './steady.ts'
import { knownStrides } from './strides.ts'
import { Waits } from './waits.ts'
import { WRAPPER_ENTRY, wrapperText } from './wrapper.ts'

type VariantWish = Parameters<TranslatedKernel['variant']>[0]

/** @throws SvmError build-failed (the text, with its line), invalid-value (the options) */
export function translateKernel(options: TranslateOptions): TranslatedKernel {
  return new Translation(options)
}

class Translation implements TranslatedKernel {
  readonly label: string
  readonly analysis: KernelAnalysis
  readonly layouts: Readonly<Record<string, StructLayout>>
  readonly args: ArgumentLayout
  readonly authorBindings: readonly AuthorBinding[]
  readonly checkText: string
  readonly bounds: Bounds

  readonly #options: TranslateOptions
  readonly #module: SourceModule
  readonly #analyser: Analyser
  readonly #rewriter: Rewriter
  readonly #behaviour: Behaviour
  readonly #entry: FunctionDeclaration
  readonly #argsVariable: VariableDeclaration | null
  readonly #loops: readonly Loop[]
  readonly #waits: WaitsFound
  readonly #constantsText: string
  /** The arguments, where each invocation holds them. */
  readonly #held: VariableDeclaration | null
  readonly #elements: readonly ElementAccess[]
  readonly #workgroupMemory: boolean
  /** The analysis has them too. */
  readonly #guards: { -readonly [Key in keyof KernelGuards]: KernelGuards[Key] }[] = []

  constructor(options: TranslateOptions) {
    this.#options = options
    this.label = options.label
    this.#module = readModule(options.code, options.label)
    checkNames(this.#module)
    this.#entry = findEntry(this.#module, options.entryPoint)
    this.#checkConstants()
    this.#analyser = new Analyser(this.#module)
    this.#behaviour = this.#analyser.behaviour(options.entryPoint)
    this.#loops = this.#analyser.loops()
    const waits = new Waits(this.#module)
    this.#waits = {
      loops: new Set(this.#loops.filter(({ range }) => waits.ofLoop(range).length > 0)),
      loads: new Set(this.#loops.flatMap(({ range }) => waits.plainlyOfLoop(range))),
    }
    this.layouts = structLayouts(this.#module, options.addressBits)
    const constants = layoutConstants(this.#module, this.layouts)
    this.#constantsText = [...constants].map(([name, value]) => `const ${name}: u32 = ${value}u;`).join(' ')
    const known = new Map([...constants, ['SVM_PTR_SIZE', options.addressBits / 8]])
    const strides = knownStrides(this.#module, options.constants, known)
    this.#rewriter = new Rewriter(this.#module, this.#analyser, strides)
    this.#argsVariable = this.#findArguments()
    this.args = argumentLayout(this.#module, this.#argsVariable, this.layouts, options.addressBits)
    const holds =
      this.#argsVariable !== null && isHeld(this.#module, this.#argsVariable, this.args.byteLength, { behaviour: this.#behaviour, loops: this.#loops })
    this.#held = holds ? this.#argsVariable : null
    this.#elements = elementAccesses(this.#module, { addressBits: options.addressBits, args: this.#argsVariable, layout: this.args, strides })
    this.authorBindings = this.#findBindings()
    this.#workgroupMemory = this.#mentioned().some(({ space }) => space === 'workgroup')
    this.analysis = this.#analyse()
    this.bounds = new Bounds({
      module: this.#module,
      entry: this.#entry,
      argsVariable: this.#argsVariable,
      args: this.args,
      workgroupSize: this.analysis.workgroupSize,
      given: (constant) => options.constants[overrideKey(this.#module, constant)] ?? options.constants[constant.name],
      known,
      tires: this.#loops.some(
        (loop) => this.#behaviour.reachable.has(loop.owner) && (this.#waits.loops.has(loop) || guardOf(loop, 'resident', 'all') === 'meet'),
      ),
    })
    this.checkText = [this.#rewriter.check(), this.#constantsText, stubText(options.addressBits)].join('\n')
  }

  built(variant: ProgramVariant, level: LoopGuards): void {
    const guards = this.#guards.find((one) => one.variant === variant)
    if (guards === undefined || LOOP_GUARDS.indexOf(level) < LOOP_GUARDS.indexOf(guards.level as LoopGuards)) return
    guards.level = level
    const dropped = this.#loops.filter(
      (loop) => this.#behaviour.reachable.has(loop.owner) && guardOf(loop, variant, 'all') !== null && guardOf(loop, variant, level) === null,
    )
    guards.droppedLines = dropped.map(({ range }) => lineOf(this.#module, range.start))
  }

  variant(wish: VariantWish): ProgramDescriptor {
    const { barriers, subgroups, startTainted, atomicPools, workgroupSize } = this.analysis
    if (wish.guard && (barriers || subgroups)) {
      throw new SvmError(
        'invalid-value',
        `kernel '${this.label}' has barriers or subgroup operations, so its global size must be a multiple of @workgroup_size(${workgroupSize.join(', ')}) in every dimension`,
        { kernel: this.label },
      )
    }
    const attempt = wish.variant === 'attempt'
    const direct = wish.variant === 'direct'
    const collective = barriers || subgroups
    const marks = (wish.variant === 'sealed' || wish.variant === 'resident') && wish.marks !== false
    const proven = wish.proof !== undefined && wish.proof !== 'none'
    const changes = this.analysis.stores || this.analysis.atomics
    const elements = this.#inWords(wish, marks)
    const author = this.#authorText(wish, elements.calls)
    const wrapper = wrapperText(this.#module, {
      entry: this.#entry,
      geometry: wish.geometry ?? 'any',
      chained: wish.chained === true,
      slotAtEnd: !attempt && wish.watch !== true,
      workgroupSize,
      guard: wish.guard,
      collective,
      prologue: [...this.#prologue(wish, proven, changes), ...elements.prologue],
      epilogue: attempt || proven ? [] : steadyEpilogue(!changes || marks ? null : direct ? STORED_DIRECT : STORED_RESIDENT),
    })
    const prelude = preludeText(
      {
        variant: wish.variant,
        addressBits: this.#options.addressBits,
        pools: wish.pools,
        atomicPools,
        pageShift: this.#options.pageShift,
        workgroupFlag: barriers || subgroups || this.#workgroupMemory,
        polls: this.#behaviour.collectives,
        chained: wish.chained === true,
        marks,
        watch: wish.watch === true,
        proof: wish.proof ?? 'none',
        elements: elements.pieces,
      },
      author,
      wrapper,
    )
    return {
      label: `${this.label} (${wish.variant})`,
      variant: wish.variant,
      code: [author, this.#constantsText, prelude, this.#argumentsText(), wrapper, ''].join('\n'),
      entryPoint: WRAPPER_ENTRY,
      constants: this.#options.constants,
      pools: wish.pools,
      hasArguments: this.#argsVariable !== null,
      authorBindings: this.authorBindings,
      workgroupSize,
      guard: wish.guard,
      watch: wish.watch === true,
      whole: wish.geometry === 'whole',
      marks,
      proven,
      startTainted,
      abort: wish.chained !== true ? 'ignored' : collective ? 'told' : 'asked',
      addressBits: this.#options.addressBits,
      pageShift: this.#options.pageShift,
      ...(this.#options.twin === undefined ? {} : { twin: this.#options.twin }),
    }
  }

  /** The calls that go to elements in words, and their texts. */
  #inWords({ variant, proof = 'none', watch }: VariantWish, marks: boolean): ElementTexts & { readonly calls: readonly ElementAccess[] } {
    const way = variant === 'direct' ? 'direct' : 'table'
    const wish = { way, proof, marks, args: this.#argsVariable?.name ?? '', held: this.#held !== null } as const
    const calls = variant === 'attempt' || watch === true ? [] : this.#elements.filter(({ kind }) => isElement(kind, wish))
    return { calls, ...elementTexts([...new Set(calls.map(({ kind }) => kind))], wish) }
  }

  /** Edited in place. */
  #authorText(wish: VariantWish, elements: readonly ElementAccess[]): string {
    const held = this.#held !== null
    return this.#rewriter.program({ ...wish, elements, entry: this.#entry, args: this.#argsVariable, held, loops: this.#loops, waits: this.#waits })
  }

  #argumentsText(): string {
    return this.#held === null ? '' : heldDeclaration(this.#held, RUNTIME_GROUP, ARGUMENTS_BINDING)
  }

  #prologue({ variant, watch }: VariantWish, proven: boolean, changes: boolean): string[] {
    const { startTainted } = this.analysis
    const held = this.#held === null ? [] : [heldPrologue(this.#held)]
    if (variant === 'attempt') return [...held, ...attemptPrologue(startTainted)]
    const watched = watch === true && startTainted ? ['svm_tainted = true;'] : []
    if (proven) return [...held, ...provenPrologue(variant), ...watched]
    return [...held, ...(variant === 'direct' ? directPrologue(this.#options.addressBits, changes) : []), ...watched]
  }

  #fail(token: number, sentence: string): never {
    throw textError(this.#module.source, this.label, (this.#module.tokens[token] as Token).start, sentence)
  }

  /** Every constant given names an override. */
  #checkConstants(): void {
    const known = this.#module.constants.filter(({ kind }) => kind === 'override').map((constant) => overrideKey(this.#module, constant))
    for (const name of Object.keys(this.#options.constants)) {
      if (known.includes(name)) continue
      const list = known.length === 0 ? 'it has none' : `it has ${known.join(', ')}`
      throw new SvmError('invalid-value', `kernel '${this.label}' has no override '${name}' to give a value to; ${list}`, { kernel: this.label })
    }
  }

  /** The module variables that the entry point can reach. */
  #mentioned(): VariableDeclaration[] {
    return this.#module.variables.filter(({ name }) => this.#analyser.mentions(this.#options.entryPoint, name))
  }

  #findArguments(): VariableDeclaration | null {
    const isStruct = (type: string) => this.#module.structs.some(({ name }) => name === plainType(this.#module, type))
    const found = this.#mentioned().filter(({ space, type }) => space === 'uniform' && isStruct(type))
    const [first, second] = found
    if (first !== undefined && second !== undefined) {
      this.#fail(
        second.nameToken,
        `'${first.name}' and '${second.name}' are both uniform structs, so the arguments are ambiguous; put them into one struct, or make the other one read-only storage`,
      )
    }
    return first ?? null
  }

  #findBindings(): AuthorBinding[] {
    for (const variable of this.#module.variables) {
      const group = bindingNumber(this.#module, attributeOf(variable.attributes, 'group'))
      if (group === RUNTIME_GROUP)
        this.#fail(variable.nameToken, `'${variable.name}' is in group ${RUNTIME_GROUP}, which belongs to the runtime; use groups 0 to 2`)
    }
    return this.#mentioned()
      .filter((variable) => variable !== this.#argsVariable && attributeOf(variable.attributes, 'group') !== undefined)
      .map((variable) => authorBinding(this.#module, variable))
  }

  #analyse(): KernelAnalysis {
    const behaviour = this.#behaviour
    const { protocol = 'grants', entryPoint } = this.#options
    const loops = this.#loops.filter(({ owner }) => behaviour.reachable.has(owner))
    // Of the whole module, not of what is reachable: every function must compile.
    const isAtomicWord = (name: string) => PUBLIC_NAMES.has(name) && (name.startsWith('svm_atomic_') || /^svm_store_u(8|16)$/.test(name))
    const writes = (binding: AuthorBinding) => binding.kind === 'storage' || (binding.kind === 'storage-texture' && /\b(write|read_write)\b/.test(binding.type))
    const writableBindings = this.authorBindings.filter(writes).map(({ name }) => name)
    const found = findings({ module: this.#module, analyser: this.#analyser, entryPoint, loops, variables: this.#mentioned(), isAtomicWord })
    const variants: readonly ProgramVariant[] =
      protocol === 'unsplittable' || writableBindings.length > 0
        ? ['resident', 'direct']
        : behaviour.collectives || found.waitLines.length > 0
          ? ['attempt', 'resident', 'direct']
          : ['attempt', 'sealed', 'resident', 'direct']
    this.#guards.push(...variants.map((variant) => ({ variant, level: 'unbuilt' as const, droppedLines: [] })))
    return {
      workgroupSize: workgroupSizeOf(this.#module, this.#entry, this.#options.constants),
      loads: behaviour.loads,
      stores: behaviour.stores,
      atomics: behaviour.atomics,
      usedAtomics: behaviour.usedAtomics,
      startTainted: behaviour.usedRawAtomics,
      barriers: behaviour.barriers,
      subgroups: behaviour.subgroups,
      writableBindings,
      guardedLoops: loops.filter((loop) => guardOf(loop, 'attempt', 'all') !== null).length,
      openLoops: loops.filter((loop) => guardOf(loop, 'attempt', 'all') === null).length,
      atomicPools: found.atomicPoolLines.length > 0,
      polls: behaviour.collectives,
      protocol,
      variants,
      guards: this.#guards,
      ...found,
    }
  }
}

function findEntry(module: SourceModule, name: string): FunctionDeclaration {
  const isEntry = (declaration: FunctionDeclaration) => attributeOf(declaration.attributes, 'compute') !== undefined
  const found = module.functions.find((declaration) => declaration.name === name)
  if (found === undefined) {
    const entries = module.functions.filter(isEntry).map((declaration) => `'${declaration.name}'`)
    const known = entries.length === 0 ? 'the text has no @compute function' : `it has ${entries.join(', ')}`
    throw new SvmError('build-failed', `kernel '${module.label}' has no function '${name}' for its entry point; ${known}`, { kernel: module.label })
  }
  if (!isEntry(found)) {
    throw textError(
      module.source,
      module.label,
      (module.tokens[found.nameToken] as Token).start,
      `'${name}' is not an entry point; write @compute @workgroup_size(…) before it`,
    )
  }
  return found
}

function workgroupSizeOf(module: SourceModule, entry: FunctionDeclaration, constants: Readonly<Record<string, number>>): readonly [number, number, number] {
  const attribute = attributeOf(entry.attributes, 'workgroup_size')
  const offset = (module.tokens[entry.nameToken] as Token).start
  if (attribute === undefined) throw textError(module.source, module.label, offset, `'${entry.name}' has no @workgroup_size; write one before it`)
  const sizes = splitAtCommas(module.tokens, attribute.value.start, attribute.value.end).map((part) => {
    const size = evaluateInteger(module, part, constants)
    if (size !== undefined && size > 0) return size
    const place = (module.tokens[part.start] as Token).start
    throw textError(
      module.source,
      module.label,
      place,
      'the workgroup size must be known before the kernel is built; write an integer, or a const or an override with a value',
    )
  })
  return [sizes[0] ?? 1, sizes[1] ?? 1, sizes[2] ?? 1]
}
