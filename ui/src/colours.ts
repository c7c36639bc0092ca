// SPDX-License-Identifier: LGPL-3.0-or-later
// A colour for each name, the same in every view and on every day. The hues are told apart with the
// common kinds of colour blindness, and neighbours differ in lightness too.
const PALETTE = [
  '#1f77b8', '#e8a33d', '#0b9a77', '#d688b5', '#64b9e6', '#d1602b', '#7459a8', '#a9b13f',
  '#8a5a44', '#46bcae', '#b23a62', '#c3cf8f', '#2f5d50', '#a79fe0', '#5c7f3b', '#e58f7b',
];
// For more names; each is as unlike those above it as Oklab (B. Ottosson, 2020) and taste allow.
const MORE = [
  '#a070d0', '#6090e0', '#d06080', '#a08010', '#804070', '#70d080', '#70a030', '#a06090', '#107020', '#e0a0f0', '#10a0c0', '#4050a0',
  '#90a070', '#606020', '#107080', '#d0b090', '#8080b0', '#d08010', '#70d0d0', '#a03030', '#c08080', '#b05010', '#7070d0', '#b06060',
];
const GREYS: Record<string, string> = {
  other: '#a3acb4', unknown: '#69737c', 'unknown tcp': '#69737c', 'unknown udp': '#8b827a', 'no payload': '#c3c9ce',
  'other ip': '#4d565e', 'not ip': '#d5d0cb',
};

// Names that are common enough to deserve a colour of their own.
const KNOWN: Record<string, number> = {
  tls: 0, http: 1, dns: 2, smtp: 3, quic: 4, 'http/3': 4, bittorrent: 5, ssh: 15, ntp: 7, postgresql: 8,
  mqtt: 9, redis: 10, sip: 11, icmp: 12, rtp: 13, 'http/2': 14, iperf: 6,
  radius: 16, smb: 17, rdp: 18, 'ftp data': 19, 'ftp control': 37, memcached: 20, imap: 22, irc: 23, openvpn: 24, kafka: 25, syslog: 26,
  nfs: 27, ssdp: 28, ipsec: 29, wireguard: 30, ldap: 31, dhcp: 32, mysql: 33, mdns: 34, tftp: 35, snmp: 36, rsync: 21, pop3: 38, git: 39,
  web: 1, encrypted: 0, p2p: 5, databases: 8, services: 2, mail: 3, remote: 6, messaging: 10, monitoring: 9,
  files: 13, voip: 11, streaming: 4, chat: 15, tunnelling: 12, gaming: 7, ics: 14,
  // A port is mostly this.
  'tcp/443': 0, 'tcp/80': 1, 'udp/53': 2, 'tcp/25': 3, 'udp/443': 4, 'tcp/6881': 5, 'udp/123': 7, 'tcp/5432': 8, 'tcp/1883': 9,
  'tcp/6379': 10, 'udp/5060': 11, 'tcp/8080': 14, 'tcp/22': 15, 'tcp/3306': 33, 'tcp/873': 21, 'tcp/445': 17, 'tcp/3389': 18,
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
  let colour = GREYS[key] ?? given.get(key);
  if (!colour) {
    // Of the others the first after the hash that nobody on the page has.
    const taken = new Set(given.values()), start = hash(key);
    const order = MORE.map((_, i) => MORE[(start + i) % MORE.length]!);
    const known = KNOWN[key];
    colour = known !== undefined ? [...PALETTE, ...MORE][known]! : order.find((c) => !taken.has(c)) ?? order[0]!;
    given.set(key, colour);
  }
  return colour;
}
