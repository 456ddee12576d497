"""The pages' style: light and dark, wide and narrow, and on paper."""

from __future__ import annotations

STYLE = """
:root { --ink: #1b1f24; --muted: #5b6471; --lines: #e2e6ea; --paper: #ffffff; --soft: #f5f7f9;
  --bad: #b44a00; --good: #00795a; --warn: #fff4dc; --warn-ink: #5c4200;
  --blue: #0072b2; --green: #009e73;
  --font: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", Arial, sans-serif; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --muted: #a3adb8;
  --lines: #323a43; --paper: #14181d; --soft: #1d232a; --bad: #ff9a52; --good: #3fcf9f;
  --warn: #3a2f12; --warn-ink: #ffe2a3; --blue: #3f9fe0; --green: #22b88a; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 var(--font); color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 1040px; padding: 1.6rem 1rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { margin: .5rem 0; } .quiet, figcaption { color: var(--muted); }
figcaption { font-size: .92rem; max-width: 46rem; margin-top: .4rem; }
.verdict { color: #fff; border-radius: 10px; padding: .8rem 1.2rem; margin: 1rem 0; display: flex;
  gap: .4rem 1.6rem; align-items: center; flex-wrap: wrap; print-color-adjust: exact;
  -webkit-print-color-adjust: exact; }
.verdict p { margin: .2rem 0; flex: 1 1 20rem; overflow-wrap: anywhere; }
.verdict .word { font-size: 1.9rem; font-weight: 700; letter-spacing: .02em; flex: 0 0 auto;
  line-height: 1.1; }
.counts { font-weight: 600; }
.partial, .warning { background: var(--warn); color: var(--warn-ink); padding: .6rem 1rem;
  border-radius: 8px; overflow-wrap: anywhere; }
.warning ul { margin: .3rem 0; padding-left: 1.2rem; }
pre.command { background: var(--soft); padding: .6rem 1rem; border-radius: 8px; margin: .3rem 0;
  overflow-x: auto; font-size: .9rem; }
code { font-size: .92em;
  font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
ul.told { margin: 0; padding-left: 1.2rem; } ul.told li { margin: .3rem 0; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .35rem 1.2rem .35rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--lines); }
th { color: var(--muted); font-weight: 600; } tbody th { white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.text { overflow-wrap: anywhere; min-width: 9rem; } td.fixed { white-space: nowrap; width: 1%; }
figure + .table, figure + h3 { margin-top: 1rem; }
.no { color: var(--bad); font-weight: 700; } .yes { color: var(--good); font-weight: 600; }
tr.broken { background: var(--warn); color: var(--warn-ink); }
.what { color: var(--muted); display: block; font-size: .88rem; }
figure { margin: 0; } figure svg { width: 100%; height: auto; display: block; }
.narrow { display: none; }
details { margin: .8rem 0; } summary { cursor: pointer; color: var(--muted); }
@media screen and (max-width: 640px) { body { padding: 1rem .8rem 2rem; }
  .wide { display: none; } .narrow { display: block; }
  .verdict .word { font-size: 1.5rem; } h2 { margin-top: 1.8rem; }
  th, td { padding-right: .6rem; } table { font-size: .88rem; }
  td.text { min-width: 6.5rem; }
  table.cards thead { display: none; } table.cards, table.cards tbody { display: block; }
  table.cards tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--lines); }
  table.cards td, table.cards th { display: block; border: 0; padding: .05rem .3rem;
    text-align: left; white-space: normal; }
  table.cards td.fixed { display: inline-block; width: auto; margin-right: .6rem; }
  table.cards td { width: auto; }
  table.cards td[data-name]::before { content: attr(data-name) ": "; color: var(--muted); } }
@media print { body { max-width: none; font-size: 10.5pt; padding: 0; }
  figure, table, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  pre.command { white-space: pre-wrap; overflow-wrap: anywhere; } }
"""
