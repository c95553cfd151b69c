// What each call of docs/openapi.json does with a box in each state, and what it does not take.
//
// A row:
//   body, query, headers   what is sent: `body` an object, text, or what makes one of what `prepare` told
//   make                   what its box is made with
//   prepare(box)           done to the box before: tells what stands in the path beside {id}, and in bodies
//   status                 of the answer of an idle box; if it is not the first one of the document
//   says                   what the answer holds then
//   paused                 { status, make, left }: how a paused box answers, if otherwise, and what it is then:
//                          "paused" (the default: the call only looks), "awake" or "gone"
//   busy                   { status, ends, its, work }: how a box with a run under way answers, if otherwise, and whether
//                          that run is over then; `its`: {run} is that run; `work` begins another than a command
//   gone                   how the id of a deleted box is answered, if it is not 404
//   stranger               how a customer's key is answered, by calls that are about no one box, if otherwise; `undo` is
//                          done after such a call
//   bad                    [field, { body, query, headers, path }]: each is 400, and names the field

import { layoutOf } from './oci.mjs';

const kNul = '\0';
const kLong = 'x'.repeat(5000);
const wakes = { left: 'awake' };
const query = (text) => ({ query: text });
const folder = [['folder', query('folder=%00')], ['folder', query(`folder=${kLong}`)]];
const badFolder = (body) => [['folder', { body: { ...body, folder: kNul } }], ['folder', { body: { ...body, folder: 5 } }]];

// --- commands ---

const badCommand = (body, ...more) => [['timeout', { body: { ...body, timeout: 0 } }], ['timeout', { body: { ...body, timeout: 604_800_001 } }],
  ['detach', { body: { ...body, detach: 'yes' } }], ['user', { body: { ...body, user: 'nobody' } }], ['env', { body: { ...body, env: { HOME: '/' } } }], ...badFolder(body), ...more];
const kTrue = { command: ['true'] };
const command = (says, ...more) => ({
  body: kTrue, says, paused: wakes,
  bad: badCommand(kTrue, ['command', { body: {} }], ['command', { body: { command: [] } }], ['command', { body: { command: [5] } }], ['command', { body: { command: [`a${kNul}`] } }], ...more),
});
const kCode = { code: 'exit 0', language: 'python' };
const code = (says) => ({
  body: kCode, says, paused: wakes, make: { runtime: 'busybox-root' },
  prepare: (box) => box.sh('printf "#!/bin/sh\\nexec sh\\n" > /bin/python3; chmod +x /bin/python3'),
  bad: badCommand(kCode, ['code', { body: { language: 'python' } }], ['language', { body: { code: 'x' } }], ['language', { body: { code: 'x', language: 'ruby' } }]),
});

const withRun = async (box) => {
  await box.exec(['echo', 'said']);
  const { runs: [{ id }] } = await box.daemon.json('GET', `${box.path}/runs`);
  return { run: id };
};

// --- agents ---

const kScript = '[ "$2" = wait ] && sleep 1000; printf \'event: done\\ndata: {"output":"told"}\\n\\n\'';
const runner = { command: '/bin/sh', args: ['-c', kScript, 'agent'], protocol: 'box-sse-v1' };
const agent = { agent: 'custom', model: 'test', custom_runner: runner };
const prompted = async (box, prompt) => {
  const { run_id: run } = await box.daemon.json('POST', `${box.path}/run`, { prompt });
  return { run };
};
const withPrompt = async (box) => {
  const { run } = await prompted(box, 'x');
  await box.daemon.ask('GET', `${box.path}/runs/${run}/events`); // to its end
  return { run };
};
const asks = (prompt, ...more) => [['prompt', { body: {} }], ['prompt', { body: { prompt: '' } }], ['prompt', { body: { prompt: 5 } }],
  ['timeout', { body: { ...prompt, timeout: 0 } }], ...badFolder(prompt), ['json_schema', { body: { ...prompt, json_schema: 'x' } }], ['json_schema', { body: { ...prompt, json_schema: { pattern: 'x' } } }],
  ['agent_options', { body: { ...prompt, agent_options: 'x' } }], ['files', { body: { ...prompt, files: 'x' } }], ['files.data', { body: { ...prompt, files: [{ data: '!' }] } }], ...more];
const kPrompt = { prompt: 'x' };
const prompt = (says, ...more) => ({
  body: kPrompt, make: agent, says, paused: wakes, bad: asks(kPrompt, ...more),
});

// --- files and git ---

