// What the stand-in model does with a prompt of the examples: one command that makes the files which the prompt names,
// then a word. So a program of an agent does real work in the box, and what an example then reads is there.

const kProcess = `import csv, json, sys
rows = [dict(row) for row in csv.DictReader(open(sys.argv[1]))]
with open(sys.argv[2], 'w', newline='') as out:
    writer = csv.DictWriter(out, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
print(json.dumps({'rows': len(rows), 'columns': list(rows[0].keys())}))
`;
const kTrim = `import shutil, sys
shutil.copyfile(sys.argv[1], sys.argv[2])
`;
const kContents = { 'process.py': kProcess, 'trim.py': kTrim };

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function commandFor(prompt) {
  const files = new Set(prompt.match(/(?<![\w@.-])(?:\/workspace\/home\/)?[\w-]+(?:\/[\w-]+)*\.(?:ts|py|md|html)\b/g) ?? []);
  for (const [, directory] of prompt.matchAll(/\bat (\w+)\/(?!\w)/g)) files.add(`${directory}/package.json`);
  if (files.size === 0 && /^(?:Create|Write) /.test(prompt)) files.add('server.ts');
  const write = (file) => `mkdir -p "$(dirname ${file})"; [ -e ${file} ] || printf %s ${quoted(kContents[file] ?? `// ${file}\n`)} > ${file}`;
  return files.size > 0 ? [...files].map(write).join('; ') : 'ls';
}

/// A value of that JSON schema.
function example(schema) {
  if (schema.type === 'object') return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, its]) => [name, example(its)]));
  if (schema.type === 'array') return [example(schema.items ?? { type: 'string' })];
  return schema.enum?.[0] ?? { string: 'text', number: 1, integer: 1, boolean: true }[schema.type] ?? null;
}

/// The prompt, without what programs put before it.
const textOf = (content) => (typeof content === 'string' ? content : content.at(-1).text ?? '');

/// Of Anthropic's Messages: what was asked last, and whether its command has been run.
function readMessages({ messages, tools }) {
  const at = messages.findLastIndex(({ role, content }) => role === 'user' && !(Array.isArray(content) && content.some(({ type }) => type === 'tool_result')));
  return { prompt: textOf(messages[at].content), acted: messages.slice(at + 1).some(({ content }) => Array.isArray(content) && content.some(({ type }) => type === 'tool_use')), tools };
}

/// Of OpenAI's Responses.
function readResponses({ input, tools }) {
  const at = input.findLastIndex(({ role }) => role === 'user');
  return { prompt: textOf(input[at].content), acted: input.slice(at + 1).some(({ type }) => type === 'function_call_output'), tools };
}

/// The turn that answers a request.
export function turnFor(body) {
  const { prompt, acted, tools } = body.messages ? readMessages(body) : readResponses(body);
  const structured = tools.find(({ name }) => name === 'StructuredOutput');
  if (structured && acted) return { tool: 'StructuredOutput', input: example(structured.input_schema) };
  if (acted) return { text: 'Done, as asked: PINEAPPLE-42.' };
  return { text: 'I will do that.', run: commandFor(prompt) };
}
