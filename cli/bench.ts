import type { Command } from './command.ts'
export const bench: Command = { name: 'bench', summary: '', help: '', parse: () => async () => ({ ok: true, value: {}, text: '' }) }
