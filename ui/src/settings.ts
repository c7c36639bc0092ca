// SPDX-License-Identifier: LGPL-3.0-or-later
// What the reader chose about the look: theme and time zone.
import { remembered, store } from './store';

export const theme = remembered('theme', ['auto', 'light', 'dark'] as const);
export const zone = remembered('zone', ['UTC', 'local'] as const);

// Counts up whenever canvas colours have to be read again.
export const look = store(0);

function apply() {
  const root = document.documentElement;
  if (theme.get() === 'auto') delete root.dataset.theme;
  else root.dataset.theme = theme.get();
  look.set(look.get() + 1);
}

theme.subscribe(apply);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', apply);
apply();

// The value that a colour variable of app.css has right now, for the canvas.
export function cssColour(variable: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
