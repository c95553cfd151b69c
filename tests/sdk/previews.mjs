// Public URLs, by the official npm client.

import assert from 'node:assert/strict';
import { Box as Seen } from '../e2e/lib/box.mjs';
import { serve, Url } from '../e2e/lib/preview.mjs';
import { calls, daemon, previewPort, refuses, sdk } from './client.mjs';

const { Box } = sdk;

/// A box with a server on port 3000, as the client and as our tests see it.
async function served() {
  const box = await Box.create({ runtime: 'git' }); // that has node
  await serve(new Seen(daemon, { id: box.id }), 3000);
  return box;
}

calls('a port of a box is published, listed and taken back', async () => {
  const box = await served();
  const made = await box.getPublicURL(3000);
  assert.deepEqual(made, { url: `http://${box.id}-3000.localhost:${previewPort}`, port: 3000 });
  assert.equal((await new Url(made).ask('/echo')).status, 200);
  const { publicURLs: [listed] } = await box.listPublicURLs();
  assert.deepEqual([listed.port, listed.url, listed.basic_auth, listed.bearer_token], [3000, made.url, false, false]);
  assert.deepEqual(Object.keys(listed).sort(), ['basic_auth', 'bearer_token', 'created_at', 'id', 'port', 'url']);
  await box.deletePublicURL(3000);
  assert.deepEqual(await box.listPublicURLs(), { publicURLs: [] });
  await refuses(404, /port 3000/, () => box.deletePublicURL(3000));
});

calls('a token and a password open it, also by the methods\' older names; a pause leaves it', async () => {
  const box = await served();
  const byToken = await box.getPreviewUrl(3000, { bearerToken: true });
  const url = new Url(byToken);
  assert.equal((await url.ask('/echo')).status, 401);
  await box.pause();
  assert.equal((await url.ask('/echo', { headers: { authorization: `Bearer ${byToken.token}` } })).status, 200);
  const { username, password } = await box.getPreviewUrl(3000, { basicAuth: true });
  const basic = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  assert.equal((await url.ask('/echo', { headers: { authorization: `Bearer ${byToken.token}` } })).status, 401);
  assert.equal((await url.ask('/echo', { headers: { authorization: basic } })).status, 200);
  const { previews } = await box.listPreviews();
  assert.deepEqual(previews.map(({ basic_auth: asked, bearer_token: token }) => [asked, token]), [[true, false]]);
  await box.deletePreview(3000);
  assert.equal((await url.ask('/echo', { headers: { authorization: basic } })).status, 404);
});
