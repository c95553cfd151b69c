// Servers of HTTPS outside of the host, by names that an authority of the test's own stands for; but a name that begins
// with "forged", which signs itself.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Certificate } from './certificate.mjs';
import { Outside } from './outside.mjs';
import { until } from './until.mjs';

export class TlsHosts {
  /// `network`: as Outside's; all names are at the first of its addresses.
  constructor(names, network) {
    this.names = names;
    this.address = network.there[0];
    this.directory = fs.mkdtempSync('/var/tmp/hutch-e2e-hosts-');
    this.issuer = this.certify('authority-of-the-test');
    for (const name of names) this.certify(name, name.startsWith('forged') ? {} : { issuer: this.issuer });
    this.outside = new Outside([process.execPath, new URL('tls-servers.mjs', import.meta.url).pathname, this.directory, ...names], network);
  }

  certify(name, options) {
    const directory = path.join(this.directory, name);
    fs.mkdirSync(directory);
    return new Certificate(directory, name, { names: `DNS:${name}`, ...options });
  }

  async open() {
    this.forget();
    this.outside.open();
    await until('the servers listen', () => this.heard().length > 0);
    this.forget();
  }

  close() {
    this.outside.close();
    fs.rmSync(this.directory, { recursive: true });
  }

  /// What they have heard since it was forgotten.
  heard = () => fs.readFileSync(path.join(this.directory, 'heard'), 'utf8').trim().split('\n').filter(Boolean).map((line) => JSON.parse(line));
  forget = () => fs.writeFileSync(path.join(this.directory, 'heard'), '');
  /// The values of a header, of the last request.
  valuesOf = (name, { headers } = this.heard().at(-1)) => headers.filter((value, i) => i % 2 === 1 && headers[i - 1].toLowerCase() === name);

  /// The box knows their names, and trusts their authority as it does the Internet's.
  async makeKnown(box) {
    const lines = this.names.map((name) => `${this.address} ${name}`).join('\n');
    const script = `mkdir -p /etc/ssl/certs; echo '${lines}' >> /etc/hosts; cat >> /etc/ssl/certs/ca-certificates.crt << EOF\n${this.issuer.pem}EOF`;
    const { exit_code: code, output, error } = await box.daemon.json('POST', `${box.path}/exec`, { command: ['sh', '-c', script], user: 'root' });
    assert.equal(code, 0, output + error);
  }
}
