#!/usr/bin/env node
// prepare.mjs: makes a fresh clone ready for use, with nothing but Node and the npm registry.
// Always: when it ends well, node_modules and dist are what the clone's files ask for; nothing was written to standard output;
// what was right already was not done again.

import { ensureBuild } from './build.mjs'
import { ensureModules } from './modules.mjs'
import { isMain, say } from './shell.mjs'

const nodeMin = [20, 19]

/** Throws unless packages and, where asked for, the build are in place. */
export function prepare({ build = true } = {}) {
  const [major, minor] = process.versions.node.split('.').map(Number)
  const old = major < nodeMin[0] || (major === nodeMin[0] && minor < nodeMin[1])
  if (old) throw new Error(`Node ${nodeMin.join('.')} or newer is needed; this is ${process.versions.node}.`)
  ensureModules()
  if (build) ensureBuild()
}

if (isMain(import.meta.url)) {
  try {
    prepare()
  } catch (error) {
    say(error.message)
    process.exitCode = 1
  }
}
