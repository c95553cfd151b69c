// Archives of images as others write them, or nearly: OCI layouts and those of `docker save`.

import { createHash } from 'node:crypto';
import zlib from 'node:zlib';
import { file, tar } from './tar.mjs';

export const digestOf = (bytes) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch];

export const kTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  plain: 'application/vnd.oci.image.layer.v1.tar',
};

/// What an image of these plain layers says of itself. `config`: User, Env, WorkingDir, Entrypoint, Cmd and the like.
export function imageConfig(layers, config = {}, more = {}) {
  return { architecture: arch, os: 'linux', config, rootfs: { type: 'layers', diff_ids: layers.map(digestOf) }, ...more };
}

/// Blobs by digest, to put documents and layers in.
export class Blobs {
  constructor() {
    this.all = new Map();
  }

  add(bytes, mediaType, more = {}) {
    const content = Buffer.isBuffer(bytes) ? bytes : Buffer.from(JSON.stringify(bytes));
    const digest = digestOf(content);
    this.all.set(digest, content);
    return { mediaType, digest, size: content.length, ...more };
  }

  /// The manifest of an image. `pack`: of a layer's bytes.
  image(layers, config, { pack = (bytes) => zlib.gzipSync(bytes, { level: 1 }), type = kTypes.gzip, more } = {}) {
    const described = this.add(imageConfig(layers, config, more), kTypes.config);
    const manifest = { schemaVersion: 2, mediaType: kTypes.manifest, config: described, layers: layers.map((layer) => this.add(pack(layer), type)) };
    return this.add(manifest, kTypes.manifest);
  }

  /// The archive of a layout with these entries in its index.
  layout(...manifests) {
    const files = [...this.all].map(([digest, bytes]) => file(`blobs/sha256/${digest.slice(7)}`, bytes));
    return tar(file('oci-layout', '{"imageLayoutVersion":"1.0.0"}'), file('index.json', JSON.stringify({ schemaVersion: 2, manifests })), ...files);
  }
}

export const named = (manifest, name) => ({ ...manifest, annotations: { 'org.opencontainers.image.ref.name': name } });

/// The archive of a layout of one image.
export function layoutOf(layers, config = {}, { name = 'test/image:1', ...how } = {}) {
  const blobs = new Blobs();
  const manifest = blobs.image(layers, config, how);
  return blobs.layout(name === null ? manifest : named(manifest, name));
}

/// As `docker save` writes it. `images`: of {tags, layers, config}.
export function dockerArchive(...images) {
  const files = [];
  const manifest = images.map(({ tags, layers, config }) => {
    const text = JSON.stringify(imageConfig(layers, config));
    const name = `${digestOf(Buffer.from(text)).slice(7)}.json`;
    files.push(file(name, text));
    return {
      Config: name,
      RepoTags: tags,
      Layers: layers.map((layer) => {
        const at = `${digestOf(layer).slice(7)}/layer.tar`;
        files.push(file(at, layer));
        return at;
      }),
    };
  });
  return tar(...files, file('manifest.json', JSON.stringify(manifest)));
}
