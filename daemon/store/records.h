#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "daemon/store/database.h"
#include "daemon/store/vault.h"

namespace hutch::daemon {

/// Of times in records: the year 2248. Sums of a few of them are numbers still.
constexpr int64_t kLatestMs = int64_t{1} << 43;

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// Whose boxes are those of the host's operator. Other customers are named by their API key.
constexpr const char* kLocalCustomer = "local";

/// An API key, of which only this is kept.
struct KeyRecord {
    std::string customer;
    std::string hash;  ///< SHA-256, 32 bytes in hexadecimal
    int64_t created_at = 0;
};

/// A limit of one customer that is not as every customer's is.
struct LimitRecord {
    std::string customer;
    std::string resource;  ///< "boxes"; or "nesting", where 1 allows it
    int64_t limit = 0;     ///< 0: none
};

/// How many tokens of models a customer has used on a day.
struct TokenRecord {
    std::string customer;
    int64_t day = 0;  ///< since 1970, by UTC
    int64_t tokens = 0;
};

/// How far a box's making or unmaking has come. Written before the kernel is touched, so that a start after a crash
/// knows what may be there.
enum class Phase : int64_t { kCreating = 0, kReady = 1, kDeleting = 2 };

/// What only grows while a box lives.
struct Counters {
    int64_t cpu_ns = 0;
    int64_t sent_bytes = 0;
    int64_t received_bytes = 0;

