// SPDX-License-Identifier: LGPL-3.0-or-later
// Ten minutes of made-up traffic with four incidents, always the same.
export const STEP = 1_000_000_000n;
const START = 1772442000n * STEP; // 2026-03-02 09:00:00 UTC

// name, category, port class, kB/s, share sent by the client, packet size, kB a flow, burstiness
const APPS = [
  ['TLS', 'Web', 'tcp/443', 620, 0.08, 900, 90, 0.5],
  ['HTTP', 'Web', 'tcp/80', 260, 0.06, 850, 60, 0.8],
  ['HTTP/3', 'Web', 'udp/443', 310, 0.07, 1000, 120, 0.6],
  ['BitTorrent', 'File sharing', 'tcp/dynamic', 90, 0.5, 800, 200, 0.7],
  ['SSH', 'Remote access', 'tcp/22', 45, 0.4, 240, 70, 0.4],
  ['PostgreSQL', 'Databases', 'tcp/5432', 120, 0.15, 420, 30, 0.2],
  ['Redis', 'Databases', 'tcp/6379', 60, 0.35, 180, 9, 0.15],
  ['RTP', 'Voice and video', 'udp/dynamic', 110, 0.5, 214, 900, 0.05],
  ['SIP', 'Voice and video', 'udp/5060', 3, 0.5, 420, 4, 0.5],
  ['DNS', 'Services', 'udp/53', 14, 0.3, 110, 0.25, 0.4],
  ['NTP', 'Services', 'udp/123', 0.4, 0.5, 90, 0.18, 0.2],
  ['MQTT', 'Messaging', 'tcp/1883', 8, 0.6, 120, 14, 0.2],
  ['SMTP', 'Mail', 'tcp/25', 22, 0.9, 600, 35, 1.2],
  ['ICMP', 'Network', 'icmp', 0.8, 0.5, 98, 3, 0.2],
  ['Unknown TCP', 'Unknown', 'tcp/9000', 18, 0.5, 500, 25, 0.9],
  ['Unknown UDP', 'Unknown', 'udp/dynamic', 6, 0.5, 300, 12, 0.7],
  ['No payload', 'Unknown', 'tcp/dynamic', 0.6, 0.6, 60, 0.2, 0.5],
];

function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const at = (s) => String(START + BigInt(s) * STEP);
const GAP = [246, 252];

function eventsOf() {
  return [
    { id: '1', kind: 'surge', title: 'BitTorrent rose from 0.7 to 12.4 Mbit/s', began: at(150), noticed: at(152), ended: at(201),
      confidence: 0.97, severity: 0.7, filter: 'app == "BitTorrent" and client == 10.77.1.14',
      streams: [{ kind: 'app', name: 'BitTorrent' }, { kind: 'total', name: '' }],
      causes: [{ kind: 'app', name: 'BitTorrent', before: 720000, after: 12400000, share: 0.94, unit: 'bit/s' },
               { kind: 'client', name: '10.77.1.14', before: 32000, after: 11920000, share: 0.91, unit: 'bit/s' },
               { kind: 'port', name: 'tcp/dynamic', before: 728000, after: 12408000, share: 0.94, unit: 'bit/s' }] },
    { id: '2', kind: 'outage', title: 'PostgreSQL fell silent: 0 of 14 new flows to 10.77.2.5 were answered', began: at(290), noticed: at(293), ended: at(331),
      confidence: 0.99, severity: 0.9, filter: 'server == 10.77.2.5',
      streams: [{ kind: 'app', name: 'PostgreSQL' }],
      causes: [{ kind: 'server', name: '10.77.2.5', before: 968000, after: 0, share: 1, unit: 'bit/s' },
               { kind: 'app', name: 'PostgreSQL', before: 960000, after: 0, share: 0.99, unit: 'bit/s' }] },
    { id: '3', kind: 'latency', title: 'Handshakes took 62 ms instead of 3 ms', began: at(400), noticed: at(404), ended: at(451),
      confidence: 0.88, severity: 0.5, filter: 'rtt_us > 30000',
      streams: [{ kind: 'health', name: 'rtt' }, { kind: 'health', name: 'retransmits' }],
      causes: [{ kind: 'server', name: '10.77.2.9', before: 3.1, after: 63.5, share: 0.72, unit: 'ms' },
               { kind: 'port', name: 'tcp/443', before: 3.0, after: 62.2, share: 0.66, unit: 'ms' }] },
    { id: '4', kind: 'scan', title: '10.77.1.66 tried 912 ports of 10.77.2.5', began: at(520), noticed: at(521), ended: null,
      confidence: 0.93, severity: 0.8, filter: 'client == 10.77.1.66',
      streams: [{ kind: 'health', name: 'fanout' }, { kind: 'health', name: 'refused' }],
      causes: [{ kind: 'client', name: '10.77.1.66', before: 0, after: 912, share: 1, unit: 'probes/s' },
               { kind: 'server', name: '10.77.2.5', before: 2, after: 912, share: 0.98, unit: 'probes/s' }] },
  ];
}

