#include "daemon/store/schema.h"

namespace hutch::daemon {
namespace {

// How the schema came to be; to change it, append a step. The first files did not count steps: IF NOT EXISTS is for
// them.
constexpr const char* kSchemaSteps[] = {
    R"sql(
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS boxes (
    id TEXT PRIMARY KEY, name TEXT UNIQUE, phase INTEGER NOT NULL, internal INTEGER NOT NULL, image TEXT NOT NULL,
    layers TEXT NOT NULL, size TEXT NOT NULL, labels TEXT NOT NULL, env TEXT NOT NULL, uid_slot INTEGER NOT NULL,
    address INTEGER NOT NULL, init_pid INTEGER NOT NULL, init_start INTEGER NOT NULL, created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, last_activity_at INTEGER NOT NULL, past_cpu_ns INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS images (
    name TEXT PRIMARY KEY, parent TEXT NOT NULL, layers TEXT NOT NULL, env TEXT NOT NULL, user TEXT NOT NULL,
    work_dir TEXT NOT NULL, size_bytes INTEGER NOT NULL, created_at INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS logs (
    id INTEGER PRIMARY KEY, box TEXT NOT NULL REFERENCES boxes (id) ON DELETE CASCADE, timestamp INTEGER NOT NULL,
    level TEXT NOT NULL, source TEXT NOT NULL, message TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS logs_of_box ON logs (box, id);
)sql",
    R"sql(
ALTER TABLE boxes ADD COLUMN keep_alive INTEGER NOT NULL DEFAULT 0;
ALTER TABLE boxes ADD COLUMN init_command TEXT NOT NULL DEFAULT '';
ALTER TABLE boxes ADD COLUMN idle_timeout INTEGER NOT NULL DEFAULT -1;
ALTER TABLE boxes ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
CREATE TABLE runs (
    id TEXT PRIMARY KEY, box TEXT NOT NULL REFERENCES boxes (id) ON DELETE CASCADE, number INTEGER NOT NULL UNIQUE,
    status INTEGER NOT NULL, prompt TEXT NOT NULL, separate_errors INTEGER NOT NULL, terminal INTEGER NOT NULL,
    timeout_ms INTEGER NOT NULL, exit_code INTEGER, error TEXT NOT NULL, cpu_ns INTEGER NOT NULL,
    started_ms INTEGER NOT NULL, duration_ms INTEGER NOT NULL, kept_bytes INTEGER NOT NULL) STRICT;
CREATE INDEX runs_of_box ON runs (box, number);
CREATE INDEX runs_running ON runs (status) WHERE status = 0;
)sql",
    // Usage outlives its box: it is what somebody is asked to pay for.
    R"sql(
CREATE TABLE usage (
    box TEXT NOT NULL, period TEXT NOT NULL, name TEXT NOT NULL, cpu_ns INTEGER NOT NULL, sent_bytes INTEGER NOT NULL,
    received_bytes INTEGER NOT NULL, memory_peak_bytes INTEGER NOT NULL, storage_byte_seconds INTEGER NOT NULL,
    PRIMARY KEY (box, period)) STRICT, WITHOUT ROWID;
CREATE INDEX usage_of_period ON usage (period);
ALTER TABLE boxes ADD COLUMN past_sent_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE boxes ADD COLUMN past_received_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE boxes ADD COLUMN booked_cpu_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE boxes ADD COLUMN booked_sent_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE boxes ADD COLUMN booked_received_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE boxes ADD COLUMN booked_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE boxes ADD COLUMN disk_bytes INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
CREATE TABLE snapshots (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, box TEXT NOT NULL, box_name TEXT NOT NULL, image TEXT NOT NULL,
    layers TEXT NOT NULL, size TEXT NOT NULL, env TEXT NOT NULL, bytes INTEGER NOT NULL, booked_ms INTEGER NOT NULL,
    created_ms INTEGER NOT NULL) STRICT;
ALTER TABLE boxes ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
ALTER TABLE boxes ADD COLUMN change_layer TEXT NOT NULL DEFAULT '';
)sql",
    R"sql(
ALTER TABLE snapshots ADD COLUMN measured INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
ALTER TABLE runs ADD COLUMN kill_reason INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
ALTER TABLE boxes ADD COLUMN mounted TEXT NOT NULL DEFAULT '';
)sql",
    // Names are unique among a customer's boxes; the constraint of a column can only be changed with its table.
    R"sql(
CREATE TABLE boxes_of_customers (
    id TEXT PRIMARY KEY, name TEXT, phase INTEGER NOT NULL, internal INTEGER NOT NULL, image TEXT NOT NULL,
    layers TEXT NOT NULL, size TEXT NOT NULL, labels TEXT NOT NULL, env TEXT NOT NULL, uid_slot INTEGER NOT NULL,
    address INTEGER NOT NULL, init_pid INTEGER NOT NULL, init_start INTEGER NOT NULL, created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, last_activity_at INTEGER NOT NULL, past_cpu_ns INTEGER NOT NULL,
    keep_alive INTEGER NOT NULL, init_command TEXT NOT NULL, idle_timeout INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    past_sent_bytes INTEGER NOT NULL, past_received_bytes INTEGER NOT NULL, booked_cpu_ns INTEGER NOT NULL,
    booked_sent_bytes INTEGER NOT NULL, booked_received_bytes INTEGER NOT NULL, booked_ms INTEGER NOT NULL,
    disk_bytes INTEGER NOT NULL, change INTEGER NOT NULL, change_layer TEXT NOT NULL, mounted TEXT NOT NULL,
    customer TEXT NOT NULL,
    UNIQUE (customer, name)) STRICT;
INSERT INTO boxes_of_customers SELECT *, 'local' FROM boxes;
DROP TABLE boxes;
ALTER TABLE boxes_of_customers RENAME TO boxes;
ALTER TABLE snapshots ADD COLUMN customer TEXT NOT NULL DEFAULT 'local';
ALTER TABLE usage ADD COLUMN customer TEXT NOT NULL DEFAULT 'local';
CREATE TABLE customers (name TEXT PRIMARY KEY, env TEXT NOT NULL) STRICT, WITHOUT ROWID;
)sql",
    R"sql(
ALTER TABLE boxes ADD COLUMN network_mode INTEGER NOT NULL DEFAULT 0;
ALTER TABLE boxes ADD COLUMN allowed_cidrs TEXT NOT NULL DEFAULT '';
ALTER TABLE boxes ADD COLUMN denied_cidrs TEXT NOT NULL DEFAULT '';
)sql",
    R"sql(
