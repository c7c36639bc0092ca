// SPDX-License-Identifier: LGPL-3.0-or-later
import { render } from 'preact';

render(<main>Kōtare</main>, document.getElementById('app')!);
