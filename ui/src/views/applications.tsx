// SPDX-License-Identifier: LGPL-3.0-or-later
import { address, useApi, type Applications, type Series, type Share } from '../api';
import { colourOf } from '../colours';
import { filterOf } from '../filter';
import { bounds, change, hrefKeeping, route, shown, tick } from '../route';
import { status } from '../live';
import { useStore } from '../store';
import { bytes, plural, si } from '../units';
import { Empty, Failure, isApplication, Loading, ShareCell, Swatch } from '../parts/common';
import { SortHead } from '../parts/sort';
import { Spark } from '../parts/spark';

const COLUMNS = [['name', 'Name', ''], ['category', 'Category', 'p2'], ['share', 'Share', ''], ['bytes', 'Traffic', 'num'],
  ['packets', 'Packets', 'num p3'], ['flows', 'Flows', 'num p2']] as const;
type Column = (typeof COLUMNS)[number][0];

export function ApplicationsView() {
  const r = useStore(route);
  useStore(status);
  const s = shown(r);
  const t = tick(s);
  const by = r.params.by === 'category' ? 'category' : 'app';
  const apps = useApi<Applications>(address('applications', { ...bounds(s) }), t, !s.held);
  const lines = useApi<Series>(address('series', { kind: by, points: 60, top: 1000, ...bounds(s) }), t, !s.held);
  if (apps.error && !apps.data) return <Failure error={apps.error} what="The applications" />;
  if (!apps.data) return <Loading label="Loading the applications" />;

  const sort = (COLUMNS.find(([c]) => c === r.params.sort)?.[0] ?? 'share') as Column;
  const up = r.params.order === 'asc';
  const all = by === 'app' ? apps.data.applications : apps.data.categories;
  const words = (r.params.find ?? '').toLowerCase();
  const rows = all.filter((a) => `${a.name} ${a.category ?? ''}`.toLowerCase().includes(words)).sort((x, y) => compare(x, y, sort) * (up ? 1 : -1));
  const columns = COLUMNS.filter(([c]) => by === 'app' || c !== 'category');
  return (
    <section class="card" aria-label="Applications">
      <header class="tools">
        <fieldset class="segments">
          <legend>Group by</legend>
          {[['', 'Application'], ['category', 'Category']].map(([key, text]) => (
            <label key={key}><input type="radio" name="by" checked={(key || 'app') === by} onChange={() => change({ by: key!, find: '' })} /><span>{text}</span></label>
          ))}
        </fieldset>
        <input type="search" placeholder="Find by name" aria-label="Find by name" value={r.params.find ?? ''}
               onInput={(e) => change({ find: e.currentTarget.value }, true)} />
        <span class="muted count">{rows.length === all.length ? told(all, by) : `${rows.length} of ${all.length}`}</span>
      </header>
      {rows.length === 0 ? <Empty title={all.length ? 'Nothing has that name' : 'No applications'}>
        {all.length ? 'Try a shorter word.' : 'In this window nothing moved.'}</Empty> : (
        <div class="scroll">
          <table class={`rows ${apps.loading ? 'stale' : ''}`}>
            <thead>
              <tr>
                {columns.map(([key, text, cls]) => <SortHead key={key} field={key} cls={cls} sort={sort} up={up} first={key === 'name' || key === 'category' ? 'asc' : 'desc'}>{text}</SortHead>)}
                <th scope="col" class="p2">Over time</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((a) => {
                const line = lines.data?.series.find((x) => x.name === a.name);
                return (
                  <tr key={a.name}>
                    <th scope="row">
                      <a href={hrefKeeping('flows', { filter: filterOf(by, a.name) })} title={`Flows of ${a.name}`}><Swatch name={a.name} />{a.name}</a>
                    </th>
                    {by === 'app' && <td class="p2">
                      <a class="plain" href={hrefKeeping('flows', { filter: filterOf('category', a.category ?? '') })}>{a.category}</a></td>}
                    <td><ShareCell share={a.share} name={a.name} /></td>
                    <td class="num">{bytes(a.bytes)}</td>
                    <td class="num p3">{si(a.packets)}</td>
                    <td class="num p2">{si(a.flows)}</td>
                    <td class="p2">{line && <Spark values={line.values} colour={colourOf(a.name)} />}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

// What the rows are: not all of them are applications.
function told(all: Share[], by: string): string {
  if (by === 'category') return all.length === 1 ? '1 category' : `${all.length} categories`;
  const n = all.filter((a) => isApplication(a.name)).length;
  return plural(n, 'application') + (n < all.length ? ` and ${plural(all.length - n, 'row')} of other traffic` : '');
}

function compare(x: Share, y: Share, by: Column): number {
  const a = x[by] ?? '', b = y[by] ?? '';
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a).localeCompare(String(b));
}