    Counters& operator+=(const Counters& other);
    friend Counters operator+(Counters one, const Counters& other) { return one += other; }
    /// What has come since `earlier`; nothing where a figure went down, which is never billed back.
    [[nodiscard]] Counters since(const Counters& earlier) const;
    /// Each the larger of the two.
    [[nodiscard]] Counters at_least(const Counters& other) const;
    bool operator==(const Counters&) const = default;
};

/// What a box used in one period.
struct UsageRecord {
    std::string box;
    std::string customer;
    std::string name;    ///< of the box, to be remembered by when it is gone
    std::string period;  ///< a month by UTC: "2026-11"
    Counters counters;
    int64_t memory_peak_bytes = 0;
    int64_t storage_byte_seconds = 0;  ///< bytes on disk times how long
};

/// A change to what a box's files are made of, begun and not yet finished. Written before it begins, so that a start
/// after a crash can finish it or take it back.
enum class FilesChange : int64_t {
    kNone = 0,
    kSealing = 1,    ///< its upper becomes the layer `change_layer`, with an empty upper on top
    kCopying = 2,    ///< it is frozen while its upper is copied
    kResetting = 3,  ///< its upper is thrown away: `layers` are what it is to stand on
};

enum class NetworkMode : int64_t { kAllowAll = 0, kDenyAll = 1, kCustom = 2 };

/// What a box may talk to, in the words of its customer.
struct NetworkPolicy {
    NetworkMode mode = NetworkMode::kAllowAll;
    std::vector<std::string> allowed_cidrs{};    ///< custom only; none, and no domains: all that is not denied
    std::vector<std::string> denied_cidrs{};     ///< custom only
    std::vector<std::string> allowed_domains{};  ///< custom only; as netns::parse_domain() gives them
    bool operator==(const NetworkPolicy&) const = default;
};

struct BoxRecord {
    std::string id;
    std::string customer = kLocalCustomer;
    std::string name;  ///< unique among its customer's; empty for none
    Phase phase = Phase::kCreating;
    bool internal = false;  ///< an image being built: not listed, and gone after a restart
    std::string image;
    std::vector<std::string> layers;  ///< topmost first, below the box's own upper
    std::string size;
    std::vector<std::string> labels;
    Pairs env;
    int64_t uid_slot = 0;  ///< which range of host ids is its own
    uint32_t address = 0;  ///< IPv4, host byte order; of the life under way
    int64_t init_pid = 0;  ///< with init_start: which process is its init (a pid alone may have been reused); 0 as soon
                           ///< as what that life used has joined the past
    int64_t init_start = 0;
    int64_t created_at = 0;  ///< Unix seconds, as the others
    int64_t updated_at = 0;
    int64_t last_activity_at = 0;
    Counters past{};             ///< of earlier lives, whose control groups and links are gone
    bool keep_alive = false;     ///< never paused
    std::string init_command{};  ///< run by a shell at its start, and when it is resumed
    int64_t idle_timeout = -1;   ///< seconds without work after which it is paused; 0: never, -1: as the daemon is set
    int64_t expires_at = 0;      ///< an ephemeral box is deleted then; 0: it is none
    Counters booked{};           ///< the part of what it has used that stands in usage records
    int64_t booked_ms = 0;       ///< until when its storage is booked, Unix milliseconds; 0: not yet
    int64_t disk_bytes = 0;      ///< of its files, as last measured
    FilesChange change = FilesChange::kNone;
    std::string change_layer{};
    std::vector<std::string> mounted{};  ///< what its present life stands on, where others have taken their place since
    NetworkPolicy network{};
    std::string clone_repo{};  ///< what was last cloned into it, as it was asked for
    std::string git_token{};   ///< for its git steps; never shown, never in its files
    bool nesting = false;      ///< programs in it may make namespaces of their own
    bool attaches = false;     ///< some of its requests get headers on their way out; as AttachedRecord::active
};

struct ImageRecord {
    std::string name;
    std::string parent;
    std::vector<std::string> layers;  ///< topmost first
    Pairs env;
    std::string user = "boxuser";
    std::string work_dir = "/workspace/home";
    int64_t size_bytes = 0;
    int64_t created_at = 0;
    std::string customer = kLocalCustomer;  ///< whose; the operator's are everybody's
    std::vector<std::string> entrypoint{};  ///< what it is to run, as its maker has it: told, and run when asked for
    std::vector<std::string> cmd{};         ///< the same, or the entrypoint's arguments
    Pairs labels{};
    std::vector<std::string> ports{};  ///< that its programs listen on: "8080/tcp"
    std::string source{};              ///< the reference that it was pulled by; empty: it was not
    std::string digest{};              ///< of its manifest as it came; empty: it did not come as an OCI image
};

/// What a layer is called outside, and as which archive: as it came, or as it was written here. It may have several.
struct LayerBlobRecord {
    std::string layer;       ///< its id in the store
    std::string chain_id{};  ///< of it on what it stands on (daemon/digest.h)
    std::string diff_id{};   ///< digest of the plain archive
    std::string digest{};    ///< of the blob: the archive, packed or not
    std::string media_type{};
    int64_t bytes = 0;  ///< of the blob
};

/// A box's files at a moment, and what a box made from them needs besides. Outlives its box.
struct SnapshotRecord {
    std::string id;
    std::string customer = kLocalCustomer;
    std::string name;
    std::string box;  ///< its id
    std::string box_name;
    std::string image;                ///< that the box was made from: its user and work directory
    std::vector<std::string> layers;  ///< topmost first
    std::string size;                 ///< of the box
    Pairs env;
    int64_t bytes = 0;       ///< of its topmost layer: what it takes besides what was there
    bool measured = false;   ///< that is exact, not an estimate
    int64_t booked_ms = 0;   ///< until when its storage is booked, Unix milliseconds
    int64_t created_ms = 0;  ///< Unix milliseconds
    bool nesting = false;    ///< of the box
};

/// What a session of an agent has taken, all its prompts together.
struct SessionTotal {
    int64_t input_tokens = 0;
    int64_t output_tokens = 0;
    int64_t cached_input_tokens = 0;
    int64_t cost_nano_usd = 0;
};

/// How a box, or what is made from a snapshot, works with an agent; and what that has taken so far.
struct AgentRecord {
    std::string owner;    ///< the id of a box or of a snapshot
    std::string harness;  ///< "claude-code"; empty: none
    std::string model;    ///< with its provider: "anthropic/claude-sonnet-4-5"
    std::string command;  ///< of a harness of one's own
    std::vector<std::string> args{};
    std::string api_key{};  ///< the box's own, for its model; never shown
    std::string session{};  ///< that the next prompt goes on with
    int64_t prompts = 0;
    int64_t input_tokens = 0;
    int64_t output_tokens = 0;
    int64_t cost_nano_usd = 0;
    SessionTotal session_total{};       ///< where its program tells that, not what a prompt took
    std::string mcp_servers{};          ///< JSON, as the API has it; empty: none
    std::vector<std::string> skills{};  ///< owner/repo or owner/repo/skill
};

/// A prompt that an agent was given: what its run's record does not tell.
struct PromptRecord {
    std::string run;  ///< the run's id
    std::string box;
    std::string harness;
    std::string model;
    bool ended = false;  ///< the agent has, and this is complete
    std::string output{};
    std::string error{};  ///< why it failed; empty: it did not
    std::string session{};
    int64_t input_tokens = 0;
    int64_t output_tokens = 0;
    int64_t cached_input_tokens = 0;
    int64_t cost_nano_usd = 0;
    std::string webhook_url{};  ///< to be told of the end; empty once it was
    Pairs webhook_headers{};
    std::string schema{};  ///< JSON Schema that its answer is checked by; empty: by none
    int64_t readings = 0;  ///< by daemons that were started after it, and ended before they had read what it had said
};

/// A run that may call a model's provider through the gateway, until it ends.
struct ModelGrantRecord {
    std::string run;
    std::string box;
    std::string provider;
    std::string hash;  ///< of its token, of which only this is kept
};

/// A key for a model's provider that a customer has set for its boxes.
struct ModelKeyRecord {
    std::string provider;
    std::string key;  ///< as the provider gave it out: it must be shown there
};

/// Who a customer is to a registry of images. Never shown but for the host and the user, and in no box.
struct RegistryLoginRecord {
    std::string host;  ///< with its port
    std::string user{};
    std::string password{};
    std::string identity{};  ///< an identity token, in place of the other two; empty: none
};

/// A layer of the store that was added up, or is an image's own.
struct LayerRecord {
    std::string id;
    std::optional<int64_t> bytes;  ///< on disk; none: not known yet
    bool of_image = false;         ///< whoever stands on it does not pay for it
};

/// A port of a box that is published: its public URL, and who may use that.
struct PreviewRecord {
    std::string box;
    uint16_t port = 0;
    std::string id;
    int64_t created_at = 0;
    std::string token_hash{};  ///< of the bearer token, of which only this is kept; empty: none opens it
    std::string basic_hash{};  ///< of "user:password" in base64, as it is sent; empty: none opens it
};

/// Headers for requests of boxes to hosts, by the pattern of those: "api.example.com" or "*.example.com".
using HeaderRules = std::map<std::string, Pairs>;

/// What a box, which need have no headers any more, has for them.
struct AttachedRecord {
    std::string box;
    HeaderRules headers{};      ///< its own, not its customer's; their values are never shown, and not in it
    std::string key{};          ///< PEM: of the authority that it trusts; never in it either
    std::string certificate{};  ///< PEM
    bool active = false;        ///< there are some for it, its own or its customer's
};

struct LogRecord {
    int64_t timestamp = 0;
    std::string level;   ///< info, warn, error
    std::string source;  ///< system, agent, user
    std::string message;
    int64_t id = 0;  ///< of the row: goes up from line to line
};

/// kSkipped: it was due, and never begun, as the one before it of its schedule was still under way. kWaiting: a prompt
/// whose turn has not come; callers are told of it as running.
enum class RunStatus : int64_t {
    kRunning = 0,
    kCompleted = 1,
    kFailed = 2,
    kCancelled = 3,
    kSkipped = 4,
    kWaiting = 5
};

/// Why a run is killed, by us or (out of memory) by the kernel. The former is written before it is, so that a daemon
/// that is killed in between does not leave the next one to take our SIGKILL for the command's own end.
enum class KillReason : int64_t { kNone = 0, kCancelled = 1, kTimeout = 2, kOutOfMemory = 3 };

/// One execution. Written before its command is started, so that the next daemon knows of it.
struct RunRecord {
    std::string id;
    std::string box;
    int64_t number = 0;  ///< what init knows it by: unique on this host, later ones are higher
    RunStatus status = RunStatus::kRunning;
    std::string prompt;
    bool separate_errors = false;
    bool terminal = false;
    int64_t timeout_ms = 0;            ///< 0: none
    std::optional<int64_t> exit_code;  ///< none while it runs, and none for ever where it could not be learnt
    std::string error;                 ///< why it failed, where that is not the exit code's to say
    int64_t cpu_ns = 0;
    int64_t started_ms = 0;  ///< Unix milliseconds; of one that waits, since when
    int64_t duration_ms = 0;
    int64_t kept_bytes = 0;  ///< of its output, on disk
    KillReason kill_reason = KillReason::kNone;
    int64_t signal = 0;      ///< that ended its command; 0: it exited
    int64_t oom_kills = 0;   ///< in its box, when it began
    std::string schedule{};  ///< whose firing it is; empty: somebody asked for it
    int64_t waited_ms = 0;   ///< before it was started
};

enum class ScheduleType : int64_t { kExec = 0, kPrompt = 1 };

/// What a box does again and again, and how far that is. Goes with its box.
struct ScheduleRecord {
    std::string id;
    std::string box;
    ScheduleType type = ScheduleType::kExec;
    std::string cron;
    std::vector<std::string> command{};
    std::string prompt{};
    std::string folder;           ///< absolute
    std::string model{};          ///< of a prompt; empty: the box's
    std::string agent_options{};  ///< of a prompt: JSON, as the API has it; empty: none
    int64_t timeout_ms = 0;       ///< 0: none
    std::string webhook_url{};    ///< to be told of each end; empty: none
    Pairs webhook_headers{};
    bool paused = false;
    int64_t created_at = 0;  ///< Unix seconds, as the others
    int64_t updated_at = 0;
    int64_t due = 0;          ///< its next firing; 0: none
    std::string run{};        ///< of the firing under way: written before that run is
    int64_t last_run_at = 0;  ///< of the last that has ended or was skipped; 0: none yet
    std::string last_run_id{};
    RunStatus last_run_status = RunStatus::kCompleted;
    int64_t total_runs = 0;  ///< that have ended
    int64_t total_failures = 0;
};

/// Where the end of a schedule's run has yet to be told.
struct WebhookRecord {
    std::string run;
    std::string box;
    std::string schedule;
    std::string url;
    Pairs headers;
};

/// A call that made boxes, by the key that its customer has given it.
struct CreationRecord {
    std::string customer;
    std::string key;
    std::string call{};                ///< a hash of all that it said
    std::vector<std::string> boxes{};  ///< their ids
    bool finished = false;             ///< they are made
    int64_t created_at = 0;
};

/// Every SQL statement of the daemon is in here. Event loop thread only.
class Records {
  public:
    /// Opens or makes the database, and secret.key beside it, with which its secrets are sealed: keys of models,
    /// tokens, variables, webhooks, MCP servers. kConflict for a database whose key is not there or another. `store_id`
    /// names the store it belongs to: a database that has lost its store, or the other way round, must not decide what
    /// is rubbish.
    static Result<Records> open(const std::string& path);
    Result<std::string> store_id();

