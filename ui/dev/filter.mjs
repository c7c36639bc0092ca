// SPDX-License-Identifier: LGPL-3.0-or-later
// A small part of the expression language, enough to try the filter box:
// app == "DNS" and (bytes > 1000 or not client == 10.0.0.0/8)
const FIELDS = ['id', 'start', 'end', 'proto', 'client', 'client_port', 'server', 'server_port', 'app',
  'category', 'rule', 'confidence', 'name', 'packets_up', 'packets_down', 'bytes_up', 'bytes_down',
  'bytes', 'duration', 'rtt_us', 'retransmits', 'end_reason', 'packets', 'addr', 'port'];
const EITHER = { addr: ['client', 'server'], port: ['client_port', 'server_port'] };

class FilterError extends Error {
  filter = true;
}

export function compile(text) {
  const tokens = [...text.matchAll(/\s*(?:("[^"]*")|([A-Za-z_][\w]*)|([\da-fA-F:.]+(?:\/\d+)?)|(==|!=|<=|>=|[<>()])|(\S))/g)]
    .map((m) => ({ text: m[0].trim(), at: m.index + m[0].length - m[0].trim().length + 1, bad: m[5] }));
  let i = 0;
  const peek = () => tokens[i]?.text;
  const fail = (why) => {
    throw new FilterError(`filter: column ${tokens[i]?.at ?? text.length + 1}: ${why}`);
  };
  const or = () => { let a = and(); while (peek() === 'or') { i++; const l = a, r = and(); a = (f) => l(f) || r(f); } return a; };
  const and = () => { let a = not(); while (peek() === 'and') { i++; const l = a, r = not(); a = (f) => l(f) && r(f); } return a; };
  const not = () => { if (peek() !== 'not') return term(); i++; const a = not(); return (f) => !a(f); };
  function term() {
    if (peek() === '(') {
      i++;
      const a = or();
      if (peek() !== ')') fail('")" is missing');
      i++;
      return a;
    }
    const field = peek();
    if (field === undefined) fail('the expression stops too early');
    if (!FIELDS.includes(field)) fail(`there is no field named "${field}"`);
    i++;
    const op = peek();
    if (!['==', '!=', '<', '>', '<=', '>='].includes(op)) fail(`a comparison is expected after "${field}"`);
    i++;
    const raw = peek();
    if (raw === undefined) fail('the expression stops too early');
    i++;
    const value = raw.startsWith('"') ? raw.slice(1, -1) : raw;
    const match = (f) => (EITHER[field] ?? [field]).some((name) => matchOne(f, name));
    const matchOne = (f, field) => {
      const have = f[field];
      if (typeof have === 'number') return compare(have, op, Number(value));
      if (field === 'client' || field === 'server') {
        const same = value.includes('/') ? have.startsWith(value.split('.').slice(0, Math.floor(value.split('/')[1] / 8)).join('.') + '.') : have === value;
        return op === '==' ? same : !same;
      }
      return compare(String(have), op, value);
    };
    return match;
  }
  const result = or();
  if (i < tokens.length) fail(`"${peek()}" is not expected here`);
  return result;
}

const compare = (a, op, b) => ({ '==': a === b, '!=': a !== b, '<': a < b, '>': a > b, '<=': a <= b, '>=': a >= b })[op];
