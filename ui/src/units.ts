// SPDX-License-Identifier: LGPL-3.0-or-later
// Numbers and times for people, always with their unit.
import { zone } from './settings';

export const THIN = '\u202f';
const SI = ['', 'k', 'M', 'G', 'T', 'P'];
const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

function digits(v: number): string {
  if (v === 0) return '0';
  const a = Math.abs(v);
  return a >= 99.95 ? v.toFixed(0) : a >= 9.995 ? v.toFixed(1) : a >= 0.995 ? v.toFixed(2) : v.toPrecision(2);
}

function scaled(v: number, base: number): [number, number] {
  let n = 0;
  while (Math.abs(v) >= base * 0.9995 && n < 5) {
    v /= base;
    n++;
  }
  return [v, n];
}

export function si(v: number, unit = ''): string {
  const [x, n] = scaled(v, 1000);
  const text = n === 0 && Number.isInteger(v) ? String(v) : digits(x);
  const suffix = `${SI[n]}${unit}`;
  return suffix ? `${text}${THIN}${suffix}` : text;
}

export function bytes(v: number): string {
  const [x, n] = scaled(v, 1024);
  return `${n === 0 ? Math.round(x) : digits(x)}${THIN}${BINARY[n]}`;
}

export const bits = (bytesPerSecond: number) => si(bytesPerSecond * 8, 'bit/s');
export const count = (v: number) => v.toLocaleString('en').replaceAll(',', THIN);

// "1 packet", "2 packets"
export const plural = (v: number, noun: string, text = count(v)) => `${text} ${noun}${v === 1 ? '' : 's'}`;

// The names of inputs, short: "standard input", "day.pcap", "day.pcap and 2 more".
export function inputText(input: string): string {
  const [first = '', ...more] = input.split(', ').map((x) => (x === '-' ? 'standard input' : x.replace(/^.*\//, '')));
  return more.length ? `${first} and ${more.length} more` : first;
}

export function percent(share: number): string {
  const p = share * 100;
  if (p > 0 && p < 0.05) return `<${THIN}0.1${THIN}%`;
  return `${p >= 9.95 ? p.toFixed(0) : p.toFixed(1)}${THIN}%`;
}

// A sentence whose numbers stay with their units.
export const unbroken = (text: string) => text.replace(/(\d) (?=%|[kMG]?bit\/s|[mµn]?s\b|[KMG]?i?B\b)/g, `$1${THIN}`);

// A duration in seconds.
export function duration(s: number): string {
  if (s < 0) return `−${duration(-s)}`;
  if (s === 0) return `0${THIN}s`;
  if (s < 1e-3) return `${digits(s * 1e6)}${THIN}µs`;
  if (s < 1) return `${digits(s * 1e3)}${THIN}ms`;
  if (s < 120) return `${digits(s).replace(/\.0+$/, '')}${THIN}s`;
  const total = Math.round(s);
  const [d, h, m, sec] = [Math.floor(total / 86400), Math.floor(total / 3600) % 24, Math.floor(total / 60) % 60, total % 60];
  const parts: [number, string][] = [[d, 'd'], [h, 'h'], [m, 'min'], [sec, 's']];
  const first = parts.findIndex(([n]) => n > 0);
  return parts.slice(first, first + 2).filter(([n]) => n > 0).map(([n, u]) => `${n}${THIN}${u}`).join(' ');
}

// ---- moments: nanoseconds since 1970, as text in the API, as bigint or float seconds here ----

export const toSeconds = (ns: string | bigint) => Number(BigInt(ns) / 1000n) / 1e6;
export const toNs = (seconds: number) => BigInt(Math.round(seconds * 1e6)) * 1000n;

const two = (n: number) => String(n).padStart(2, '0');

function parts(ms: number) {
  const d = new Date(ms);
  return zone.get() === 'UTC'
    ? { y: d.getUTCFullYear(), mo: d.getUTCMonth() + 1, d: d.getUTCDate(), h: d.getUTCHours(), mi: d.getUTCMinutes(), s: d.getUTCSeconds() }
    : { y: d.getFullYear(), mo: d.getMonth() + 1, d: d.getDate(), h: d.getHours(), mi: d.getMinutes(), s: d.getSeconds() };
}

// "09:02:31", with `decimals` digits of the second.
export function clock(ns: string | bigint, decimals = 0): string {
  const t = BigInt(ns);
  const p = parts(Number(t / 1_000_000n));
  const text = `${two(p.h)}:${two(p.mi)}:${two(p.s)}`;
  if (!decimals) return text;
  const fraction = String(t % 1_000_000_000n).padStart(9, '0').slice(0, decimals);
  return `${text}.${fraction}`;
}

export function date(ns: string | bigint): string {
  const p = parts(Number(BigInt(ns) / 1_000_000n));
  return `${p.y}-${two(p.mo)}-${two(p.d)}`;
}

export const moment = (ns: string | bigint, decimals = 0) => `${date(ns)} ${clock(ns, decimals)}`;

// A moment beside another one: the day is told when it is not the same.
export const beside = (other: string | bigint, ns: string | bigint, decimals = 0) =>
  (date(other) === date(ns) ? clock : moment)(ns, decimals);

// "2026-03-02 09:00:00 – 09:10:00"
export const span = (from: string | bigint, to: string | bigint, decimals = 0) =>
  `${moment(from, decimals)} – ${beside(from, to, decimals)}`;
