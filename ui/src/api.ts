// SPDX-License-Identifier: LGPL-3.0-or-later
// The HTTP API (docs/api.md): its types, and a hook that keeps a reply fresh.
import { useEffect, useRef, useState } from 'preact/hooks';

export interface Status {
  version: string; input: string; live: boolean; done: boolean; bytes_done: number; bytes_total: number;
  packets: number; bytes: number; flows: number; lost: number; not_ip: number; malformed: number;
  first: string; last: string; interval: number; workers: number; earlier_runs: number; warning: string;
}
export interface Share { name: string; category?: string; bytes: number; packets: number; flows: number; share: number }
export interface Applications {
  from: string; to: string; bytes: number; packets: number; flows: number; applications: Share[]; categories: Share[];
}
export interface Stream { name: string; total: number; values: (number | null)[] }
export interface Series { from: string; step: number; unit: string; kind: string; times: string[]; series: Stream[] }
export interface Evidence { len: number; hex: string }
export interface Flow {
  id: string; start: string; end: string; proto: string; client: string; client_port: number; server: string;
  server_port: number; app: string; category: string; rule: string; accept: number; confidence: number; name: string | null;
  name_kind: string | null; packets_up: number; packets_down: number; bytes_up: number; bytes_down: number;
  bytes: number; duration: number; rtt_us: number; retransmits: number; end_reason: string; flags: string[];
  vlan: number[]; announced_by?: { packet: string; flow: string | null } | null; evidence?: { up?: Evidence; down?: Evidence };
}
export interface Flows { total: number; offset: number; flows: Flow[] }
export interface Field { name: string; type: string; means: string; sorts: boolean }
export interface Fields { fields: Field[] }
export interface RuleLine { accept: number; confidence: number; port_only: boolean; text: string; file: string; line: number }
export interface Rules { rules: { id: string; name: string; category: string; lines: RuleLine[] }[] }
export interface Cause { kind: string; name: string; before: number; after: number; share: number; unit?: string; more?: number }
export interface Event {
  id: string; kind: string; title: string; began: string; noticed: string; ended: string | null; confidence: number;
  severity: number; causes: Cause[]; filter: string; streams: { kind: string; name: string }[];
}
export interface Events { events: Event[] }

export class ApiError extends Error {
  constructor(message: string, readonly status: number) {
    super(message);
  }
}

export type Query = Record<string, string | number | bigint | null | undefined>;

export function address(path: string, query: Query = {}): string {
  const q = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') q.set(key, String(value));
  }
  const text = q.toString();
  return `api/v1/${path}${text ? `?${text}` : ''}`;
}

export async function get<T>(url: string, signal?: AbortSignal): Promise<T> {
  let reply: Response;
  try {
    reply = await fetch(url, { signal });
  } catch (e) {
    if ((e as Error).name === 'AbortError') throw e;
    throw new ApiError('Kōtare does not answer. Is it still running?', 0);
  }
  const text = await reply.text();
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    throw new ApiError(`The reply to ${url} is not JSON (status ${reply.status}).`, reply.status);
  }
  if (!reply.ok) throw new ApiError((data as { error?: string }).error ?? `Status ${reply.status}`, reply.status);
  return data as T;
}

export interface Reply<T> {
  data: T | undefined; // the last good reply, also while a newer one is on its way
  error: ApiError | undefined;
  loading: boolean;
  url: string; // what `data` answers
}

// Fetches `url`, and again whenever `tick` changes. What comes while a request is under way waits for
// it when it is the same address or `patient` (a window that follows moves all the time, and a slow
// reply is better than none); otherwise it replaces it.
export function useApi<T>(url: string, tick: unknown = 0, patient = false): Reply<T> {
  const [reply, setReply] = useState<Reply<T>>({ data: undefined, error: undefined, loading: true, url: '' });
  const under = useRef<{ url: string; abort: AbortController; again: boolean } | null>(null);
  const newest = useRef(url);
  newest.current = url;

  useEffect(() => {
    const path = (u: string) => u.split('?')[0] + (new URLSearchParams(u.split('?')[1]).get('kind') ?? '');
    if (under.current && (under.current.url === url || (patient && path(under.current.url) === path(url)))) {
      under.current.again = true;
      return;
    }
    under.current?.abort.abort();
    const run = () => {
      const mine = { url: newest.current, abort: new AbortController(), again: false };
      under.current = mine;
      setReply((r) => ({ ...r, loading: true }));
      get<T>(mine.url, mine.abort.signal).then(
        (data) => under.current === mine && setReply({ data, error: undefined, loading: false, url: mine.url }),
        (error: ApiError) => under.current === mine && setReply((r) => ({ ...r, error, loading: false })),
      ).finally(() => {
        if (under.current !== mine) return;
        under.current = null;
        if (mine.again) run();
      });
    };
    run();
  }, [url, tick]);
  useEffect(() => () => {
    under.current?.abort.abort();
    under.current = null;
  }, []);
  return reply;
}
