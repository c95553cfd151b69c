// Certificates of 127.0.0.1, or of other names, that sign themselves or are signed by another.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';

export class Certificate {
  /// Writes `certificate` and `key` into that directory, over what was there.
  constructor(directory, name = 'hutch', { names = 'IP:127.0.0.1', issuer } = {}) {
    this.certificate = `${directory}/certificate.pem`;
    this.key = `${directory}/key.pem`;
    this.name = name;
    const signed = issuer ? ['-CA', issuer.certificate, '-CAkey', issuer.key] : [];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30', ...signed,
      '-subj', `/CN=${name}`, '-addext', `subjectAltName=${names}`, '-keyout', this.key, '-out', this.certificate], { stdio: 'ignore' });
    fs.chmodSync(this.key, 0o600);
    this.pem = fs.readFileSync(this.certificate);
  }

  /// Its time has been over for a day.
  expire() {
    execFileSync('openssl', ['x509', '-in', this.certificate, '-signkey', this.key, '-days', '-1', '-out', this.certificate], { stdio: 'ignore' });
    this.pem = fs.readFileSync(this.certificate);
  }

  /// For a server of Node's.
  get server() {
    return { cert: this.pem, key: fs.readFileSync(this.key) };
  }

  /// For hutchd.
  get args() {
    return ['--tls_certificate', this.certificate, '--tls_key', this.key];
  }
}
