// Images from archives that no honest program writes: each is taken or refused with a sentence about itself, and harms
// nothing of the host. 500 would say that hutchd does not know what it met.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { leakless, needs, suite } from './lib/suite.mjs';
import { directory, entry, file, hardLink, link, pax, tar } from './lib/tar.mjs';

needs();
const daemon = suite();
const canary = path.join(daemon.directory, 'canary');
const up = '../'.repeat(40);

const kTaken = 201;
const kBad = 400;
const kTooLarge = 413;

/// Entries of which each is in the one before.
const nested = (depth) => Array.from({ length: depth }, (_, i) => directory(`${'d/'.repeat(i + 1)}`));
const long = (name, type = 'L') => entry('././@LongLink', { type, content: `${name}\0` });
/// 8 bytes of base 256, as GNU writes a size beyond 8 GiB.
const huge = (bits) => `\u0080\0\0\0${String.fromCharCode(...Array.from({ length: 8 }, (_, i) => Number((bits >> BigInt(8 * (7 - i))) & 0xffn)))}`;
const sparse = (map, size, content = '') => tar(pax({ 'GNU.sparse.major': '0', 'GNU.sparse.minor': '1', 'GNU.sparse.size': String(size), 'GNU.sparse.map': map }), file('hole', content));

/// Name: the status, what its sentence says (if refused), the archive.
const archives = {
  // where things are put
  'a name that goes up': [kBad, /goes up/, tar(file(`${up}${canary}`, 'owned'))],
  'a name that goes down and up': [kBad, /goes up/, tar(directory('a'), file('a/../../canary', 'owned'))],
  'an absolute name stays inside': [kTaken, null, tar(file(canary, 'inside'))],
  'a long name that goes up': [kBad, /goes up/, tar(long(`${up}${canary}`), file('x', 'owned'))],
  'a name of pax that goes up': [kBad, /goes up/, tar(pax({ path: `${up}${canary}` }), file('x', 'owned'))],
  'a file through a link': [kBad, /leads through a link/, tar(link('out', daemon.directory), file('out/canary', 'owned'))],
  'a file through a link of the archive\'s': [kBad, /leads through a link/, tar(directory('in'), link('out', 'in'), file('out/x', 'owned'))],
  'a directory through a link': [kBad, /leads through a link/, tar(link('out', daemon.directory), directory('out/planted'))],
  'a directory far below a link': [kBad, /leads through a link/, tar(link('out', daemon.directory), directory('out/a/b/c'))],
  'a link through a link': [kBad, /leads through a link/, tar(link('out', daemon.directory), link('out/x', 'y'))],
  'a file below a file': [kBad, /no directory/, tar(file('x', '1'), file('x/y', '2'))],
  'a directory below a file': [kBad, /no directory/, tar(file('x', '1'), directory('x/y'))],
  'a file in a directory\'s place': [kBad, /x/, tar(file('x/y', '1'), file('x', '2'))],
  'a link in a directory\'s place': [kBad, /x/, tar(directory('x'), link('x', 'y'))],
  'a hard link in a directory\'s place': [kBad, /x/, tar(directory('x'), file('y'), hardLink('x', 'y'))],
  'a directory in a file\'s place': [kTaken, null, tar(file('x', '1'), directory('x'), file('x/y', '2'))],
  'the root as a file': [kBad, /root/, tar(file('.', 'x'))],
  'the root as a link': [kBad, /root/, tar(link('.', '/etc'))],
  'home as a link': [kBad, /home/, tar(link('home', daemon.directory))],
  'home as a file': [kBad, /home/, tar(file('home', 'x'))],
  '/proc as a link': [kBad, /the directory \/proc/, tar(link('proc', daemon.directory))],
  '/dev as a file': [kBad, /the directory \/dev/, tar(file('dev', 'x'))],
  '/etc as a link': [kBad, /the directory \/etc/, tar(link('etc', daemon.directory))],
  '/etc/hostname as a directory': [kBad, /has the file \/etc\/hostname/, tar(directory('etc/hostname/'))],
  'the work directory as a link': [kBad, /workspace/, tar(link('workspace', daemon.directory))],
  // links
  'a hard link out': [kBad, /goes up/, tar(hardLink('x', `${up}${canary}`))],
  'an absolute hard link': [kBad, /x/, tar(hardLink('x', canary))],
  'a hard link through a link': [kBad, /x/, tar(link('out', daemon.directory), hardLink('x', 'out/canary'))],
  'a hard link to nothing': [kBad, /x/, tar(hardLink('x', 'nothing'))],
  'a hard link to a directory': [kBad, /x/, tar(directory('d'), hardLink('x', 'd'))],
  'a hard link to itself': [kBad, /itself/, tar(file('x', '1'), hardLink('x', 'x'))],
  'a hard link to the root': [kBad, /x/, tar(hardLink('x', '.'))],
  'a hard link to a device': [kBad, /x/, tar(entry('null', { type: '3' }), hardLink('x', 'null'))],
  'a link to nowhere': [kBad, /x/, tar(link('x', ''))],
  'a link whose target is too long': [kBad, /x/, tar(long('t'.repeat(5000), 'K'), link('x', 'y'))],
  // names
  'a part of 256 bytes': [kBad, /255/, tar(long('n'.repeat(256)), file('x'))],
  'a name of 4,096 bytes': [kBad, /4,095/, tar(long(`${'d/'.repeat(2048)}x`), file('x'))],
  'a depth of 3,000 directories': [kBad, /4,095/, tar(...nested(40), long('d/'.repeat(3000)), directory('x'))],
  'a name with a NUL by pax': [kTaken, null, tar(pax({ path: 'a\0b' }), file('x', '1'))],
  'an empty name': [kBad, /root/, tar(file('', 'x'))],
  'a whiteout': [kBad, /whiteout/, tar(file('etc/.wh.passwd'))],
  'an opaque mark': [kBad, /whiteout/, tar(file('etc/.wh..wh..opq'))],
  'a name of bytes that are no text': [kTaken, null, tar(file('\u00ff\u00fe', '1'))],
  // kinds
  'devices and FIFOs': [kTaken, null, tar(entry('sda', { type: '4' }), entry('null', { type: '3' }), entry('pipe', { type: '6' }))],
  'an unknown kind': [kTaken, null, tar(entry('odd', { type: 'Z', content: 'x' }))],
  'overlay\'s attributes': [kBad, /overlay/, tar(pax({ 'SCHILY.xattr.trusted.overlay.redirect': '/etc' }), directory('d'))],
  'overlay\'s attributes of users': [kBad, /overlay/, tar(pax({ 'SCHILY.xattr.user.overlay.opaque': 'y' }), directory('d'))],
  'a capability that is none': [kBad, /capability/, tar(pax({ 'SCHILY.xattr.security.capability': 'rubbish' }), file('x', '1'))],
  'an attribute of an impossible size': [kBad, /note|archive/, tar(pax({ 'SCHILY.xattr.user.note': 'v'.repeat(70_000) }), file('x', '1'))],
  'an attribute with an impossible name': [kBad, /user/, tar(pax({ [`SCHILY.xattr.user.${'n'.repeat(300)}`]: 'v' }), file('x', '1'))],
  'an owner beyond a box\'s ids': [kBad, /65,536/, tar(pax({ uid: '65536' }), file('x', '1'))],
  'a negative owner': [kBad, /owner|archive/, tar(pax({ uid: '-1' }), file('x', '1'))],
  'a time beyond all': [kTaken, null, tar(pax({ mtime: '99999999999999999999' }), file('x', '1'))],
  'a time of rubbish': [kTaken, null, tar(pax({ mtime: '1.999999999999999999999' }), file('x', '1'))],
  // sizes
  'a size beyond the archive': [kBad, /read|Truncated/, tar(file('x', '1', { size: 1 << 20 }))],
  'a size of 2^60': [kTooLarge, /bytes/, tar(entry('x', { size: huge(1n << 60n) }))],
  'a size of 2^63 - 1': [kBad, /overflow/, tar(entry('x', { size: huge((1n << 63n) - 1n) }))],
  'a negative size': [kBad, /./, tar(entry('x', { size: '\u00ff'.repeat(12) }))],
  'a negative size by pax': [kBad, /./, tar(pax({ size: '-5' }), file('x', '1'))],
  'a size that pax makes larger': [kBad, /./, tar(pax({ size: '100000' }), file('x', '1'))],
  'a link with content': [kBad, /read/, tar(entry('x', { type: '2', link: 'y', content: 'z'.repeat(1000) }))],
  'a directory with content': [kBad, /read/, tar(entry('x', { type: '5', content: 'z'.repeat(1000) }))],
  'a hole of 2^60 bytes': [kTooLarge, /bytes/, sparse('0,0', 1n << 60n)],
  'pieces that overlap': [kTaken, null, sparse('0,10,5,10', 20, 'x'.repeat(20))],
  'pieces beyond the end': [kBad, /./, sparse('100,10', 20, 'x'.repeat(10))],
  'pieces of rubbish': [kTaken, null, sparse('a,b,c', 20, 'x'.repeat(10))],
  'a file beyond 64 GiB': [kTooLarge, /bytes/, tar(entry('b', { size: huge((64n << 30n) + 1n) }))],
  'files that are 64 GiB together, of a small archive': [kTooLarge, /bytes/, zlib.gzipSync(tar(sparse('0,0', 40n << 30n).subarray(0, -1024), sparse('0,0', 40n << 30n)))],
  // rubbish
  'nothing': [kBad, /read/, Buffer.alloc(0)],
  'zeros': [kTaken, null, Buffer.alloc(10_240)],
  'text': [kBad, /read/, Buffer.from('this is no archive\n'.repeat(500))],
  'a wrong checksum': [kBad, /read/, Buffer.concat([file('x', '1').fill('9', 148, 154), Buffer.alloc(1024)])],
  'pax without an equals sign': [kTaken, null, tar(entry('p', { type: 'x', content: '10 rubbish' }), file('x', '1'))],
  'pax whose length lies': [kTaken, null, tar(entry('p', { type: 'x', content: '99999 path=x\n' }), file('x', '1'))],
  'pax whose length is endless': [kTaken, null, tar(entry('p', { type: 'x', content: `${'9'.repeat(400)} path=x\n` }), file('x', '1'))],
  'pax of 100 MiB': [kBad, /./, tar(entry('p', { type: 'x', size: 100 << 20 }))],
  'a long name of 100 MiB': [kBad, /./, tar(entry('././@LongLink', { type: 'L', size: 100 << 20 }))],
  'long names one after the other': [kBad, /./, tar(...Array.from({ length: 3000 }, () => long('x')), file('x', '1'))],
  'gzip of gzip': [kTaken, null, zlib.gzipSync(zlib.gzipSync(zlib.gzipSync(tar(file('x', '1')))))],
  'a broken gzip': [kBad, /./, zlib.gzipSync(Buffer.concat(Array.from({ length: 200 }, (_, i) => file(`f${i}`, String(i))))).fill(0xaa, 300, 600)],
};

