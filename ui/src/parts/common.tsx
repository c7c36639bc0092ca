// SPDX-License-Identifier: LGPL-3.0-or-later
// Small pieces that every view uses.
import type { ComponentChildren } from 'preact';
import type { ApiError } from '../api';
import { colourOf } from '../colours';
import { percent } from '../units';

// What is listed beside applications, but is none.
const NO_APPLICATION = /^(unknown( tcp| udp)?|no payload|other ip|not ip)$/i;
export const isApplication = (name: string) => !NO_APPLICATION.test(name);

export function Swatch({ name }: { name: string }) {
  return <span class="swatch" aria-hidden="true" style={{ background: colourOf(name) }} />;
}

export function Bar({ share, name }: { share: number; name?: string }) {
  const width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return (
    <span class="bar" aria-hidden="true">
      <span style={{ width, background: name ? colourOf(name) : undefined }} />
    </span>
  );
}

export function ShareCell({ share, name }: { share: number; name: string }) {
  return <span class="share"><Bar share={share} name={name} /><span class="num">{percent(share)}</span></span>;
}

export function Failure({ error, what }: { error: ApiError; what: string }) {
  return (
    <div class="notice bad" role="alert">
      <strong>{what} could not be loaded.</strong> <span>{error.message}</span>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return <div class="empty"><Kingfisher /><h2>{title}</h2><p>{children}</p></div>;
}

export function Loading({ label }: { label: string }) {
  return <div class="loading" role="status"><span class="spinner" aria-hidden="true" />{label}</div>;
}

export function Card({ title, children, actions, id }: {
  title: ComponentChildren; children: ComponentChildren; actions?: ComponentChildren; id: string;
}) {
  return (
    <section class="card" aria-labelledby={id}>
      <header><h2 id={id}>{title}</h2>{actions}</header>
      {children}
    </section>
  );
}

export function Kingfisher() {
  return (
    <svg class="bird" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M2 21c6-1 7-10 13-10 4.500 0 5.500 5 8 5s4.500-5 9-7v9c-4 7-9 9-15 9S5 25 2 21z" fill="var(--teal)" />
      <path d="M4 23c5 0 7-4 12-4s7 2 14-2c-3 7-8 9-13 9-6 0-10-1-13-3z" fill="var(--buff)" />
    </svg>
  );
}