    Result<void> put_box(const BoxRecord& box);  ///< inserts or replaces; EEXIST when the name is taken
    Result<void> drop_box(const std::string& id);
    Result<std::vector<BoxRecord>> boxes();

    Result<void> put_image(const ImageRecord& image);
    Result<void> drop_image(const std::string& customer, const std::string& name);
    Result<std::vector<ImageRecord>> images();

    /// Keeps the newest kMaxLogs of a box.
    Result<void> add_log(const std::string& box, const LogRecord& log);
    /// The oldest of those after the line `after`.
    Result<std::vector<LogRecord>> logs(const std::string& box, int64_t offset, int64_t limit, int64_t after = 0);
    static constexpr int64_t kMaxLogs = 1000;

    /// All of `work` in one transaction: kept whole or not at all.
    Result<void> together(const std::function<Result<void>()>& work);
    /// The same at once, and when it is done not even a power cut undoes it. Others have their turns while the disk is
    /// waited for: `follow` brings what is in memory after the rows before that. If the disk fails, the rows stand, and
    /// memory with them; the error says that a power cut may undo it. Who must not go on then takes it back:
    /// Manager::intend().
    Task<Result<void>> durably(
        std::function<Result<void>()> work, std::function<void()> follow = [] {});
    /// Until what was written so far is safe from a power cut.
    Task<Result<void>> synced() { return database_.synced(); }
    /// The same for the start, where nobody else waits.
    Result<void> synced_now() { return database_.sync(); }
    /// Waits until the disk has what was begun.
    void join() { database_.join(); }