export function makeWorld(seconds) {
  const rnd = random(7);
  const series = { total: new Map([['', []]]), app: new Map(), category: new Map(),
                   direction: new Map([['up', []], ['down', []]]), port: new Map(), health: new Map() };
  const add = (kind, name, i, bytes, packets, flows) => {
    if (!series[kind].has(name)) series[kind].set(name, Array.from({ length: seconds }, (_, s) => (s >= GAP[0] && s < GAP[1] ? null : [0, 0, 0])));
    const v = (series[kind].get(name)[i] ??= [0, 0, 0]);
    v[0] += bytes; v[1] += packets; v[2] += flows;
  };
  const flows = [];
  const level = APPS.map(() => 1);
  for (let i = 0; i < seconds; i++) {
    if (i >= GAP[0] && i < GAP[1]) continue;
    APPS.forEach(([name, category, port, rate, up, size, per, burst], a) => {
      level[a] += 0.35 * (1 - level[a]) + burst * (rnd() - 0.5) * 0.9;
      if (rnd() < 0.02 * burst) level[a] += burst * 2.5;
      let bytes = Math.max(0, Math.round(rate * 1000 * Math.max(0.05, level[a]) * (1 + 0.25 * Math.sin(i / 47 + a))));
      if (name === 'BitTorrent' && i >= 150 && i < 201) bytes = Math.round(1550000 * (0.9 + 0.2 * rnd()));
      if (name === 'PostgreSQL' && i >= 290 && i < 331) bytes = 600;
      if (name === 'No payload' && i >= 520) bytes = 42000 + Math.round(4000 * rnd());
      const packets = Math.ceil(bytes / size);
      const begun = bytes ? Math.floor(bytes / 1000 / per + rnd()) : 0;
      add('app', name, i, bytes, packets, begun);
      add('category', category, i, bytes, packets, begun);
      add('port', port, i, bytes, packets, begun);
      add('direction', 'up', i, Math.round(bytes * up), Math.ceil(packets / 2), begun);
      add('direction', 'down', i, bytes - Math.round(bytes * up), Math.floor(packets / 2), 0);
      add('total', '', i, bytes, packets, begun);
      for (let n = 0; n < Math.min(begun, 8); n++) flows.push(flowOf(rnd, flows.length, i, APPS[a]));
    });
    const slow = i >= 400 && i < 451, scan = i >= 520;
    add('health', 'rtt', i, slow ? 58000 + 9000 * rnd() : 2800 + 700 * rnd(), 12, 0);
    add('health', 'retransmits', i, slow ? 20 + Math.floor(18 * rnd()) : rnd() < 0.2 ? 1 : 0, 1, 0);
    add('health', 'refused', i, scan ? 60 + Math.floor(20 * rnd()) : rnd() < 0.05 ? 1 : 0, 1, 0);
    add('health', 'unanswered', i, i >= 290 && i < 331 ? 2 + Math.floor(3 * rnd()) : scan ? 8 : rnd() < 0.1 ? 1 : 0, 1, 0);
    add('health', 'fanout', i, scan ? 70 + Math.floor(10 * rnd()) : 3 + Math.floor(4 * rnd()), 1, 0);
  }
  return { start: START, seconds, series, flows, events: seconds ? eventsOf() : [],
           categoryOf: (name) => APPS.find((a) => a[0] === name)?.[1] ?? 'Unknown' };
}

