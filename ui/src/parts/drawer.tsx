// SPDX-License-Identifier: LGPL-3.0-or-later
// All that is known of one flow, with the evidence for its label.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { address, useApi, type Evidence, type Flow, type Flows, type Rules } from '../api';
import { filterOf } from '../filter';
import { href } from '../route';
import { beside, bytes, count, duration, moment, plural } from '../units';
import { endpoint, isIcmp } from '../views/flows';
import { Bar, Swatch } from './common';

const NAME_KINDS: Record<string, string> = { sni: 'TLS server name', http: 'HTTP host', dns: 'DNS question' };

const PROTOS: Record<string, string> = { icmpv6: 'ICMPv6', 'proto-0': 'not IP' };
const ENDS: Record<string, string> = {
  active: 'still on at the end of what was seen', idle: 'fell silent', closed: 'closed', reset: 'reset', reused: 'its ports were used again',
  evicted: 'forgotten to make room',
};

export function Drawer({ flow: f, onClose }: { flow: Flow; onClose: () => void }) {
  const box = useRef<HTMLDialogElement>(null);
  const close = useRef(onClose);
  close.current = onClose;
  useEffect(() => {
    const dialog = box.current!;
    const back = document.activeElement as HTMLElement | null;
    dialog.showModal();
    return () => {
      dialog.close();
      back?.focus();
    };
  }, []);
  return (
    <dialog class="drawer" ref={box} aria-labelledby="flow-title" onCancel={(e) => { e.preventDefault(); close.current(); }}
            onClick={(e) => e.target === box.current && close.current()}>
      <div class="inside">
        <header>
          <h2 id="flow-title"><Swatch name={f.app} />{f.app} <span class="muted">{f.category}</span></h2>
          <button type="button" class="quiet" onClick={onClose} aria-label="Close">✕</button>
        </header>
        <p class="ends mono">{endpoint(f.client, isIcmp(f) ? 0 : f.client_port)}<span class="muted"> → </span>{endpoint(f.server, isIcmp(f) ? 0 : f.server_port)}</p>
        <dl class="facts">
          {f.name && <Fact name={NAME_KINDS[f.name_kind ?? ''] ?? 'Name'}>{f.name}</Fact>}
          <Fact name="Began">{moment(f.start, 6)}</Fact>
          <Fact name={f.end_reason === 'active' ? 'Last seen' : 'Ended'}>{beside(f.start, f.end, 6)} <span class="muted">after {duration(f.duration / 1e9)}, {ENDS[f.end_reason] ?? f.end_reason}</span></Fact>
          <Fact name="From the client">{bytes(f.bytes_up)} <span class="muted">in {plural(f.packets_up, 'packet')}</span></Fact>
          <Fact name="From the server">{bytes(f.bytes_down)} <span class="muted">in {plural(f.packets_down, 'packet')}</span></Fact>
          <Fact name="Transport">{PROTOS[f.proto] ?? f.proto.toUpperCase()}{isIcmp(f) && f.server_port > 0 && <span class="muted"> echo {f.server_port}</span>}{f.vlan.length > 0 && <span class="muted"> VLAN {f.vlan.join(', ')}</span>}</Fact>
          {f.rtt_us > 0 && <Fact name="Round trip">{duration(f.rtt_us / 1e6)}</Fact>}
          {f.proto === 'tcp' && <Fact name="Retransmitted">{plural(f.retransmits, 'segment')}</Fact>}
          {f.flags.length > 0 && <Fact name="Flags">{f.flags.join(', ')}</Fact>}
        </dl>
        <Why flow={f} />
        <p class="links">
          <a href={href('flows', { filter: filterOf('app', f.app) })}>All of {f.app}</a>
          {f.client && <>
            <a href={href('flows', { filter: filterOf('client', f.client) })}>All of {f.client}</a>
            <a href={href('flows', { filter: filterOf('server', f.server) })}>All to {f.server}</a>
            <a href={href('flows', { filter: `addr == ${f.client} and addr == ${f.server}` })}>All between both</a>
          </>}
          <Announced flow={f} />
        </p>
      </div>
    </dialog>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return <div><dt>{name}</dt><dd>{children}</dd></div>;
}

// What is told by the headers alone, and what no rule knows.
const NO_RULE: Record<string, string> = {
  icmp: 'The IP header says so. Rules look into TCP and UDP only.',
  'other-ip': 'It is IP, but neither TCP, UDP nor ICMP. Rules look into TCP and UDP only.',
  'not-ip': 'These frames carry no IP. Rules look into TCP and UDP only.',
  'no-payload': 'Neither side sent any payload, so there was nothing for a rule to look at.',
  'unknown-tcp': 'No rule knows these first bytes.', 'unknown-udp': 'No rule knows these first bytes.',
};
const ANNOUNCED = 0x8000; // from here on, accept counts the announced lines of a rule

function Why({ flow: f }: { flow: Flow }) {
  const rules = useApi<Rules>(address('rules', { id: f.rule }));
  const line = rules.data?.rules[0]?.lines.find((l) => l.accept === f.accept && l.confidence === f.confidence);
  const looked = f.proto === 'tcp' || f.proto === 'udp';
  return (
    <>
      <h3>Why {f.app}</h3>
      <p>{f.accept
        ? <>Rule <code>{f.rule}</code> accepted it, <strong>{f.confidence} %</strong> sure.</>
        : NO_RULE[f.rule] ?? 'No rule accepted it.'}
        {line?.port_only && <> <strong>It is a guess:</strong> nothing but the port speaks for {f.app}.</>}
        {f.accept > 0 && f.proto === 'tcp' && !f.flags.includes('syn') && <> The beginning of the connection was not seen.</>}
        {f.announced_by && <> Packet {count(Number(f.announced_by.packet))} of {f.announced_by.flow === null
          ? 'another flow' : <a href={href('flows', { filter: `id == ${f.announced_by.flow}` })}>another flow</a>} announced it.</>}</p>
      {f.accept > 0 && <Bar share={f.confidence / 100} />}
      {line && <p class="rule"><code>{line.accept >= ANNOUNCED ? 'announced' : 'accept'}: {line.text}</code>
        <span class="muted">{line.file}, line {line.line}</span></p>}
      {looked && <>
        <Dump title="First bytes from the client" evidence={f.evidence?.up} packets={f.packets_up} />
        <Dump title="First bytes from the server" evidence={f.evidence?.down} packets={f.packets_down} />
      </>}
    </>
  );
}

// The flows that it told of, where there are any.
function Announced({ flow: f }: { flow: Flow }) {
  const filter = `announced_by == ${f.id}`;
  const reply = useApi<Flows>(address('flows', { filter, from: f.start, limit: 0 }));
  const n = reply.data?.total ?? 0;
  return n > 0 ? <a href={href('flows', { filter })}>The {n === 1 ? 'flow' : plural(n, 'flow')} that it announced</a> : null;
}

function Dump({ title, evidence, packets }: { title: string; evidence: Evidence | undefined; packets: number }) {
  const hex = evidence?.hex ?? '';
  const lines: string[] = [];
  const row = innerWidth < 560 ? 16 : 32;
  for (let at = 0; at < hex.length; at += row) {
    const pairs = hex.slice(at, at + row).match(/../g) ?? [];
    const text = pairs.map((p) => {
      const c = parseInt(p, 16);
      return c >= 32 && c < 127 ? String.fromCharCode(c) : '·';
    }).join('');
    const groups = [pairs.slice(0, 8).join(' '), pairs.slice(8).join(' ')].join('  ').padEnd(row === 32 ? 48 : 23).slice(0, row === 32 ? 48 : 23);
    lines.push(`${(at / 2).toString(16).padStart(2, '0')}  ${groups}  ${text}`);
  }
  return (
    <>
      <h4>{title}{evidence && evidence.len > 0 && <span class="muted"> of {bytes(evidence.len)}</span>}</h4>
      {lines.length ? <pre class="dump" tabIndex={0} aria-label={title}>{lines.join('\n')}</pre> : <p class="muted">{packets ? `None in its ${plural(packets, 'packet')}.` : 'Nothing came from this side.'}</p>}
    </>
  );
}
