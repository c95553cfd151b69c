// Attached headers and the programs of a Debian: each trusts what it is shown, also when the system's store was made anew.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { debianArchive, noMirror } from '../e2e/lib/debian.mjs';
import { leakless, needs, skip, suite } from '../e2e/lib/suite.mjs';
import { TlsHosts } from '../e2e/lib/tls-hosts.mjs';

needs('mmdebstrap', 'apt-get', 'openssl');
const missing = noMirror();
if (missing !== null) skip(missing);

const hosts = new TlsHosts(['api.hosts.test'], { name: 'attached-net', link: 'attached1', here: '203.0.113.209', there: ['203.0.113.210'], prefix: 28 });
before(() => hosts.open());
after(() => hosts.close());
const daemon = suite({ env: { SSL_CERT_FILE: hosts.issuer.certificate }, import: { debian: debianArchive(process.env.HUTCH_CACHE) } });

const kPrograms = {
  curl: 'curl -sS https://api.hosts.test/curl',
  wget: 'wget -q -O - https://api.hosts.test/wget',
  python: `python3 -c "import urllib.request; print(urllib.request.urlopen('https://api.hosts.test/python').read())"`,
  strict: `python3 -c "import ssl, urllib.request; c = ssl.create_default_context(); c.verify_flags |= ssl.VERIFY_X509_STRICT; print(urllib.request.urlopen('https://api.hosts.test/strict', context=c).read())"`,
  git: 'git ls-remote https://api.hosts.test/git; true',
  openssl: `printf 'GET /openssl HTTP/1.1\\r\\nHost: api.hosts.test\\r\\nConnection: close\\r\\n\\r\\n' | openssl s_client -quiet -verify_return_error -verify_quiet -connect api.hosts.test:443 -servername api.hosts.test -CApath /etc/ssl/certs`,
};

leakless(daemon, 'programs get their headers, before and after the store is made anew', async () => {
  const box = await daemon.box({ runtime: 'debian', attach_headers: { 'api.hosts.test': { 'X-Token': 'the-secret' } } });
  await hosts.makeKnown(box);
  for (const round of ['as it was', 'made anew']) {
    for (const [program, command] of Object.entries(kPrograms)) {
      hosts.forget();
      const { exit_code: code, output, error } = await box.exec(['sh', '-c', command]);
      assert.equal(code, 0, `${program}, ${round}: ${output}${error}`);
      assert.equal(hosts.heard().length > 0, true, `${program}, ${round}: ${output}${error}`);
      assert.deepEqual(hosts.valuesOf('x-token'), ['the-secret'], `${program}, ${round}`);
    }
    const { exit_code: code, error } = await daemon.json('POST', `${box.path}/exec`, { command: ['update-ca-certificates', '--fresh'], user: 'root' });
    assert.equal(code, 0, error);
  }
});
