// vitest.config.ts: the test projects.
// Always: `unit` and `fuzz` need no GPU; `gpu` runs in Node on Dawn, `browser` the files of test/gpu once more in a headless Chromium;
// `package` uses only the packed npm package. A file `*.node.test.ts` of test/gpu is not run in the browser. The project `browser`
// exists only where scripts/test.mjs (or the variable SVM_BROWSER) says which browser to start.

import { playwright } from '@vitest/browser-playwright'
import { defineConfig, type TestProjectConfiguration } from 'vitest/config'
// @ts-expect-error A plain JavaScript module, shared with the scripts.
import { browserArguments } from './scripts/browser.mjs'

interface FoundBrowser {
  readonly executablePath: string
  readonly env: Record<string, string>
}

const gpuFiles = ['test/gpu/**/*.test.ts', 'src/**/*.gpu.test.ts']
const always = ['**/node_modules/**', '**/dist/**', '**/.cache/**']
const minute = 60_000
/** COOP and COEP make the page cross-origin isolated, so that it has SharedArrayBuffer. */
const isolation = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' }

const unit: TestProjectConfiguration = {
  test: {
    name: 'unit',
    include: ['src/**/*.test.ts', 'cli/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: [...always, ...gpuFiles, 'test/package/**'],
    testTimeout: minute / 2,
  },
}

/** The fuzzer's share: minutes, so it is apart from the others. */
const fuzzing: TestProjectConfiguration = {
  test: { name: 'fuzz', include: ['fuzz/**/*.test.ts'], exclude: always, testTimeout: 2 * minute },
}

/** One process a file, one file at a time: a software GPU takes all the cores it finds. */
const gpu: TestProjectConfiguration = {
  test: { name: 'gpu', include: gpuFiles, exclude: always, pool: 'forks', fileParallelism: false, testTimeout: minute, hookTimeout: minute },
}

const packed: TestProjectConfiguration = {
  test: { name: 'package', include: ['test/package/**/*.test.ts'], exclude: always, fileParallelism: false, testTimeout: 5 * minute, hookTimeout: 5 * minute },
}

function browser({ executablePath, env }: FoundBrowser): TestProjectConfiguration {
  const launchOptions = { executablePath, args: browserArguments as string[], env: { ...process.env, ...env } as Record<string, string> }
  return {
    optimizeDeps: { include: ['wgsl_reflect/wgsl_reflect.module.js'] },
    server: { headers: isolation },
    test: {
      name: 'browser',
      include: ['test/gpu/**/*.test.ts'],
      exclude: [...always, '**/*.node.test.ts'],
      fileParallelism: false,
      testTimeout: minute,
      hookTimeout: minute,
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        ui: false,
        provider: playwright({ launchOptions }),
        instances: [{ browser: 'chromium' }],
        api: { host: '127.0.0.1' },
      },
    },
  }
}

const found = process.env.SVM_BROWSER ? [browser(JSON.parse(process.env.SVM_BROWSER) as FoundBrowser)] : []

export default defineConfig({ test: { projects: [unit, fuzzing, gpu, packed, ...found] } })