const whole = tar(directory('d'), long('n'.repeat(200)), file('x', 'y'.repeat(3000)), pax({ path: 'z'.repeat(120) }), file('x', '1'));
for (const [what, at] of [['a head', 100], ['after a head', 512], ['a long name', 1124], ['a file', 3000], ['pax', 5700]]) {
  archives[`cut in ${what}`] = [at === 512 ? kTaken : kBad, at === 512 ? null : /./, whole.subarray(0, at)];
}

const import_ = (archive) => daemon.ask('PUT', '/v2/images/hostile', { body: archive });

leakless(daemon, 'every archive has its answer', async (test) => {
  fs.writeFileSync(canary, 'the host\'s');
  const beside = fs.readdirSync(daemon.directory).sort();
  for (const [name, [status, about, archive]] of Object.entries(archives)) {
    await test.test(name, async () => {
      const answer = await import_(archive);
      assert.equal(answer.status, status, answer.text);
      if (about !== null) {
        assert.match(answer.json.error, about);
        assert.doesNotMatch(answer.json.error, /\n/);
      } else {
        await daemon.json('DELETE', '/v2/images/hostile');
      }
      assert.equal(fs.readFileSync(canary, 'utf8'), 'the host\'s');
      assert.deepEqual(fs.readdirSync(daemon.directory).sort(), beside);
      for (const place of ['tmp', 'import']) {
        const at = path.join(daemon.store, place);
        if (fs.existsSync(at)) assert.deepEqual(fs.readdirSync(at), [], place);
      }
    });
  }
});
