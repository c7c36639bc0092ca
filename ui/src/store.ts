// SPDX-License-Identifier: LGPL-3.0-or-later
// A value that components watch.
import { useEffect, useState } from 'preact/hooks';

export interface Store<T> {
  get(): T;
  set(value: T): void;
  subscribe(fn: (value: T) => void): () => void;
}

export function store<T>(initial: T): Store<T> {
  let value = initial;
  const watchers = new Set<(value: T) => void>();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const fn of [...watchers]) fn(value);
    },
    subscribe(fn) {
      watchers.add(fn);
      return () => void watchers.delete(fn);
    },
  };
}

export function useStore<T>(s: Store<T>): T {
  const [value, set] = useState(s.get());
  useEffect(() => {
    set(s.get());
    return s.subscribe(set);
  }, [s]);
  return value;
}

// A choice that outlives the visit; a browser that forbids storage just forgets it.
export function remembered<T extends string>(key: string, choices: readonly T[]): Store<T> {
  const first = choices[0] as T;
  let start = first;
  try {
    const saved = localStorage.getItem(`kotare.${key}`) as T | null;
    if (saved && choices.includes(saved)) start = saved;
  } catch {
    // No storage: the first choice.
  }
  const s = store<T>(start);
  s.subscribe((value) => {
    try {
      localStorage.setItem(`kotare.${key}`, value);
    } catch {
      // As above.
    }
  });
  return s;
}