const HOSTS = ['www.lab.example', 'cdn.lab.example', 'api.lab.example', 'mirror.lab.example', 'mail.lab.example'];

function flowOf(rnd, id, second, [app, category, port, , upShare, size, per]) {
  const bytes = Math.max(60, Math.round(per * 1000 * (0.2 + 1.6 * rnd())));
  const up = Math.round(bytes * upShare);
  const start = START + BigInt(second) * STEP + BigInt(Math.floor(rnd() * 1e9));
  const duration = Math.floor((0.02 + rnd() * 8) * 1e9);
  const v6 = rnd() < 0.2;
  const host = 10 + Math.floor(rnd() * 10), peer = 2 + Math.floor(rnd() * 9);
  const proto = port.split('/')[0];
  const ports = Number(port.split('/')[1]);
  const tcp = proto === 'tcp';
  const name = ['TLS', 'HTTP', 'HTTP/3', 'DNS'].includes(app) ? HOSTS[Math.floor(rnd() * HOSTS.length)] : null;
  const hex = Array.from({ length: 32 }, () => Math.floor(rnd() * 256).toString(16).padStart(2, '0')).join('');
  const unknown = category === 'Unknown';
  return {
    id: String(id * 37 + 5), start: String(start), end: String(start + BigInt(duration)), proto,
    client: v6 ? `fd77:1::${host.toString(16)}` : `10.77.1.${host}`,
    client_port: 32768 + Math.floor(rnd() * 28000),
    server: v6 ? `fd77:2::${peer.toString(16)}` : `10.77.2.${peer}`,
    server_port: ports || 49152 + Math.floor(rnd() * 9000), app, category,
    rule: unknown ? '' : app.toLowerCase().replace(/\W+/g, '-') + (tcp ? '-tcp' : '-udp'),
    confidence: unknown ? 0 : 70 + Math.floor(rnd() * 30), name,
    name_kind: name ? { TLS: 'sni', 'HTTP/3': 'sni', HTTP: 'http', DNS: 'dns' }[app] : null,
    packets_up: Math.ceil(up / size), packets_down: Math.ceil((bytes - up) / size), bytes_up: up,
    bytes_down: bytes - up, bytes, packets: Math.ceil(up / size) + Math.ceil((bytes - up) / size), duration,
    rtt_us: tcp ? (second >= 400 && second < 451 ? 58000 + Math.floor(9000 * rnd()) : 2500 + Math.floor(1200 * rnd())) : 0,
    retransmits: tcp && rnd() < 0.1 ? Math.ceil(rnd() * 5) : 0,
    end_reason: tcp ? (rnd() < 0.9 ? 'closed' : 'reset') : 'idle', flags: tcp ? ['syn', 'answered'] : ['answered'], vlan: [],
    evidence: { up: { len: Math.min(up, 517), hex: app === 'HTTP' ? Buffer.from('GET /index.html HTTP/1.1\r\nHost: ').toString('hex') : hex },
                down: { len: Math.min(bytes - up, 1448), hex: app === 'HTTP' ? Buffer.from('HTTP/1.1 200 OK\r\nServer: nginx/1').toString('hex') : [...hex].reverse().join('') } },
  };
}
