// SPDX-License-Identifier: LGPL-3.0-or-later
// The page: a header, the window of time, and one of four views.
import { render } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { address, useApi, type Event, type Events } from './api';
import { connect, eventsRevision, link, status } from './live';
import { route, type View } from './route';
import { zone } from './settings';
import { useStore } from './store';
import { Empty, Loading } from './parts/common';
import { Header, Notices } from './parts/header';
import { WindowBar } from './parts/windowbar';
import { ApplicationsView } from './views/applications';
import { EventsView } from './views/events';
import { FlowsView } from './views/flows';
import { Overview } from './views/overview';

const TITLES: Record<View, string> = { overview: 'Overview', applications: 'Applications', flows: 'Flows', events: 'Events' };
const NONE: Event[] = [];

function Page() {
  const r = useStore(route), s = useStore(status), revision = useStore(eventsRevision), state = useStore(link);
  useStore(zone);
  const events = useApi<Events>(address('events'), `${revision} ${s?.done}`);
  const main = useRef<HTMLElement>(null);
  const before = useRef(r.view);
  useEffect(() => {
    document.title = `${TITLES[r.view]} – Kōtare`;
    // A reader who follows by ear or by keyboard begins at the new view.
    if (before.current !== r.view) main.current?.focus({ preventScroll: true });
    before.current = r.view;
  }, [r.view]);
  const list = events.data?.events ?? NONE;
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); main.current?.focus(); }}>To the content</a>
      <Header events={events.data?.events.length} />
      <Notices />
      <main id="main" tabIndex={-1} ref={main} aria-label={TITLES[r.view]}>
        <h1 class="hidden">{TITLES[r.view]}</h1>
        <WindowBar />
        {!s && (state === 'lost' ? <Empty title="Kōtare does not answer">Is it still running? This page tries again by itself.</Empty>
          : <Loading label="Asking how the run stands" />)}
        {s && r.view === 'overview' && <Overview events={list} />}
        {s && r.view === 'applications' && <ApplicationsView />}
        {s && r.view === 'flows' && <FlowsView />}
        {s && r.view === 'events' && <EventsView reply={events} />}
      </main>
    </>
  );
}

connect();
const root = document.getElementById('app')!;
root.textContent = '';
render(<Page />, root);
