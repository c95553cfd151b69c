// Archives as no honest program writes them: each header field is what the test says.

const kBlock = 512;

function padded(bytes) {
  return Buffer.concat([bytes, Buffer.alloc((kBlock - (bytes.length % kBlock)) % kBlock)]);
}

/// One entry. `type`: 0 file, 1 hard link, 2 link, 3 and 4 devices, 5 directory, 6 FIFO, x of pax, L and K of GNU.
/// `size`: what the header says, when that is not the content's.
export function entry(name, { type = '0', content = '', link = '', mode = 0o644, uid = 0, gid = 0, mtime = 0, size, magic = 'ustar\u000000' } = {}) {
  const head = Buffer.alloc(kBlock);
  const data = Buffer.from(content);
  const octal = (value, at, width) => head.write(value.toString(8).padStart(width - 1, '0'), at, 'latin1');
  head.write(name, 0, 100, 'utf8');
  octal(mode, 100, 8);
  octal(uid, 108, 8);
  octal(gid, 116, 8);
  if (typeof size === 'string') head.write(size, 124, 12, 'latin1');
  else octal(size ?? data.length, 124, 12);
  octal(mtime, 136, 12);
  head.write(type, 156, 'latin1');
  head.write(link, 157, 100, 'utf8');
  head.write(magic, 257, 'latin1');
  octal(1, 329, 8);
  octal(3, 337, 8);
  head.fill(' ', 148, 156);
  octal(head.reduce((sum, byte) => sum + byte, 0), 148, 7);
  return Buffer.concat([head, padded(data)]);
}

export const file = (name, content = '', more = {}) => entry(name, { content, ...more });
export const directory = (name, more = {}) => entry(name, { type: '5', mode: 0o755, ...more });
export const link = (name, target) => entry(name, { type: '2', link: target });
export const hardLink = (name, target) => entry(name, { type: '1', link: target });
/// The records of the entry that follows.
export function pax(records) {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')]);
    let length = rest.length + 1;
    while (String(length).length + rest.length !== length) ++length;
    return Buffer.concat([Buffer.from(String(length)), rest]);
  });
  return entry('./PaxHeaders/x', { type: 'x', content: Buffer.concat(lines) });
}
/// Entries and the end of an archive.
export const tar = (...entries) => Buffer.concat([...entries, Buffer.alloc(2 * kBlock)]);
