#!/usr/bin/env node
// fuzz-drm.mjs: a million requests that are nearly right, sent to the request boundary, and the census of its checks.
// Always: what SVM_FUZZ_REQUESTS, SVM_FUZZ_SEED and SVM_FUZZ_REPORT (a path) say goes before what is said here.

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')
const env = { SVM_FUZZ_REQUESTS: '1000000', SVM_FUZZ_REPORT: '.cache/drm-census.json', ...process.env }
mkdirSync('.cache', { recursive: true })
const { status } = spawnSync(process.execPath, [vitest, 'run', '--project', 'unit', 'test/fuzz/drm-fuzz.test.ts'], { env, stdio: 'inherit' })
process.exitCode = status ?? 1
