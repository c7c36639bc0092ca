// SPDX-License-Identifier: LGPL-3.0-or-later
// Bundles the page: node build.mjs [--out DIR] [--depfile FILE --target NAME]
import { build } from 'esbuild';
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at > 0 ? process.argv[at + 1] : fallback;
};
const out = resolve(option('out', join(here, 'dist')));
const depfile = option('depfile');

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const result = await build({
  absWorkingDir: here,
  entryPoints: [join(here, 'src/app.tsx'), join(here, 'src/app.css')],
  bundle: true,
  minify: true,
  metafile: true,
  outdir: out,
  target: ['es2022', 'chrome100', 'firefox100', 'safari15.4'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  logLevel: 'warning',
});
const copied = ['index.html', 'favicon.svg'];
for (const name of copied) copyFileSync(join(here, 'src', name), join(out, name));

if (depfile) {
  const inputs = [...Object.keys(result.metafile.inputs), ...copied.map((n) => `src/${n}`),
                  'build.mjs', 'package.json', 'package-lock.json'];
  const text = inputs.map((p) => resolve(here, p).replaceAll(' ', '\\ ')).join(' \\\n  ');
  writeFileSync(depfile, `${option('target', 'out')}: ${text}\n`);
}