const badPath = () => [['path', { body: {} }], ['path', { body: { path: 5 } }], ['path', { body: { path: '' } }], ['path', { body: { path: kNul } }], ['path', { body: { path: kLong } }]];
const withFile = (box) => box.write('d/file', 'content');
const part = (name, content, more = '') => `--x\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${content}\r\n`;
const form = (...parts) => ({ body: `${parts.join('')}--x--\r\n`, headers: { 'content-type': 'multipart/form-data; boundary=x' } });
const file = part('files', 'content', '; filename="f"');

const withRepository = async (box) => {
  const git = 'git -c user.name=a -c user.email=b';
  await box.sh(`git init -q --bare -b main origin.git; git init -q -b main p; cd p; echo one > f; ${git} add f; ${git} commit -q -m one
    git remote add origin ../origin.git; git push -q origin main; echo two > f`);
};
const withForge = async (box) => {
  await withRepository(box);
  await box.sh('git -C p remote set-url origin http://forge.invalid/me/p.git');
};
// The box is told that the forge's repositories are here.
const withSkill = (box) => box.sh(`git config --global url./workspace/home/.insteadOf http://forge.invalid/; git init -q -b main acme/tools.git; cd acme/tools.git
  mkdir -p skills/pdf; echo how > skills/pdf/SKILL.md; git add .; git -c user.name=a -c user.email=b commit -q -m one`);
const withAddedSkill = async (box, parts) => {
  await withSkill(box);
  await box.daemon.json('POST', `${box.path}/config/skills`, { skill_id: Object.values(parts).join('/') });
  return parts;
};
const git = (row) => ({ make: { runtime: 'git' }, prepare: withRepository, paused: wakes, ...row });
const p = { folder: 'p' };
const kMessage = { message: 'said', ...p };

// --- snapshots ---

const withSnapshot = async (box) => {
  const { id } = await box.daemon.json('POST', `${box.path}/snapshots`, { name: 's' }, 201);
  return { snapshot: id };
};
const badCreate = (body = {}) => [
  ['name', { body: { ...body, name: 'no/slash' } }], ['size', { body: { ...body, size: 'vast' } }], ['labels', { body: { ...body, labels: ['a b'] } }],
  ['env_vars', { body: { ...body, env_vars: { HOME: '/' } } }], ['network_policy', { body: { ...body, network_policy: { mode: 'some' } } }], ['ttl', { body: { ...body, ttl: 60 } }],
  ['init_command', { body: { ...body, init_command: kNul } }], ['idle_timeout', { body: { ...body, idle_timeout: -1 } }], ['github_token', { body: { ...body, github_token: 'a b' } }],
  ['git_user_name', { body: { ...body, git_user_name: 'a\nb' } }], ['agent', { body: { ...body, agent: 'nobody', model: 'x' } }], ['model', { body: { ...body, agent: 'codex' } }], ['model', { body: { ...body, agent: 'codex', model: 'm' } }],
  ['custom_runner', { body: { ...body, agent: 'custom' } }], ['agent_api_key', { body: { ...body, agent: 'codex', model: 'openai/m', agent_api_key: 'a\nb' } }], ['mcp_servers', { body: { ...body, mcp_servers: [{}] } }],
  ['skills', { body: { ...body, skills: ['acme'] } }],
];

const withPreview = async (box) => {
  const { port } = await box.daemon.json('POST', `${box.path}/preview`, { port: 3000 }, 201);
  return { port };
};

// --- schedules, none of which fires here ---

const kSchedule = { type: 'exec', cron: '0 0 1 1 *', command: ['true'] };
const withSchedule = async (box) => ({ schedule: (await box.daemon.json('POST', `${box.path}/schedules`, kSchedule, 201)).id });
const badSchedule = (body, ...more) => [
  ['cron', { body: { ...body, cron: '* * * *' } }], ['cron', { body: { ...body, cron: '0 0 31 2 *' } }], ['command', { body: { ...body, command: [] } }], ['command', { body: { ...body, command: [`a${kNul}`] } }],
  ['prompt', { body: { ...body, prompt: 'x' } }], ['model', { body: { ...body, model: 'x' } }], ['agent_options', { body: { ...body, agent_options: { a: 1 } } }], ['timeout', { body: { ...body, timeout: 604_800_001 } }],
  ['webhook_url', { body: { ...body, webhook_url: 'ftp://h' } }], ['webhook_headers', { body: { ...body, webhook_headers: { A: 'b' } } }], ...badFolder(body), ...more];

const unbuilt = { gone: 501 };
const bad64 = { body: { path: 'f', content: '!', encoding: 'base64' } };

