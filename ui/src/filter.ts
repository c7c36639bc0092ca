// SPDX-License-Identifier: LGPL-3.0-or-later
// Filters of flows (docs/expressions.md) for what the page shows.

export const quoted = (text: string) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;

// The flows of a series or a cause; '' where no filter says it.
export function filterOf(kind: string, name: string): string {
  if (kind === 'client' || kind === 'server') return `${kind} == ${name}`;
  if (kind === 'app' || kind === 'category') return `${kind} == ${quoted(name)}`;
  const port = /^(\w+)\/(\d+)$/.exec(name);
  if (kind === 'port' && port) return `proto == ${quoted(port[1]!)} and server_port == ${port[2]}`;
  const flow = /^(\S+) → (\S+) (\w+)\/(\d+)$/.exec(name);
  return kind === 'flow' && flow ? `client == ${flow[1]} and server == ${flow[2]} and server_port == ${flow[4]}` : '';
}
