// The examples that the npm client's repository publishes: what each is for, what it needs, and what its output holds
// when it has done that.

const kGitHub = 'clones from and works with github.com';

export const examples = {
  'parallel-boxes': { says: /=== Library ===/ },
  'file-upload': { says: /Generated report:\n\S/ },
  'file-processing': { says: /"rows": 2/, files: { 'data/people.csv': 'name,age\nAlice,30\nBob,25\n' } },
  'snapshot-restore': { says: /Restored files: \S[^]*Done\./ },
  snapshots: { says: /Files in restored box:\n {2}hello\.ts/ },
  'code-execution': { says: /Oldest user: Alice[^]*Box deleted/ },
  'multi-runtime': { says: /Runtime: golang[^]*All boxes deleted/ },
  'run-tracking': { says: /Status: completed[^]*Total runs: 1/ },
  'env-vars': { says: /postgres:\/\/user:pass@db\.example\.com\/mydb\nproduction/ },
  'test-isolation': { says: / 0 failed/ },
  'structured-output': { says: /Frameworks: text/ },
  streaming: { says: /"score": 1/ },
  'multi-turn': { says: /package\.json/ },
  'session-test': { says: /PINEAPPLE-42[^]*Done/ },
  'history-test': { says: /Snapshot created/ },
  'tool-use': { says: /→ \w+/ },
  'openai-codex': { says: /OUTPUT: "Done/ },
  'openai-codex-files': { says: /Modified file/ },
  webhook: { says: /Webhook received/ },
  advanced: { says: /Processed 1 files/, files: { 'mp3s/one.mp3': 'not much of a song' } },
  index: { says: /Box deleted/ },
  'delete-all': { says: /Done/ },
  'load-test': { says: /Succeeded: 100/, long: true },
  basic: { needs: kGitHub },
  'code-review': { needs: kGitHub },
  'git-pr': { needs: kGitHub },
  'mcp-skills': { needs: kGitHub },
};


/// What an error means that comes of the example and the client, or of a rule of Hutch.
export const reasons = [
  [/export named 'Runtime'/, 'the published client has Runtime as a type alone, and the example imports it as a value'],
  [/agent\.harness is required/, 'the published client wants agent.harness, which the example does not say'],
  [/not async iterable/, 'the published client has a promise of a stream, and the example reads the stream at once'],
  [/status is not a function/, 'the published client has a run\'s status as a property, and the example calls it'],
  [/reading 'trim'/, 'the published client answers code with a run and its result, and the example reads output'],
  [/its agent is at work/, 'the example gives two prompts at once to one box, whose agent takes one at a time'],
];