export const ofBoxes = {
  'GET /v2/box/{id}': {},
  'GET /v2/box/{id}/status': {},
  'DELETE /v2/box/{id}': { paused: { left: 'gone' }, busy: { ends: true } },
  'GET /v2/box/{id}/logs': { says: /created/, bad: [['offset', query('offset=-1')], ['limit', query('limit=many')], ['follow', query('follow=yes')]] },
  'POST /v2/box/{id}/config/labels': { body: { label: 'blue' }, says: /blue/, bad: [['label', { body: {} }], ['label', { body: { label: 'a b' } }], ['label', { body: { label: 5 } }]] },
  'DELETE /v2/box/{id}/config/labels': { make: { labels: ['blue', 'red'] }, body: { labels: ['blue', 'red'] }, says: /\[\]/, bad: [['label', { body: {} }], ['labels', { body: { labels: 'red' } }]] },
  'DELETE /v2/box/{id}/config/labels/{label}': { make: { labels: ['blue'] }, prepare: () => ({ label: 'blue' }) },
  'POST /v2/box/{id}/preview': { body: { port: 3000 }, says: /-3000\.localhost/, paused: wakes, bad: [['port', { body: {} }], ['port', { body: { port: 0 } }], ['port', { body: { port: 65_536 } }], ['port', { body: { port: '3000' } }],
    ['bearer_token', { body: { port: 3000, bearer_token: 'yes' } }], ['basic_auth', { body: { port: 3000, basic_auth: 1 } }]] },
  'GET /v2/box/{id}/preview': { prepare: withPreview, says: /"port":3000/ },
  'DELETE /v2/box/{id}/preview/{port}': { prepare: withPreview, bad: [['port', { path: { port: 'x' } }], ['port', { path: { port: 70_000 } }]] },
  'GET /v2/box/{id}/config/attach-headers': {},
  'PUT /v2/box/{id}/config/attach-headers': { body: { attach_headers: {} }, bad: [['attach_headers', { body: { attach_headers: { 'A.b': { C: 'd' } } } }], ['attach_headers', { body: { attach_headers: { 'a.b': { Host: 'd' } } } }], ['attach_headers', { body: { attach_headers: 5 } }], ['attach_headers', { body: {} }]] },
  'PATCH /v2/box/{id}/config/attach-headers': { body: { attach_headers: {} }, bad: [['attach_headers', { body: { attach_headers: { 'A.b': { C: 'd' } } } }], ['attach_headers', { body: { attach_headers: { 'a.b': { Host: 'd' } } } }], ['attach_headers', { body: { attach_headers: 5 } }]] },
  'PUT /v2/box/{id}/config/network-policy': { body: { mode: 'deny-all' }, says: /deny-all/, bad: [['mode', { body: {} }], ['mode', { body: { mode: 'custom' } }], ['allowed_cidrs', { body: { mode: 'custom', allowed_cidrs: ['300.0.0.0/8'] } }],
    ['denied_cidrs', { body: { mode: 'custom', denied_cidrs: ['fe80::/64'] } }]] },
  'GET /v2/box/{id}/network/log': { says: /"refusals":\[\]/, bad: [['follow', query('follow=yes')]] },
  'GET /v2/box/{id}/network/why': { query: 'host=10.1.2.3', says: /"rule":"blocked"/, bad: [['host', query('host=')], ['host', query('host=a%20b')], ['port', query('host=10.1.2.3&port=0')]] },
  'PUT /v2/box/{id}/config/model': { make: agent, body: { model: 'other' }, says: /"model":"other"/, bad: [['model', { body: {} }], ['model', { body: { model: kLong } }]] },
  'PUT /v2/box/{id}/config/custom-runner': { body: { custom_runner: runner }, says: /"agent":"custom"/, bad: [['custom_runner', { body: {} }], ['custom_runner.command', { body: { custom_runner: {} } }],
    ['custom_runner.protocol', { body: { custom_runner: { ...runner, protocol: 'mine' } } }], ['custom_runner.args', { body: { custom_runner: { ...runner, args: [kNul] } } }], ['custom_runner.args', { body: { custom_runner: { ...runner, args: ['x'.repeat(70_000)] } } }]] },
  'POST /v2/box/{id}/config/skills': { ...git({ prepare: withSkill }), body: { skill_id: 'acme/tools/pdf' }, says: /"acme\/tools\/pdf"/, bad: [['skill_id', { body: {} }], ['skill_id', { body: { skill_id: 5 } }], ['skill_id', { body: { skill_id: 'acme' } }],
    ['skills: acme/tools/none', { body: { skill_id: 'acme/tools/none' } }]] },
  'DELETE /v2/box/{id}/config/skills/{owner}/{repo}': { ...git({ prepare: (box) => withAddedSkill(box, { owner: 'acme', repo: 'tools' }) }), says: /\[\]/ },
  'DELETE /v2/box/{id}/config/skills/{owner}/{repo}/{skill}': { ...git({ prepare: (box) => withAddedSkill(box, { owner: 'acme', repo: 'tools', skill: 'pdf' }) }), says: /\[\]/ },
  'POST /v2/box/{id}/pause': {},
  'POST /v2/box/{id}/resume': { paused: wakes },
  'GET /v2/box/{id}/startup': {},
  'PUT /v2/box/{id}/startup': { body: { init_command: 'true' }, says: /true/, bad: [['init_command', { body: {} }], ['init_command', { body: { init_command: kNul } }]] },
  'DELETE /v2/box/{id}/startup': {},

  'POST /v2/box/{id}/exec': command(/"exit_code":0/),
  'POST /v2/box/{id}/exec-stream': command(/event: exit/, ['frames', { body: { ...kTrue, frames: 1 } }], ['errors', { body: { ...kTrue, errors: 'separate' } }]),
  'POST /v2/box/{id}/code': code(/"exit_code":0/),
  'POST /v2/box/{id}/code-stream': code(/event: exit/),
  'GET /v2/box/{id}/exec-tty': { opening: kTrue, says: /"exit_code":0/, paused: wakes, bad: [['this call is a WebSocket', {}]] },
  'GET /v2/box/{id}/exec-session': { opening: { type: 'start', argv: ['true'] }, says: /"code":0/, paused: wakes, bad: [['this call is a WebSocket', {}]] },
  'GET /v2/box/{id}/port-session': {
    prepare: (box) => box.sh('setsid nc -ll -p 8080 -e /bin/sh -c "echo hello; cat" > /dev/null 2>&1 < /dev/null & until cat /proc/net/tcp* | grep -q ":1F90 "; do :; done'),
    query: 'port=8080', opening: { eof: true }, says: /"eof":true/, paused: wakes, bad: [['port', query('')], ['port', query('port=0')], ['port', query('port=x')], ['this call is a WebSocket', query('port=8080')]],
  },
  'GET /v2/box/{id}/runs': { prepare: withRun, says: /echo said/ },
  'GET /v2/box/{id}/runs/{run}': { prepare: withRun, busy: { its: true } },
  'GET /v2/box/{id}/runs/{run}/output': { prepare: withRun, says: /^said/, busy: { its: true }, bad: [['offset', query('offset=99')], ['offset', query('offset=x')], ['follow', query('follow=yes')], ['stream', query('stream=x')],
    ['frames', query('frames=yes')], ['errors_offset', query('errors_offset=x')], ['offset', query('frames=1&offset=99')]] },
  'POST /v2/box/{id}/runs/{run}/signal': { prepare: withRun, body: { signal: 'CONT' }, status: 409, busy: { its: true, status: 200 }, bad: [['signal', { body: {} }], ['signal', { body: { signal: 'SEGV' } }],
    ['cancel_after', { body: { signal: 'TERM', cancel_after: -1 } }]] },
  'POST /v2/box/{id}/runs/{run}/cancel': { prepare: withRun, status: 409, busy: { its: true, status: 200, ends: true } },

  'POST /v2/box/{id}/run': prompt(/"status":"running"/, ['webhook.url', { body: { ...kPrompt, webhook: { url: 'ftp://a' } } }], ['webhook.headers', { body: { ...kPrompt, webhook: { url: 'http://a', headers: { a: 'b\r\nc' } } } }]),
  'POST /v2/box/{id}/run/stream': prompt(/event: done\n/, ['prompt', form()], ['timeout', form(part('prompt', 'x'), part('timeout', 'soon'))]),
  'GET /v2/box/{id}/runs/{run}/events': { make: agent, prepare: withPrompt, says: /event: done\n/ },

  'GET /v2/box/{id}/files/read': { prepare: withFile, query: 'path=d/file', says: /content/, paused: wakes, bad: [['path', query('')], ['path', query('path=%00')], ['path', query(`path=${kLong}`)], ['encoding', query('path=d/file&encoding=hex')],
    ['offset', query('path=d/file&offset=-1')], ['length', query('path=d/file&length=many')], ['length', query('path=d/file&length=8388609')]] },
  'GET /v2/box/{id}/files/stat': { prepare: withFile, query: 'path=d/file', says: /"type":"file"/, bad: [['path', query('')], ['path', query('path=%00')], ['path', query(`path=${kLong}`)], ['follow', query('path=d&follow=yes')]] },
  'POST /v2/box/{id}/files/mkdir': { body: { path: 'new' }, paused: wakes, bad: [...badPath(), ['path', { body: { path: '/' } }], ['parents', { body: { path: 'x', parents: 'yes' } }]] },
  'POST /v2/box/{id}/files/rename': { prepare: withFile, body: { from: 'd/file', to: 'd/other' }, paused: wakes, bad: [['from', { body: { to: 'x' } }], ['to', { body: { from: 'd/file' } }], ['from', { body: { from: '/', to: 'x' } }], ['to', { body: { from: 'd/file', to: kNul } }]] },
  'POST /v2/box/{id}/files/remove': { prepare: withFile, body: { path: 'd', recursive: true }, paused: wakes, bad: [...badPath(), ['path', { body: { path: 'd' } }], ['path', { body: { path: '/', recursive: true } }], ['recursive', { body: { path: 'd', recursive: 'yes' } }]] },
  'POST /v2/box/{id}/files/write': { body: { path: 'f', content: 'x' }, paused: wakes, bad: [['path', { body: { content: 'x' } }], ['path', { body: { path: '', content: 'x' } }], ['path', { body: { path: 'd/', content: 'x' } }],
    ['content', { body: { path: 'f' } }], ['encoding', { body: { path: 'f', content: 'x', encoding: 'hex' } }], ['content', bad64]] },
  'GET /v2/box/{id}/files/list': { prepare: withFile, query: 'folder=d', says: /d\/file/, paused: wakes, bad: folder },
  'POST /v2/box/{id}/files/upload': { ...form(part('paths', 'f'), file), paused: wakes, bad: [['Content-Type', { headers: {} }], ['files', form()], ['files', form(part('paths', 'f'))], ['paths', form(file)], ['path', form(part('paths', ''), file)],
    ['body', { body: part('paths', 'f') + file }]] },
  'GET /v2/box/{id}/files/download': { prepare: withFile, query: 'folder=d/file', says: /^content$/, paused: wakes, bad: [['folder', query('')], ['folder', query('folder=')], ...folder] },

  'POST /v2/box/{id}/git/clone': git({ body: { repo: '/workspace/home/origin.git' }, bad: [['repo', { body: {} }], ['repo', { body: { repo: '-x' } }], ['repo', { body: { repo: 'https://me:secret@example.com/a/b' } }], ['branch', { body: { repo: '/x', branch: 'a..b' } }],
    ['github_token', { body: { repo: '/x', github_token: 'a b' } }], ['depth', { body: { repo: '/x', depth: 0 } }], ...badFolder({ repo: '/x' })] }),
  'GET /v2/box/{id}/git/status': git({ query: 'folder=p', says: / M f/, bad: folder }),
  'GET /v2/box/{id}/git/diff': git({ query: 'folder=p', says: /-one/, bad: folder }),
  'POST /v2/box/{id}/git/commit': git({ body: kMessage, says: /said/, bad: [['message', { body: p }], ['message', { body: { message: '' } }], ['author_name', { body: { ...kMessage, author_name: 'a\nb' } }], ['author_email', { body: { ...kMessage, author_email: '<' } }], ...badFolder(kMessage)] }),
  'POST /v2/box/{id}/git/checkout': git({ body: { branch: 'main', ...p }, bad: [['branch', { body: {} }], ['branch', { body: { branch: '-x' } }], ...badFolder({ branch: 'new' })] }),
  'POST /v2/box/{id}/git/push': git({ body: p, bad: [['branch', { body: { ...p, branch: 'a b' } }], ['github_token', { body: { ...p, github_token: 'ä' } }], ...badFolder({})] }),
  'POST /v2/box/{id}/git/create-pr': git({ body: { title: 'x', github_token: 't', base: 'main', ...p }, says: /"number":7/, prepare: withForge, bad: [['attach', { body: { title: 'x', attach: [''] } }], ['title', { body: {} }], ['title', { body: { title: '' } }], ['base', { body: { title: 'x', base: '-x' } }], ['github_token', { body: { title: 'x', ...p } }], ...badFolder({ title: 'x', github_token: 't' })] }),
  'POST /v2/box/{id}/git/create-issue': git({ body: { title: 'x', github_token: 't', ...p }, says: /"number":7/, prepare: withForge, bad: [['title', { body: {} }], ['title', { body: { title: '' } }], ['attach', { body: { title: 'x', attach: 'f' } }],
    ['github_token', { body: { title: 'x', ...p } }], ...badFolder({ title: 'x', github_token: 't' })] }),
  'POST /v2/box/{id}/git/exec': git({ body: { args: ['log'], ...p }, says: /one/, bad: [['args', { body: {} }], ['args', { body: { args: 'log' } }], ['args', { body: { args: [kNul] } }], ...badFolder({ args: ['log'] })] }),
  'PUT /v2/box/{id}/config/git': git({ body: { git_user_name: 'me' }, says: /"me"/, bad: [['git_user_name', { body: { git_user_name: 'a\nb' } }], ['git_user_email', { body: { git_user_email: 5 } }]] }),
  'PUT /v2/box/{id}/git-config': git({ body: { git_user_name: 'me' }, says: /"me"/, bad: [['git_user_name', { body: { git_user_name: 'a\nb' } }], ['git_user_email', { body: { git_user_email: 5 } }]] }),

  'POST /v2/box/{id}/snapshots': { body: { name: 'now' }, says: /ready/, bad: [['name', { body: {} }], ['name', { body: { name: '' } }], ['name', { body: { name: 'x'.repeat(129) } }], ['unique', { body: { name: 'x', unique: 5 } }]] },
  'GET /v2/box/{id}/snapshots': { prepare: withSnapshot, says: /ready/, gone: 200 }, // they outlive their box
  'POST /v2/box/{id}/snapshots/{snapshot}/push': { prepare: withSnapshot, body: { reference: '127.0.0.1:1/a:1' }, says: /event: error/, gone: 200, bad: [['reference', { body: { reference: 'A' } }], ['reference', { body: { reference: `127.0.0.1:1/a@sha256:${'a'.repeat(64)}` } }], ['registry_login', { body: { reference: '127.0.0.1:1/a:1', registry_login: {} } }]] },
  'GET /v2/box/{id}/snapshots/{snapshot}/oci': { prepare: withSnapshot, says: /oci-layout/, gone: 200 },
  'DELETE /v2/box/{id}/snapshots/{snapshot}': { prepare: withSnapshot, gone: 200 },
  'POST /v2/box/{id}/fork': { body: { count: 2 }, bad: [['count', { body: { count: 0 } }], ['count', { body: { count: 1001 } }], ...badCreate()] },
  'GET /v2/box/{id}/diff': { prepare: withFile, says: /d\/file/, bad: [['format', query('format=xml')]] },
  'POST /v2/box/{id}/rollback': { prepare: withSnapshot, body: ({ snapshot }) => ({ snapshot_id: snapshot }), busy: { ends: true }, bad: [['snapshot_id', { body: {} }], ['snapshot_id', { body: { snapshot_id: 5 } }]] },
  'GET /v2/box/{id}/usage': { gone: 200 }, // a bill outlives its box

  'POST /v2/box/{id}/schedules': { body: kSchedule, says: /"active"/, bad: badSchedule(kSchedule, ['type', { body: { ...kSchedule, type: 'x' } }], ['timeout', { body: { ...kSchedule, timeout: 0 } }]) },
  'GET /v2/box/{id}/schedules': { prepare: withSchedule, says: /"active"/ },
  'GET /v2/box/{id}/schedules/{schedule}': { prepare: withSchedule, says: /"active"/ },
  'PATCH /v2/box/{id}/schedules/{schedule}': { prepare: withSchedule, body: { cron: '0 1 * * *' }, says: /"0 1 \* \* \*"/, bad: badSchedule({}, ['type', { body: { type: 'prompt' } }]) },
  'DELETE /v2/box/{id}/schedules/{schedule}': { prepare: withSchedule },
  'POST /v2/box/{id}/schedules/{schedule}/pause': { prepare: withSchedule },
  'POST /v2/box/{id}/schedules/{schedule}/resume': { prepare: withSchedule },
  ...Object.fromEntries(['{call}', '{call}/{part}'].flatMap((rest) => ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].map((method) => [`${method} /v2/box/{id}/browser/${rest}`, unbuilt]))),
};

