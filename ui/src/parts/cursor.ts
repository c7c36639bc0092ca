// SPDX-License-Identifier: LGPL-3.0-or-later
// The moment that the reader points at, shared by all charts of a view (seconds since 1970).
import { store } from '../store';

export const pointed = store<number | null>(null);
