// Error scopes. Always: push and pop stand in one synchronous call, since the scopes of a device are one stack for everybody.

/** What `body` made, and what the device says of it: the first error, or null. A lost device says nothing; without filters nobody asks. */
export interface Scoped<T> {
  readonly value: T
  readonly error: Promise<GPUError | null>
}

/** The verdict where nobody asked. */
export const NO_ERROR: Promise<null> = Promise.resolve(null)

export function inErrorScopes<T>(device: GPUDevice, filters: readonly GPUErrorFilter[], body: () => T): Scoped<T> {
  if (filters.length === 0) return { value: body(), error: NO_ERROR }
  for (const filter of filters) device.pushErrorScope(filter)
  let popped: Promise<GPUError | null>[] = []
  const pop = () => {
    popped = filters.map(() => device.popErrorScope().catch(() => null))
  }
  let value: T
  try {
    value = body()
  } finally {
    pop()
  }
  const error = popped.length === 1 ? popped[0] : Promise.all(popped).then((errors) => errors.find((met) => met !== null) ?? null)
  return { value, error }
}