// --- calls that are about no one box ---

const variable = (key) => ({
  prepare: async (box) => { await box.daemon.json('PUT', '/v2/box/settings/env', { env_vars: { [key]: 'x' } }); return { key }; },
  undo: (daemon) => daemon.json('PUT', '/v2/box/settings/env', { env_vars: {} }),
});
const modelKey = (provider) => ({
  prepare: async (box) => { await box.daemon.json('PUT', `/v2/box/settings/model-keys/${provider}`, { key: 'secret' }); return { provider }; },
  undo: (daemon) => daemon.ask('DELETE', `/v2/box/settings/model-keys/${provider}`),
});
const nowhere = async () => ({ host: '127.0.0.1:1' });
const image = { prepare: async () => ({ name: 'mine' }), undo: (daemon) => daemon.ask('DELETE', '/v2/images/mine'), stranger: 403 };
const built = async (box) => {
  await box.daemon.ask('POST', '/v2/images/mine/build', { body: { script: 'true' } });
  return { name: 'mine' };
};
const keyed = async (box) => {
  await box.daemon.json('POST', '/v2/keys', { name: 'eve' }, 201);
  return { name: 'eve' };
};
const ofSnapshot = (more) => ({ snapshot }) => ({ snapshot_id: snapshot, ...more });

