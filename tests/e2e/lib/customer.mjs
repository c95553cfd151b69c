// A customer, asking over TCP with its key.

import assert from 'node:assert/strict';
import { leakless } from './suite.mjs';

const kEnv = '/v2/box/settings/env';

export class Customer {
  static async make(daemon, name) {
    const { key } = await daemon.json('POST', '/v2/keys', { name }, 201);
    return new Customer(daemon, name, key);
  }
  constructor(daemon, name, key) {
    this.daemon = daemon;
    this.name = name;
    this.key = key;
  }
  async ask(method, path, body) {
    const headers = { 'x-box-api-key': this.key, connection: 'close' };
    const answer = await fetch(`${this.daemon.url}${path}`, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
    const text = await answer.text();
    return { status: answer.status, text, get json() { return JSON.parse(text); } };
  }
  async json(method, path, body, status = 200) {
    const answer = await this.ask(method, path, body);
    assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
    return answer.json;
  }
  box(body = {}) {
    return this.json('POST', '/v2/box', body, 201);
  }
  /// What it takes and may take, as the operator is told.
  async limits() {
    const { keys } = await this.daemon.json('GET', '/v2/keys');
    return keys.find(({ name }) => name === this.name).limits;
  }
  limit(limits) {
    return this.daemon.json('PUT', `/v2/keys/${this.name}/limits`, limits);
  }
  /// Everything of it goes, its key last; its limits stay, for a next key of the name.
  async remove() {
    const boxes = await this.json('GET', '/v2/box');
    await this.json('DELETE', '/v2/box', { ids: boxes.map(({ id }) => id) });
    await this.json('DELETE', '/v2/box/snapshots', {});
    await this.json('PUT', kEnv, { env_vars: {} });
    await this.daemon.json('DELETE', `/v2/keys/${this.name}`);
  }
}

/// A test with two of them, whose names end with `suffix`.
export function withCustomers(daemon, name, test, suffix = '') {
  leakless(daemon, name, async () => {
    const customers = [await Customer.make(daemon, `alice${suffix}`), await Customer.make(daemon, `bob${suffix}`)];
    try {
      await test(...customers);
    } finally {
      for (const customer of customers) await customer.remove();
    }
  });
}