ALTER TABLE boxes ADD COLUMN clone_repo TEXT NOT NULL DEFAULT '';
ALTER TABLE boxes ADD COLUMN git_token TEXT NOT NULL DEFAULT '';
)sql",
    R"sql(
CREATE TABLE keys (customer TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
)sql",
    R"sql(
CREATE TABLE layers (id TEXT PRIMARY KEY, bytes INTEGER, of_image INTEGER NOT NULL) STRICT, WITHOUT ROWID;
)sql",
    R"sql(
CREATE TABLE agents (
    owner TEXT PRIMARY KEY, harness TEXT NOT NULL, model TEXT NOT NULL, command TEXT NOT NULL, args TEXT NOT NULL,
    api_key TEXT NOT NULL, session TEXT NOT NULL, prompts INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL, cost_nano_usd INTEGER NOT NULL, session_cost_nano_usd INTEGER NOT NULL)
    STRICT, WITHOUT ROWID;
CREATE TABLE prompts (
    run TEXT PRIMARY KEY, box TEXT NOT NULL, harness TEXT NOT NULL, model TEXT NOT NULL, ended INTEGER NOT NULL,
    output TEXT NOT NULL, error TEXT NOT NULL, session TEXT NOT NULL, input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL, cached_input_tokens INTEGER NOT NULL, cost_nano_usd INTEGER NOT NULL,
    webhook_url TEXT NOT NULL, webhook_headers TEXT NOT NULL) STRICT;
CREATE INDEX prompts_of_box ON prompts (box);
CREATE INDEX prompts_open ON prompts (run) WHERE ended = 0 OR webhook_url != '';
CREATE TRIGGER prompt_goes_with_run AFTER DELETE ON runs BEGIN DELETE FROM prompts WHERE run = OLD.id; END;
CREATE TRIGGER agent_goes_with_box AFTER DELETE ON boxes BEGIN DELETE FROM agents WHERE owner = OLD.id; END;
CREATE TRIGGER agent_goes_with_snapshot AFTER DELETE ON snapshots BEGIN
    DELETE FROM agents WHERE owner = OLD.id; END;
)sql",
    R"sql(
