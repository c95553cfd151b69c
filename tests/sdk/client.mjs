// The official npm client as it is published, installed into the build directory, and a hutchd on TCP for it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Contract } from './contract.mjs';
import { Methods } from './methods.mjs';
import { gitImage } from '../e2e/lib/git-image.mjs';
import { freePort } from '../e2e/lib/daemon.mjs';
import { leakless, needs, suite } from '../e2e/lib/suite.mjs';
import { disconnect, install } from './install.mjs';

needs('git', 'ldd');
const module = install();
export const directoryOfClient = process.env.HUTCH_SDK_DIR;
export const contract = new Contract(directoryOfClient);
export const sdk = await import(pathToFileURL(module));
export const methods = new Methods(sdk);

/// Every answer that anybody here gets is held against docs/openapi.json.
const plainFetch = globalThis.fetch;
globalThis.fetch = async (input, options = {}) => {
  const response = await plainFetch(input, options);
  const type = response.headers.get('content-type') ?? '';
  if (String(input).startsWith(daemon.url)) {
    const text = type === 'application/json' ? await response.clone().text() : '';
    contract.check(options.method ?? 'GET', String(input), response.status, type, text);
    methods.note(contract.route(options.method ?? 'GET', String(input)).name, response.status);
  }
  return response;
};

const directory = fs.mkdtempSync('/var/tmp/hutch-sdk-');
after(() => fs.rmSync(directory, { recursive: true }));
export const previewPort = await freePort();
export const daemon = suite({ tcp: true, args: ['--preview_listen', `127.0.0.1:${previewPort}`], import: { git: gitImage(directory, { node: true }) } });

/// A test of calls by the client, after which the host must hold what it held before it.
export function calls(name, run) {
  leakless(daemon, name, async (context) => {
    process.env.UPSTASH_BOX_BASE_URL = daemon.url;
    process.env.UPSTASH_BOX_API_KEY = daemon.key;
    try {
      await run(context);
    } finally {
      await disconnect();
    }
  });
}

/// Asserts that the client throws its own error, with the status and the sentence of the daemon.
export function refuses(statusCode, message, call) {
  return assert.rejects(call, (error) => {
    assert.ok(error instanceof sdk.BoxError, String(error));
    assert.equal(error.statusCode, statusCode, error.message);
    assert.match(error.message, message);
    return true;
  });
}