    // run_records.cpp
    Result<void> add_run(const RunRecord& run);
    Result<void> begin_run(const RunRecord& run);  ///< one that has waited
    Result<void> mark_run(const RunRecord& run);   ///< its kill reason
    Result<void> end_run(const RunRecord& run);    ///< what its end has told
    Result<void> drop_run(const std::string& id);
    /// So many of a box's at most, with what they said; whether there were any.
    Result<bool> drop_runs(const std::string& box, int64_t most);
    Result<std::vector<RunRecord>> runs(const std::string& box);  ///< newest first
    Result<std::vector<RunRecord>> running();                     ///< of all boxes
    Result<std::optional<RunRecord>> run(const std::string& box, const std::string& id);
    Result<int64_t> last_run_number();
    /// The ids of ended runs beyond the newest `most`, or beyond `most_bytes` of kept output.
    Result<std::vector<std::string>> old_runs(const std::string& box, int64_t most, int64_t most_bytes);

    // snapshot_records.cpp
    Result<void> put_snapshot(const SnapshotRecord& snapshot);  ///< inserts, or replaces what changes: bytes, booked_ms
    Result<void> drop_snapshot(const std::string& id);
    Result<std::vector<SnapshotRecord>> snapshots();  ///< oldest first

    // agent_records.cpp
    Result<void> put_agent(const AgentRecord& agent);     ///< inserts or replaces
    Result<AgentRecord> agent(const std::string& owner);  ///< an empty one for who has none
    /// Inserts or replaces. It goes with its run, unless its webhook has yet to be told.
    Result<void> put_prompt(const PromptRecord& prompt);
    Result<void> drop_prompt(const std::string& run);
    Result<std::optional<PromptRecord>> prompt(const std::string& run);
    Result<std::vector<PromptRecord>> open_prompts();  ///< that have not ended, or whose webhook was not told
    /// What the prompt of a run that waits was asked with; goes when that begins, ends or is dropped.
    Result<void> add_waiting(const std::string& run, const std::string& words);
    Result<std::string> waiting(const std::string& run);  ///< kNotFound for one that does not wait
    Result<std::vector<std::string>> all_waiting();       ///< the runs, in order of arrival

