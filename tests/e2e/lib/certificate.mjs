// Certificates of 127.0.0.1 that sign themselves.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';

export class Certificate {
  /// Writes `certificate` and `key` into that directory, over what was there.
  constructor(directory, name = 'hutch') {
    this.certificate = `${directory}/certificate.pem`;
    this.key = `${directory}/key.pem`;
    this.name = name;
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30',
      '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', this.key, '-out', this.certificate], { stdio: 'ignore' });
    fs.chmodSync(this.key, 0o600);
    this.pem = fs.readFileSync(this.certificate);
  }

  get args() {
    return ['--tls_certificate', this.certificate, '--tls_key', this.key];
  }
}
