// SPDX-License-Identifier: LGPL-3.0-or-later
// A colour for each name, the same in every view and on every day. The hues are told apart with the
// common kinds of colour blindness, and neighbours differ in lightness too.
const PALETTE = [
  '#1f77b8', '#e8a33d', '#0b9a77', '#d688b5', '#64b9e6', '#d1602b', '#7459a8', '#a9b13f',
  '#8a5a44', '#46bcae', '#b23a62', '#c3cf8f', '#2f5d50', '#a79fe0', '#5c7f3b', '#e58f7b',
];
const GREYS: Record<string, string> = {
  other: '#9aa3ab', unknown: '#7c858d', 'unknown tcp': '#767f88', 'unknown udp': '#98a1a9', 'no payload': '#b4bbc1',
  'other ip': '#8c959d', 'not ip': '#a5adb4',
};

// Names that are common enough to deserve a colour of their own.
const KNOWN: Record<string, number> = {
  tls: 0, http: 1, dns: 2, smtp: 3, quic: 4, 'http/3': 4, bittorrent: 5, ssh: 6, ntp: 7, postgresql: 8,
  mqtt: 9, redis: 10, sip: 11, icmp: 12, rtp: 13, 'http/2': 14, iperf: 15,
  web: 1, encrypted: 0, p2p: 5, databases: 8, services: 2, mail: 3, remote: 6, messaging: 10, monitoring: 9,
  files: 13, voip: 11, streaming: 4, chat: 15, tunnelling: 12, gaming: 7, ics: 14,
  down: 0, up: 1, '': 0,
};

const given = new Map<string, string>();

function hash(text: string): number {
  let h = 2166136261;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  return (h ^ (h >>> 15)) >>> 0;
}

export function colourOf(name: string): string {
  const key = name.toLowerCase();
  const grey = GREYS[key];
  if (grey) return grey;
  const known = KNOWN[key];
  if (known !== undefined) return PALETTE[known]!;
  let colour = given.get(key);
  if (!colour) {
    // A lighter or darker kin of a palette colour: the first free one after the hash.
    const taken = new Set(given.values());
    const start = hash(key);
    for (let i = 0; i < PALETTE.length * 2; i++) {
      const at = (start + i) % (PALETTE.length * 2);
      const next = kin(PALETTE[at % PALETTE.length]!, at < PALETTE.length ? 0.3 : -0.3);
      colour ??= next;
      if (taken.has(next)) continue;
      colour = next;
      break;
    }
    given.set(key, colour!);
  }
  return colour!;
}

// Mixed with white (by > 0) or black.
function kin(hex: string, by: number): string {
  const mix = (at: number) => {
    const v = parseInt(hex.slice(at, at + 2), 16);
    return Math.round(by > 0 ? v + (255 - v) * by : v * (1 + by)).toString(16).padStart(2, '0');
  };
  return `#${mix(1)}${mix(3)}${mix(5)}`;
}
