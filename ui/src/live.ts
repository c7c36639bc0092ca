// SPDX-License-Identifier: LGPL-3.0-or-later
// The event stream: how the run stands, and a sign that events changed.
import type { Status } from './api';
import { address, get } from './api';
import { store } from './store';

export type Link = 'connecting' | 'open' | 'lost';

export const status = store<Status | null>(null);
export const link = store<Link>('connecting');
export const eventsRevision = store(0);

const RETRY_MS = 3000;

export function connect() {
  // The stream says it too, but something between may hold back its first words.
  get<Status>(address('status')).then((s) => status.get() ?? status.set(s), () => undefined);
  const source = new EventSource(address('stream'));
  source.onopen = () => link.set('open');
  source.addEventListener('status', (e) => {
    link.set('open');
    status.set(JSON.parse((e as MessageEvent<string>).data) as Status);
  });
  source.addEventListener('events', () => eventsRevision.set(eventsRevision.get() + 1));
  source.onerror = () => {
    link.set('lost');
    // Some proxies forbid event streams: ask once in a while instead.
    get<Status>(address('status')).then((s) => status.set(s), () => undefined);
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MS);
  };
}
