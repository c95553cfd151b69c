# The agents image, which boxes that name none start from: Node, Python with pip, git, and the programs of Claude Code,
# Codex and OpenCode. Run as root in a box of the node image by `hutch image build agents`. Versions are pinned: an adapter reads what these write. `hutch image inspect agents` shows them.
# from: node
# with: python
# env: HUTCH_AGENTS=@anthropic-ai/claude-code@2.1.332 @openai/codex@0.171.0 opencode-ai@1.18.33
set -eu

# Two of the programs are optional dependencies of their packages, and npm leaves out in silence one that it could not fetch.
versions() {
    claude=$(claude --version) && codex=$(codex --version) && opencode=$(opencode --version)
}
for _ in 1 2 3; do
    # shellcheck disable=SC2086 # several words
    npm install --global --prefix /usr/local --no-fund --no-audit --no-update-notifier $HUTCH_AGENTS
    ! versions || break
done
versions
chown -R boxuser:boxuser /usr/local/bin /usr/local/lib/node_modules
rm -rf /root/.npm
git config --system user.name "Hutch Box" # for an agent that commits: the box's own and a repository's win
git config --system user.email box@hutch.local

echo "claude $claude, $codex, opencode $opencode"