    Result<void> add_grant(const ModelGrantRecord& grant);  ///< goes with its prompt
    Result<void> drop_grant(const std::string& run);
    Result<std::vector<ModelGrantRecord>> grants();

    // preview_records.cpp
    Result<void> put_preview(const PreviewRecord& preview);  ///< inserts or replaces; goes with its box
    Result<void> drop_preview(const std::string& box, uint16_t port);
    Result<std::vector<PreviewRecord>> previews(const std::string& box);  ///< by port
    Result<std::optional<PreviewRecord>> preview(const std::string& box, uint16_t port);
    // schedule_records.cpp
    Result<void> add_schedule(const ScheduleRecord& schedule);
    Result<void> set_schedule(const ScheduleRecord& schedule);   ///< what its customer says of it, and `due`
    Result<void> mark_schedule(const ScheduleRecord& schedule);  ///< how far it is; nothing for one that is gone
    Result<void> drop_schedule(const std::string& id);
    Result<std::vector<ScheduleRecord>> schedules(const std::string& box);  ///< oldest first
    Result<std::vector<ScheduleRecord>> schedules();                        ///< of all boxes
    Result<std::optional<ScheduleRecord>> schedule(const std::string& box, const std::string& id);
    Result<void> add_webhook(const WebhookRecord& webhook);  ///< goes with its run
    Result<void> drop_webhook(const std::string& run);
    Result<std::vector<WebhookRecord>> webhooks();

    // attached_records.cpp
    Result<void> put_attached(const AttachedRecord& attached);  ///< inserts or replaces; goes with its box
    Result<std::optional<AttachedRecord>> attached(const std::string& box);
    Result<std::vector<AttachedRecord>> all_attached();
    Result<HeaderRules> headers_of(const std::string& customer);  ///< for all its boxes
    Result<void> put_headers(const std::string& customer, const HeaderRules& headers);

    // layer_records.cpp
    Result<void> put_layer(const LayerRecord& layer);  ///< inserts or replaces
    Result<void> drop_layer(const std::string& id);
    Result<std::vector<LayerRecord>> layers();
    Result<void> put_blob(const LayerBlobRecord& blob);                       ///< inserts or replaces
    Result<std::vector<LayerBlobRecord>> blobs_of(const std::string& layer);  ///< by digest
    Result<std::vector<LayerBlobRecord>> blobs_of_chain(const std::string& chain_id);
    Result<std::vector<std::string>> layers_with_blobs();
    Result<void> drop_blobs(const std::string& layer);  ///< all of a layer that goes

