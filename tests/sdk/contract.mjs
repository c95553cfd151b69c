// docs/openapi.json, and the answers of the daemon held against it. What the client calls is noted too: method by method,
// for docs/client.md.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const kNamed = [408, 413, 429, 431, 503]; // errors that the document does not leave to `default`

export class Contract {
  /// `directory`: where the npm packages of package.json are installed.
  constructor(directory) {
    const require = createRequire(path.join(directory, 'package.json'));
    const Ajv = require('ajv/dist/2020').default;
    this.document = JSON.parse(fs.readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8'));
    this.ajv = new Ajv({ strict: false, allErrors: true });
    this.ajv.addSchema(this.document, 'api');
    this.routes = Object.entries(this.document.paths).flatMap(([route, methods]) => Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${route}`, method: method.toUpperCase(), route, operation,
      pattern: new RegExp(`^${route.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/]+')}$`), literal: route.replace(/\{\w+\}/g, '').length,
    }))).sort((a, b) => b.literal - a.literal);
    this.driven = new Set();
  }

  route(method, target) {
    const { pathname } = new URL(target, 'http://hutch');
    return this.routes.find((route) => route.method === method && route.pattern.test(pathname));
  }

  /// Asserts that this answer is one that the document tells of; notes that its call was driven.
  check(method, target, status, type, text) {
    const route = this.route(method, target);
    assert.ok(route, `${method} ${target} is not in docs/openapi.json`);
    this.driven.add(route.name);
    const told = this.response(route, status);
    assert.ok(told || (status >= 400 && !kNamed.includes(status)), `${route.name}: ${status} is not in docs/openapi.json`);
    const content = (told ?? route.operation.responses.default).content;
    if (type !== 'application/json') return assert.ok(content?.[type] || type === 'application/x-tar', `${route.name}: ${type} is not in docs/openapi.json`);
    const valid = this.ajv.getSchema(`api${this.pointer(content, route)}`) ?? assert.fail(`${route.name}: ${text}`);
    if (!valid(JSON.parse(text))) assert.fail(`${route.name} ${status}: ${this.ajv.errorsText(valid.errors)}\n${text}`);
  }

  response(route, status) {
    const told = route.operation.responses[status];
    return told?.$ref ? this.document.components.responses[told.$ref.split('/').at(-1)] : told;
  }

  pointer(content, route) {
    return content?.['application/json']?.schema.$ref ?? assert.fail(`${route.name} has no answer in JSON`);
  }
}
