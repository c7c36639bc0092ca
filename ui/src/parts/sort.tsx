// SPDX-License-Identifier: LGPL-3.0-or-later
// A column head that sorts; the choice lies in the address.
import type { ComponentChildren } from 'preact';
import { change } from '../route';

export function SortHead({ field, cls = '', sort, up, first = 'desc', children }: {
  field: string; cls?: string; sort: string; up: boolean; first?: 'asc' | 'desc'; children: ComponentChildren;
}) {
  const mine = sort === field;
  const next = mine ? (up ? 'desc' : 'asc') : first;
  return (
    <th scope="col" class={cls} aria-sort={mine ? (up ? 'ascending' : 'descending') : 'none'}>
      <button type="button" onClick={() => change({ sort: field, order: next, page: '' })}>
        {children}<span class="arrow" aria-hidden="true">{mine ? (up ? '▲' : '▼') : '▽'}</span>
      </button>
    </th>
  );
}