ALTER TABLE agents ADD COLUMN session_input_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN session_output_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN session_cached_input_tokens INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
ALTER TABLE agents ADD COLUMN mcp_servers TEXT NOT NULL DEFAULT '';
ALTER TABLE agents ADD COLUMN skills TEXT NOT NULL DEFAULT '';
)sql",
    R"sql(
CREATE TABLE model_keys (
    customer TEXT NOT NULL, provider TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (customer, provider))
    STRICT, WITHOUT ROWID;
CREATE TABLE model_grants (
    run TEXT PRIMARY KEY, box TEXT NOT NULL, provider TEXT NOT NULL, hash TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TRIGGER grant_goes_with_prompt AFTER DELETE ON prompts BEGIN
    DELETE FROM model_grants WHERE run = OLD.run; END;
)sql",
    R"sql(
ALTER TABLE prompts ADD COLUMN json_schema TEXT NOT NULL DEFAULT '';
)sql",
    R"sql(
CREATE TABLE limits (
    customer TEXT NOT NULL, resource TEXT NOT NULL, most INTEGER NOT NULL, PRIMARY KEY (customer, resource))
    STRICT, WITHOUT ROWID;
CREATE TABLE model_tokens (customer TEXT PRIMARY KEY, day INTEGER NOT NULL, tokens INTEGER NOT NULL) STRICT, WITHOUT ROWID;
)sql",
    R"sql(
ALTER TABLE prompts ADD COLUMN readings INTEGER NOT NULL DEFAULT 0;
)sql",
    // Secrets are sealed (vault.h), each for its place; the places are those of seal() and unseal() in *_records.cpp.
    R"sql(
UPDATE boxes SET env = seal(env, 'boxes.env/' || id), git_token = seal(git_token, 'boxes.git_token/' || id);
UPDATE images SET env = seal(env, 'images.env/' || name);
UPDATE snapshots SET env = seal(env, 'snapshots.env/' || id);
UPDATE customers SET env = seal(env, 'customers.env/' || name);
UPDATE agents SET api_key = seal(api_key, 'agents.api_key/' || owner),
    mcp_servers = seal(mcp_servers, 'agents.mcp_servers/' || owner);
UPDATE prompts SET webhook_url = seal(webhook_url, 'prompts.webhook_url/' || run),
    webhook_headers = seal(webhook_headers, 'prompts.webhook_headers/' || run);
UPDATE model_keys SET key = seal(key, 'model_keys.key/' || customer || '/' || provider);
INSERT INTO meta VALUES ('sealed', seal('hutch', 'meta.value/sealed'));
)sql",
    R"sql(
ALTER TABLE boxes ADD COLUMN nesting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE snapshots ADD COLUMN nesting INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
ALTER TABLE runs ADD COLUMN signal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN oom_kills INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
CREATE TABLE previews (
    box TEXT NOT NULL REFERENCES boxes (id) ON DELETE CASCADE, port INTEGER NOT NULL, id TEXT NOT NULL,
    created_at INTEGER NOT NULL, token_hash TEXT NOT NULL, basic_hash TEXT NOT NULL, PRIMARY KEY (box, port))
    STRICT, WITHOUT ROWID;
)sql",
    R"sql(
CREATE TABLE schedules (
    id TEXT PRIMARY KEY, box TEXT NOT NULL REFERENCES boxes (id) ON DELETE CASCADE, type INTEGER NOT NULL,
    cron TEXT NOT NULL, command TEXT NOT NULL, prompt TEXT NOT NULL, folder TEXT NOT NULL, model TEXT NOT NULL,
    agent_options TEXT NOT NULL, timeout_ms INTEGER NOT NULL, webhook_url TEXT NOT NULL, webhook_headers TEXT NOT NULL,
    paused INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, due INTEGER NOT NULL,
    run TEXT NOT NULL, last_run_at INTEGER NOT NULL, last_run_id TEXT NOT NULL, last_run_status INTEGER NOT NULL,
    total_runs INTEGER NOT NULL, total_failures INTEGER NOT NULL) STRICT;
CREATE INDEX schedules_of_box ON schedules (box);
CREATE TABLE webhooks (
    run TEXT PRIMARY KEY, box TEXT NOT NULL, schedule TEXT NOT NULL, url TEXT NOT NULL, headers TEXT NOT NULL)
    STRICT, WITHOUT ROWID;
