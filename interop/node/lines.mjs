// Lines of JSON on standard input and output.

import { createInterface } from 'node:readline';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** The next line, or null at the end. */
export async function hear() {
  const { value, done } = await lines.next();
  return done ? null : JSON.parse(value);
}

/** Writes a line. */
export function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
