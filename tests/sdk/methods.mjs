// Which public method of the client makes which calls, noted while the suite runs: docs/client.md is this table.

import { AsyncLocalStorage } from 'node:async_hooks';

const within = new AsyncLocalStorage();
const kInternal = /^(_|constructor$)/;

export class Methods {
  constructor(sdk) {
    this.noted = new Map(); // method: Map of wire call to the statuses it had
    for (const name of ['Box', 'EphemeralBox', 'Run', 'StreamRun']) this.wrapClass(name, sdk[name]);
  }

  wrapClass(name, type) {
    for (const [prefix, owner] of [[name, type], [name.toLowerCase().replace('ephemeralbox', 'ephemeralBox').replace('streamrun', 'streamRun'), type.prototype]]) {
      for (const [key, { value }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
        if (kInternal.test(key) || typeof value !== 'function' || /^class/.test(String(value))) continue;
        owner[key] = this.wrap(`${prefix}.${key}`, value);
      }
    }
  }

  /// box.files, box.git and the like are made with each box.
  wrapParts(box) {
    if (box === null || typeof box !== 'object' || box[kWrapped]) return;
    Object.defineProperty(box, kWrapped, { value: true });
    const name = box.constructor.name === 'EphemeralBox' ? 'ephemeralBox' : 'box';
    for (const [part, group] of Object.entries(box)) {
      if (kInternal.test(part) || group === null || typeof group !== 'object' || Array.isArray(group)) continue;
      for (const [key, value] of Object.entries(group)) {
        if (typeof value === 'function') group[key] = this.wrap(`${name}.${part}.${key}`, value, group);
      }
    }
  }

  wrap(name, method, self) {
    this.noted.set(name, this.noted.get(name) ?? new Map());
    const methods = this;
    return function wrapped(...args) {
      const call = () => method.apply(self ?? this, args);
      const result = within.getStore() === undefined ? within.run(name, call) : call();
      const made = (value) => {
        for (const box of Array.isArray(value) ? value : [value]) if (/Box$/.test(box?.constructor?.name)) methods.wrapParts(box);
        return value;
      };
      return typeof result?.then === 'function' ? result.then(made) : made(result);
    };
  }

  note(route, status) {
    const method = within.getStore();
    if (method === undefined) return;
    const calls = this.noted.get(method);
    calls.set(route, (calls.get(route) ?? new Set()).add(status));
  }

  table() {
    const rows = [...this.noted].sort(([a], [b]) => a.localeCompare(b)).map(([method, calls]) => {
      const statuses = [...calls.values()].flatMap((set) => [...set]);
      const state = calls.size === 0 ? 'makes no call' : statuses.some((status) => status < 400) ? 'passes' : statuses.every((status) => status === 501) ? 'answers 501' : 'refused, as it should be';
      return `| \`${method}\` | ${[...calls.keys()].sort().map((call) => `\`${call}\``).join(', ')} | ${state} |`;
    });
    return ['| method | wire calls | state |', '|---|---|---|', ...rows, ''].join('\n');
  }
}

const kWrapped = Symbol('wrapped');