CREATE TRIGGER webhook_goes_with_run AFTER DELETE ON runs BEGIN DELETE FROM webhooks WHERE run = OLD.id; END;
ALTER TABLE runs ADD COLUMN schedule TEXT NOT NULL DEFAULT '';
)sql",
    // Of a run that waits (status 5) what it was asked with. A webhook is told of a run's end though its box is gone.
    R"sql(
ALTER TABLE runs ADD COLUMN waited_ms INTEGER NOT NULL DEFAULT 0;
CREATE TABLE waiting_prompts (run TEXT PRIMARY KEY, words TEXT NOT NULL) STRICT;
CREATE TRIGGER words_until_begin AFTER UPDATE OF status ON runs WHEN OLD.status = 5 AND NEW.status != 5 BEGIN
    DELETE FROM waiting_prompts WHERE run = OLD.id; END;
CREATE TRIGGER words_go_with_run AFTER DELETE ON runs WHEN OLD.status = 5 BEGIN
    DELETE FROM waiting_prompts WHERE run = OLD.id; END;
DROP TRIGGER prompt_goes_with_run;
CREATE TRIGGER prompt_goes_with_run AFTER DELETE ON runs BEGIN
    DELETE FROM prompts WHERE run = OLD.id AND webhook_url = ''; END;
)sql",
    R"sql(
CREATE TABLE creations (
    customer TEXT NOT NULL, key TEXT NOT NULL, call TEXT NOT NULL, boxes TEXT NOT NULL, finished INTEGER NOT NULL,
    created_at INTEGER NOT NULL, PRIMARY KEY (customer, key)) STRICT, WITHOUT ROWID;
CREATE INDEX creations_by_time ON creations (created_at);
CREATE INDEX creations_unfinished ON creations (finished) WHERE finished = 0;
)sql",
    R"sql(
CREATE INDEX usage_of_customer ON usage (customer, period);
)sql",
    R"sql(
CREATE TABLE attached (
    box TEXT PRIMARY KEY, headers TEXT NOT NULL, key TEXT NOT NULL, certificate TEXT NOT NULL, active INTEGER NOT NULL)
    STRICT, WITHOUT ROWID;
CREATE TRIGGER attached_goes_with_box AFTER DELETE ON boxes BEGIN DELETE FROM attached WHERE box = OLD.id; END;
CREATE TABLE customer_headers (customer TEXT PRIMARY KEY, headers TEXT NOT NULL) STRICT, WITHOUT ROWID;
)sql",
    R"sql(
ALTER TABLE boxes ADD COLUMN allowed_domains TEXT NOT NULL DEFAULT '';
)sql",
    // A customer's own images are called as it likes.
    R"sql(
CREATE TABLE images_of_customers (
    customer TEXT NOT NULL, name TEXT NOT NULL, parent TEXT NOT NULL, layers TEXT NOT NULL, env TEXT NOT NULL,
    user TEXT NOT NULL, work_dir TEXT NOT NULL, size_bytes INTEGER NOT NULL, created_at INTEGER NOT NULL,
    entrypoint TEXT NOT NULL, cmd TEXT NOT NULL, labels TEXT NOT NULL, ports TEXT NOT NULL, source TEXT NOT NULL,
    digest TEXT NOT NULL, PRIMARY KEY (customer, name)) STRICT, WITHOUT ROWID;
INSERT INTO images_of_customers
    SELECT 'local', name, parent, layers, env, user, work_dir, size_bytes, created_at, '', '', '', '', '', '' FROM images;
DROP TABLE images;
ALTER TABLE images_of_customers RENAME TO images;
CREATE TABLE layer_blobs (
    layer TEXT NOT NULL, digest TEXT NOT NULL, chain_id TEXT NOT NULL, diff_id TEXT NOT NULL, media_type TEXT NOT NULL,
    bytes INTEGER NOT NULL, PRIMARY KEY (layer, digest)) STRICT, WITHOUT ROWID;
CREATE INDEX layer_blobs_of_chain ON layer_blobs (chain_id);
)sql",
    R"sql(
CREATE TABLE registry_logins (
    customer TEXT NOT NULL, host TEXT NOT NULL, login TEXT NOT NULL, PRIMARY KEY (customer, host))
    STRICT, WITHOUT ROWID;
)sql",
};

}  // namespace

std::span<const char* const> schema_steps() {
    return kSchemaSteps;
}

}  // namespace hutch::daemon