export const others = {
  'POST /v2/box': { body: {}, bad: [['runtime', { body: { runtime: 'none' } }], ...badCreate()] },
  'GET /v2/box': {},
  'DELETE /v2/box': { body: ({ id }) => ({ ids: [id] }), stranger: 404, bad: [['ids', { body: {} }], ['ids', { body: { ids: 'x' } }], ['ids', { body: { ids: [5] } }]] },
  'GET /v2/box/settings/attach-headers': {},
  'PUT /v2/box/settings/attach-headers': { body: { attach_headers: {} }, bad: [['attach_headers', { body: { attach_headers: { 'A.b': { C: 'd' } } } }], ['attach_headers', { body: { attach_headers: { 'a.b': { Host: 'd' } } } }], ['attach_headers', { body: { attach_headers: 5 } }], ['attach_headers', { body: {} }]] },
  'PATCH /v2/box/settings/attach-headers': { body: { attach_headers: {} }, bad: [['attach_headers', { body: { attach_headers: { 'A.b': { C: 'd' } } } }], ['attach_headers', { body: { attach_headers: { 'a.b': { Host: 'd' } } } }], ['attach_headers', { body: { attach_headers: 5 } }]] },
  'GET /v2/box/settings/env': {},
  'PUT /v2/box/settings/env': { body: { env_vars: {} }, bad: [['env_vars', { body: {} }], ['env_vars', { body: { env_vars: { HOME: '/' } } }], ['env_vars', { body: { env_vars: { 'a b': 'x' } } }], ['env_vars', { body: { env_vars: { A: 5 } } }]] },
  'PATCH /v2/box/settings/env': { ...variable('ONE'), body: { env_vars: {} }, bad: [['env_vars', { body: { env_vars: { HOME: '/' } } }], ['env_vars', { body: { env_vars: { A: 5 } } }], ['unset', { body: { unset: 'ONE' } }]] },
  'PUT /v2/box/settings/env/{key}': { ...variable('ONE'), body: { value: 'y' }, bad: [['value', { body: {} }], ['value', { body: { value: 5 } }], ['key', { body: { value: 'x' }, path: { key: 'HOME' } }]] },
  'DELETE /v2/box/settings/env/{key}': { ...variable('TWO'), stranger: 404 },
  'GET /v2/box/settings/model-keys': {},
  'PUT /v2/box/settings/model-keys/{provider}': { ...modelKey('openai'), body: { key: 'secret' }, bad: [['key', { body: {} }], ['key', { body: { key: 'a b' } }], ['key', { body: { key: kLong } }]] },
  'DELETE /v2/box/settings/model-keys/{provider}': { ...modelKey('anthropic'), stranger: 404 },
  'GET /v2/box/snapshots': {},
  'DELETE /v2/box/snapshots': { body: {}, bad: [['ids', { body: { ids: 'x' } }], ['ids', { body: { ids: [5] } }]] },
  'POST /v2/box/from-snapshot': { prepare: withSnapshot, body: ofSnapshot(), stranger: 404, bad: [['snapshot_id', { body: {} }], ['runtime', { body: ofSnapshot({ runtime: 'git' }) }],
    ...badCreate().map(([field, { body }]) => [field, { body: ofSnapshot(body) }])] },
  'GET /v2/usage': { bad: [['period', query('period=2026-13')], ['period', query('period=now')]] },
  'GET /v2/df': { stranger: 403 },
  'GET /v2/events': { bad: [['after', query('after=x')], ['follow', query('follow=yes')]] },
  'GET /v2/box/settings/registries': {},
  'PUT /v2/box/settings/registries/{host}': { prepare: nowhere, body: { username: 'a', password: 'b' }, status: 409, stranger: 403, bad: [['username', { body: { username: 'a:b', password: 'x' } }], ['password', { body: { username: 'a' } }], ['host', { path: { host: 'a b' } }]] },
  'DELETE /v2/box/settings/registries/{host}': { prepare: nowhere, status: 404, stranger: 404, bad: [['host', { path: { host: 'a b' } }]] },
  'POST /v2/images/pull': { body: { reference: '127.0.0.1:1/a:1' }, says: /event: error/, stranger: 403, bad: [['reference', { body: {} }], ['reference', { body: { reference: 'A' } }], ['name', { body: { reference: '127.0.0.1:1/a:1', name: 'a b' } }], ['registry_login', { body: { reference: '127.0.0.1:1/a:1', registry_login: {} } }]] },
  'GET /v2/images': { says: /busybox/ },
  'GET /v2/images/{name}': { prepare: async () => ({ name: 'busybox' }), says: /busybox/ },
  'POST /v2/images/{name}/push': { prepare: async () => ({ name: 'busybox' }), body: { reference: '127.0.0.1:1/a:1' }, says: /event: error/, stranger: 403, bad: [['reference', { body: { reference: 'A' } }], ['reference', { body: { reference: `127.0.0.1:1/a@sha256:${'a'.repeat(64)}` } }], ['registry_login', { body: { reference: '127.0.0.1:1/a:1', registry_login: {} } }]] },
  'GET /v2/images/{name}/oci': { prepare: async () => ({ name: 'busybox' }), says: /oci-layout/ },
  'DELETE /v2/images/{name}': { ...image, prepare: built },
  'PUT /v2/images/{name}': { ...image, body: ({ archive }) => archive, bad: [['name', { path: { name: 'a b' } }], ['workdir', query('workdir=here')], ['user', query('user=nobody')]] },
  'POST /v2/images/{name}/commit': { ...image, stranger: 201, body: { from: 'busybox' }, bad: [['from', { body: {} }], ['name', { path: { name: 'a b' } }], ['from', { body: { from: 5 } }], ['snapshot_id', { body: { from: 'busybox', snapshot_id: 5 } }],
    ['user', { body: { from: 'busybox', user: 'nobody' } }], ['workdir', { body: { from: 'busybox', workdir: 'here' } }], ['env', { body: { from: 'busybox', env: { 'a=b': 'x' } } }], ['ports', { body: { from: 'busybox', ports: ['80'] } }],
    ['cmd', { body: { from: 'busybox', cmd: 'x' } }], ['entrypoint', { body: { from: 'busybox', entrypoint: [5] } }], ['labels', { body: { from: 'busybox', labels: { a: 5 } } }]] },
  'POST /v2/images/load': { ...image, query: 'name=mine', body: ({ archive }) => layoutOf([archive]), says: /"mine"/, bad: [['name', query('name=a%20b')]] },
  'POST /v2/images/{name}/build': { ...image, body: { script: 'true' }, says: /event: image/, bad: [['script', { body: {} }], ['name', { path: { name: 'a b' } }], ['from', { body: { from: 5, script: 'true' } }]] },
  'POST /v2/keys': { body: { name: 'eve' }, undo: (daemon) => daemon.ask('DELETE', '/v2/keys/eve'), stranger: 403, bad: [['name', { body: {} }], ['name', { body: { name: 'a b' } }]] },
  'GET /v2/keys': { stranger: 403 },
  'PUT /v2/keys/{name}/limits': { prepare: keyed, body: { boxes: 5 }, stranger: 403, undo: (daemon) => daemon.ask('DELETE', '/v2/keys/eve'),
    bad: [['boxes', { body: { boxes: -1 } }], ['disk_bytes', { body: { disk_bytes: '5G' } }], ['memory_bytes', { body: { memory_bytes: 2 ** 54 } }]] },
  'DELETE /v2/keys/{name}': { prepare: keyed, stranger: 403, undo: (daemon) => daemon.ask('DELETE', '/v2/keys/eve') },
  'GET /v2/host': { stranger: 403 },
  'GET /v2/hosts': { stranger: 403 },
  'PUT /v2/hosts/{host}': { body: { state: 'active' }, status: 409, stranger: 403, bad: [['state', { body: {} }], ['state', { body: { state: 'drained' } }]] },
  'DELETE /v2/hosts/{host}': { status: 409, stranger: 403 },
  'GET /v2': { says: /GET \/v2"/ },
  'GET /metrics': { says: /hutch/, stranger: 403 },
};
