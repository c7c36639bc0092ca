// SPDX-License-Identifier: LGPL-3.0-or-later
// All that is known of one flow, with the evidence for its label.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Evidence, Flow } from '../api';
import { href, quoted } from '../route';
import { bytes, clock, count, duration, moment } from '../units';
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
          <Fact name={f.end_reason === 'active' ? 'Last seen' : 'Ended'}>{clock(f.end, 6)} <span class="muted">after {duration(f.duration / 1e9)}, {ENDS[f.end_reason] ?? f.end_reason}</span></Fact>
          <Fact name="From the client">{bytes(f.bytes_up)} <span class="muted">in {count(f.packets_up)} packets</span></Fact>
          <Fact name="From the server">{bytes(f.bytes_down)} <span class="muted">in {count(f.packets_down)} packets</span></Fact>
          <Fact name="Transport">{PROTOS[f.proto] ?? f.proto.toUpperCase()}{isIcmp(f) && f.server_port > 0 && <span class="muted"> echo {f.server_port}</span>}{f.vlan.length > 0 && <span class="muted"> VLAN {f.vlan.join(', ')}</span>}</Fact>
          {f.rtt_us > 0 && <Fact name="Round trip">{duration(f.rtt_us / 1e6)}</Fact>}
          {f.proto === 'tcp' && <Fact name="Retransmitted">{count(f.retransmits)} segment{f.retransmits === 1 ? '' : 's'}</Fact>}
          {f.flags.length > 0 && <Fact name="Flags">{f.flags.join(', ')}</Fact>}
        </dl>
        <h3>Why {f.app}</h3>
        <p>{f.rule
          ? <>Rule <code>{f.rule}</code> accepted it, <strong>{f.confidence} %</strong> sure.</>
          : <>No rule accepted it.</>}
          {f.announced_by && <> Packet {count(Number(f.announced_by.packet))} of {f.announced_by.flow === null
            ? 'another flow' : <a href={href('flows', { filter: `id == ${f.announced_by.flow}` })}>another flow</a>} announced it.</>}</p>
        <Bar share={f.confidence / 100} />
        <Dump title="First bytes from the client" evidence={f.evidence?.up} />
        <Dump title="First bytes from the server" evidence={f.evidence?.down} />
        <p class="links">
          <a href={href('flows', { filter: `app == ${quoted(f.app)}` })}>All of {f.app}</a>
          {f.client && <>
            <a href={href('flows', { filter: `client == ${f.client}` })}>All of {f.client}</a>
            <a href={href('flows', { filter: `server == ${f.server}` })}>All to {f.server}</a>
            <a href={href('flows', { filter: `addr == ${f.client} and addr == ${f.server}` })}>All between both</a>
          </>}
          <a href={href('flows', { filter: `announced_by == ${f.id}` })}>What it announced</a>
        </p>
      </div>
    </dialog>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return <div><dt>{name}</dt><dd>{children}</dd></div>;
}

function Dump({ title, evidence }: { title: string; evidence: Evidence | undefined }) {
  const hex = evidence?.hex ?? '';
  const lines: string[] = [];
  for (let at = 0; at < hex.length; at += 32) {
    const pairs = hex.slice(at, at + 32).match(/../g) ?? [];
    const text = pairs.map((p) => {
      const c = parseInt(p, 16);
      return c >= 32 && c < 127 ? String.fromCharCode(c) : '·';
    }).join('');
    const groups = [pairs.slice(0, 8).join(' '), pairs.slice(8).join(' ')].join('  ').padEnd(48);
    lines.push(`${(at / 2).toString(16).padStart(2, '0')}  ${groups}  ${text}`);
  }
  return (
    <>
      <h4>{title}{evidence && evidence.len > 0 && <span class="muted"> of {bytes(evidence.len)}</span>}</h4>
      {lines.length ? <pre class="dump" tabIndex={0} aria-label={title}>{lines.join('\n')}</pre> : <p class="muted">None: this side was silent.</p>}
    </>
  );
}