    // customer_records.cpp
    Result<Pairs> env_of(const std::string& customer);  ///< variables for all its boxes
    Result<void> put_env(const std::string& customer, const Pairs& env);
    Result<void> put_model_key(const std::string& customer, const ModelKeyRecord& key);     ///< inserts or replaces
    Result<bool> drop_model_key(const std::string& customer, const std::string& provider);  ///< whether there was one
    Result<std::vector<ModelKeyRecord>> model_keys(const std::string& customer);            ///< by provider

    // registry_records.cpp
    Result<void> put_registry_login(const std::string& customer, const RegistryLoginRecord& login);  ///< or replaces
    Result<bool> drop_registry_login(const std::string& customer, const std::string& host);  ///< whether there was one
    Result<std::vector<RegistryLoginRecord>> registry_logins(const std::string& customer);   ///< by host
    Result<void> add_key(const KeyRecord& key);
    Result<void> drop_key(const std::string& customer);
    Result<std::vector<KeyRecord>> keys();             ///< by customer
    Result<void> put_limit(const LimitRecord& limit);  ///< inserts or replaces
    Result<std::vector<LimitRecord>> limits();
    Result<void> put_tokens(const TokenRecord& tokens);  ///< in place of those of another day
    Result<std::vector<TokenRecord>> tokens();           ///< each customer's last day

    // creation_records.cpp
    Result<void> put_creation(const CreationRecord& creation);                        ///< inserts or replaces
    Result<bool> drop_creation(const std::string& customer, const std::string& key);  ///< whether there was one
    Result<std::optional<CreationRecord>> creation(const std::string& customer, const std::string& key);
    /// The oldest of those made before.
    Result<std::vector<CreationRecord>> creations_before(int64_t time, int64_t most);
    Result<std::vector<CreationRecord>> unfinished_creations();
    Result<std::map<std::string, int64_t>> creation_counts();  ///< by customer

    // usage_records.cpp
    /// Adds it to what is there of this box and period.
    Result<void> add_usage(const UsageRecord& usage);
    Result<std::vector<UsageRecord>> usage_of(const std::string& box);  ///< oldest first
    /// By name, then id. `customer`: nothing means all.
    Result<std::vector<UsageRecord>> usage_during(const std::string& period,
                                                  const std::optional<std::string>& customer);
    /// Of a box that is gone. Beyond so many boxes of one customer in one month, what this one used joins a row without
    /// a box, or who makes and deletes boxes all day would fill the disk.
    Result<void> fold_usage(const std::string& box);
    static constexpr int64_t kMostUsageRows = 1000;

    // Lists as text, for those who write rows. Layers and labels hold no line feed, and a NUL cannot be in a variable.
    static std::string join(const std::vector<std::string>& items);
    static std::string join_texts(const std::vector<std::string>& texts);  ///< that may hold line feeds, but no NUL
    static std::vector<std::string> split_texts(const std::string& text);
    static std::string join(const Pairs& pairs);
    static std::vector<std::string> split(const std::string& text, char separator = '\n');
    static Pairs split_pairs(const std::string& text);

  private:
    Records(Database database, Vault vault) : database_(std::move(database)), vault_(vault) {}
    /// Takes what was written in clear before there was a key out of the file's free pages, once.
    void scrub();
    /// Of a place such as "boxes.env", in the row of that key.
    [[nodiscard]] Result<std::string> seal(const std::string& clear, const char* place, const std::string& row) const {
        return vault_.seal(clear, std::string(place) + '/' + row);
    }
    [[nodiscard]] Result<std::string> unseal(const std::string& sealed, const char* place,
                                             const std::string& row) const {
        return vault_.unseal(sealed, std::string(place) + '/' + row);
    }
    [[nodiscard]] Result<std::vector<ScheduleRecord>> schedules_in(Query& query) const;
    Result<void> bind_said(Query& query, const ScheduleRecord& schedule) const;
    [[nodiscard]] Result<PromptRecord> prompt_of(Query& query) const;
    [[nodiscard]] Result<std::vector<PromptRecord>> prompts_in(Query& query) const;
    Database database_;
    Vault vault_;
};

}  // namespace hutch::daemon
