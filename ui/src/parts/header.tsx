// SPDX-License-Identifier: LGPL-3.0-or-later
import { hrefKeeping, route, VIEWS, type View } from '../route';
import { link, status } from '../live';
import { theme, zone } from '../settings';
import { useStore } from '../store';
import { bytes, clock, inputText, percent, plural, si } from '../units';
import { Kingfisher } from './common';

const NAMES: Record<View, string> = { overview: 'Overview', applications: 'Applications', flows: 'Flows', events: 'Events' };
const NEXT = { auto: 'light', light: 'dark', dark: 'auto' } as const;
const SUN = { auto: '◐', light: '☀', dark: '☾' } as const;

export function Header({ events }: { events: number | undefined }) {
  const r = useStore(route), t = useStore(theme), z = useStore(zone);
  return (
    <header class="top">
      <a class="brand" href={hrefKeeping('overview')} aria-label="Kōtare, overview"><Kingfisher /><span>Kōtare</span></a>
      <nav aria-label="Views">
        {VIEWS.map((v) => (
          <a key={v} href={hrefKeeping(v)} aria-current={r.view === v ? 'page' : undefined}>
            {NAMES[v]}{v === 'events' && events ? <span class="badge" aria-label={`, ${events}`}>{events}</span> : null}
          </a>
        ))}
      </nav>
      <div class="right">
        <Run />
        <button type="button" class="quiet" aria-label={`Times in ${z === 'UTC' ? 'UTC' : 'local time'}`} title="Times in UTC or local time"
                onClick={() => zone.set(z === 'UTC' ? 'local' : 'UTC')}>{z === 'UTC' ? 'UTC' : 'Local'}</button>
        <button type="button" class="quiet theme" aria-label={`Theme: ${t}`} title={`Theme: ${t}`}
                onClick={() => theme.set(NEXT[t])}><span aria-hidden="true">{SUN[t]}</span></button>
      </div>
    </header>
  );
}

// What is being watched and how it stands.
function Run() {
  const s = useStore(status), l = useStore(link);
  if (!s) return <span class="run">{l === 'lost' ? 'No connection' : 'Connecting…'}</span>;
  const share = Math.min(1, s.bytes_total ? s.bytes_done / s.bytes_total : 0);
  const state = l === 'lost' ? 'lost' : s.done ? 'done' : s.live ? 'live' : 'reading';
  const text = { lost: 'disconnected', done: 'finished', live: 'live', reading: s.bytes_total ? `reading ${percent(share)}` : 'reading' }[state];
  const earlier = s.earlier_runs ? `and ${plural(s.earlier_runs, 'earlier run')}, ` : '';
  const title = `${s.input === '-' ? inputText(s.input) : s.input}: ${plural(s.packets, 'packet', si(s.packets))}, ${bytes(s.bytes)}, ${plural(s.workers, 'worker')}, version ${s.version}`;
  return (
    <span class={`run ${state}`} title={title}>
      <span class="dot" aria-hidden="true" />
      <span class="input">{inputText(s.input)}</span> <span class="muted">{earlier}{text}</span>
      {state === 'reading' && s.bytes_total > 0 && <progress max={1} value={share} aria-label="Reading" />}
    </span>
  );
}

// Sentences about the run that the reader must not miss.
export function Notices() {
  const s = useStore(status), l = useStore(link);
  useStore(zone);
  return (
    <div aria-live="polite" class="notices">
      {l === 'lost' && (
        <div class="notice warn">
          <strong>The connection is lost.</strong>{' '}
          {s && s.last !== '0' ? `What is shown goes up to ${clock(s.last)}. ` : ''}Trying again…
        </div>
      )}
      {s?.warning && <div class="notice warn"><strong>Not all went well with the input.</strong> {s.warning}</div>}
    </div>
  );
}
