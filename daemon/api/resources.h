#pragma once

#include "daemon/agent/agents.h"
#include "daemon/agent/models.h"
#include "daemon/agent/spend.h"
#include "daemon/api/calls.h"
#include "daemon/api/codec.h"
#include "daemon/api/key_ring.h"
#include "daemon/api/once.h"
#include "daemon/api/router.h"
#include "daemon/attached/attached.h"
#include "daemon/box/manager.h"
#include "daemon/box/reach.h"
#include "daemon/event_log.h"
#include "daemon/fetch.h"
#include "daemon/fleet/fleet.h"
#include "daemon/git/git.h"
#include "daemon/images/images.h"
#include "daemon/images/pulls.h"
#include "daemon/lag_meter.h"
#include "daemon/memory_budget.h"
#include "daemon/preview/dial.h"
#include "daemon/preview/previews.h"
#include "daemon/refusals.h"
#include "daemon/run/runs.h"
#include "daemon/schedule/schedules.h"
#include "daemon/snapshots/snapshots.h"

namespace hutch::daemon {

/// What the calls act on. Outlives every exchange.
struct Services {
    Manager& boxes;
    Runs& runs;
    Images& images;
    Snapshots& snapshots;
    Agents& agents;
    Schedules& schedules;
    Models& models;
    Meter& meter;
    EventLog& events;
    CustomerLimits& limits;
    Fetcher& fetcher;
    Once& once;
    PipedWorkers& unpackers;  ///< of uploads
    const Config& config;
    const LagMeter& lag;
    const MemoryBudget& memory;  ///< of requests
    Timings& timings;
    Previews& previews;
    Attached& attached;
    Refusals& refusals;
    Reacher& reacher;
    Dialer& dialer;
    Registries& registries;
    Pulls& pulls;
    Fleet* fleet = nullptr;  ///< of a host that is a member of one
};

/// The handler of a route from a function that answers it.
inline Handler with(Services& services,
                    Task<Result<std::optional<Response>>> (*answer)(Services&, Exchange&, const Params&)) {
    return [&services, answer](Exchange& exchange, const Params& params) { return answer(services, exchange, params); };
}

// One file per resource of the API.
void add_key_routes(Router& router, KeyRing& keys, CustomerLimits& limits);
void add_box_routes(Router& router, Services& services);
void add_env_routes(Router& router, Services& services);
void add_attached_routes(Router& router, Services& services);
void add_label_routes(Router& router, Services& services);
void add_network_routes(Router& router, Services& services);
void add_refusal_routes(Router& router, Services& services);
void add_preview_routes(Router& router, Services& services);
void add_port_session_routes(Router& router, Services& services);
void add_sleep_routes(Router& router, Services& services);
void add_exec_routes(Router& router, Services& services);
void add_log_routes(Router& router, Services& services);
void add_run_routes(Router& router, Services& services);
void add_terminal_routes(Router& router, Services& services);
void add_exec_session_routes(Router& router, Services& services);
void add_file_routes(Router& router, Services& services);
void add_entry_routes(Router& router, Services& services);
void add_git_routes(Router& router, Services& services);
void add_forge_routes(Router& router, Services& services);
void add_image_routes(Router& router, Services& services);
void add_registry_routes(Router& router, Services& services);
void add_event_routes(Router& router, Services& services);
void add_hosts_routes(Router& router, Services& services);
void add_host_routes(Router& router, Services& services);
void add_metrics_routes(Router& router, Services& services);
void add_usage_routes(Router& router, Services& services);
void add_snapshot_routes(Router& router, Services& services);
void add_agent_routes(Router& router, Services& services);
void add_skill_routes(Router& router, Services& services);
void add_prompt_routes(Router& router, Services& services);
void add_schedule_routes(Router& router, Services& services);
void add_model_key_routes(Router& router, Services& services);
void add_space_routes(Router& router, Services& services);
/// Last: where two routes are equally good, the first is taken.
void add_unbuilt_routes(Router& router);

/// Where calls of models are counted, and what may be.
struct Spending {
    CustomerLimits& limits;
    Spend& spend;
};
/// Of another door than the API's: Server::listen_apart.
Handler model_gateway(const Models& models, Spending spending, Fetcher& fetcher);

constexpr size_t kMaxJsonBody = 1024 * 1024;

// customers.cpp: who may see what. Others' boxes and snapshots do not exist: kNotFound.
bool may_see(const Exchange& exchange, const std::string& customer);
/// Whether a list holds what is this customer's: an operator's own too, unless asked for ?all=1.
bool is_listed(const Exchange& exchange, const std::string& customer);
/// The box a path or a body names by id or, the caller's own, by name.
Result<std::shared_ptr<Box>> find_box(const Services& services, const Exchange& exchange, const std::string& id);
Result<std::shared_ptr<Box>> find_box(const Services& services, const Exchange& exchange, const Params& params);
/// The snapshot of that id or, the caller's own, of that name: one of box `box` (an id) rather than others. kConflict
/// if several are called so.
Result<SnapshotRecord> find_snapshot(const Services& services, const Exchange& exchange, const std::string& id,
                                     const std::string& box = "");
std::vector<std::shared_ptr<Box>> listed_boxes(const Services& services, const Exchange& exchange);
/// kForbidden for customers other than the host's own: what is the host's, and images, which all share.
Result<void> check_local(const Exchange& exchange);
/// kForbidden for who asks by an API key.
Result<void> check_operator(const Exchange& exchange);
/// Before any handler, for each route: an {id} that is another's box. Whatever a handler forgets, it is not told of it.
Result<void> check_route(const Services& services, Exchange& exchange, const Params& params);

/// In each round of a loop over many: from time to time the others have their turns.
Task<> give_way(const Services& services, size_t round);

/// The box a path names, woken for work. It does not fall asleep by itself while what is answered is held.
Task<Result<std::shared_ptr<Box>>> awake_box(Services& services, const Exchange& exchange, const Params& params);
Task<Result<Fields>> read_fields(Exchange& exchange, size_t limit = kMaxJsonBody);
Task<Result<Fields>> parse_fields(Exchange& exchange, std::string body);
/// ?details=1: what an operator or a bench wants to know besides.
bool wants_details(const Exchange& exchange);
/// The words of a command; kInvalid, naming `field`, where there is no program among them.
Result<std::vector<std::string>> decode_argv(const Fields& fields, const char* field);
/// `command`, `folder`, `user`, `env` and `timeout`, with the environment and the defaults of the box's image.
Result<Command> decode_command(const Services& services, const Box& box, const Fields& fields);
/// kInvalid, naming `command` or `timeout`, for one that cannot be.
Result<void> check_argv(const std::vector<std::string>& argv, const std::string& field = "command");
Result<void> check_timeout(int64_t milliseconds);
/// kInvalid, naming the field, for an address that cannot be called, or a header that is none.
/// A prompt as a schedule asks it.
Result<Asked> asked_by(const Services& services, const Box& box, const ScheduleRecord& schedule);
Result<void> check_webhook(const Webhook& webhook, const std::string& url_field, const std::string& headers_field);
/// Where a command runs whose call names no folder.
std::string usual_folder(const Services& services, const Box& box);
/// Of `folder`, the absolute path in the box.
Result<std::string> checked_folder(const std::string& folder, const Habits& habits = {});
/// Of file calls: Files::of() with what goes without saying in boxes of its image.
Result<Files> files_of(const Services& services, Box& box, const char* field = "path");
/// All of that but `command`.
Result<void> decode_surroundings(const Services& services, const Box& box, const Fields& fields, Command& command);

/// An answer of server-sent events: until all is told, the client has gone, or the daemon is about to end.
Task<Result<std::optional<Response>>> tell_events(Services& services, Exchange& exchange, Task<Result<void>> telling);

/// A command, and what it is given to read.
struct Work {
    Command command;
    UniqueFd input;
};
/// `code` and `language`: a program of the box's image that reads the code.
Result<Work> decode_code(const Services& services, const Box& box, const Fields& fields);

/// The image that `runtime` names, as the caller sees it: one that is here, by its name or the reference that it came
/// by, or else one of a registry, which is pulled. Whether it may be is looked at first. An error names the field.
Task<Result<ImageRecord>> decode_runtime(Services& services, Exchange& exchange, const Fields& fields);
/// `registry_login`: none where it is not said.
Result<std::optional<RegistryLogin>> decode_registry_login(const Fields& fields);
Json image_json(const Images& images, const ImageRecord& image);

/// What a create call says, on this image; `size` is that of a box that names none.
Result<CreateBox> decode_create(const Exchange& exchange, const Fields& fields, ImageRecord image,
                                const std::string& size);
/// Each of them once, in order; kInvalid, naming `field`, for one that is none, and for too many.
Result<std::vector<std::string>> checked_labels(const std::string& field, std::vector<std::string> labels);
/// Those of ?label=A,B, and whether a box has all of them.
std::vector<std::string> wanted_labels(const Exchange& exchange);
bool has_labels(const Box& box, const std::vector<std::string>& wanted);
/// kInvalid, naming `field`, for a variable that may not be set, and for too much.
Result<Pairs> checked_env(const std::string& field, Pairs env);
/// One that would change which program runs, or what is loaded into it.
bool is_reserved_variable(const std::string& name);
/// What every command in the box finds: its image's variables, its customer's, then its own, the later one winning.
Result<Pairs> environment_of(const Services& services, const Box& box);
/// The same, by who has looked the image up: `given` are its variables.
Result<Pairs> environment_of(const Services& services, const Box& box, const Pairs& given);
/// Git in the `folder` of a call, with its token, or else the box's, for the one server that is for.
Result<Git> git_of(Services& services, Exchange& exchange, const std::shared_ptr<Box>& box, const Fields& fields);
/// `github_token`; empty when there is none.
Result<std::string> decode_git_token(const Fields& fields);
/// `git_user_name` and `git_user_email`, each empty when it is not said.
Result<Identity> decode_identity(const Fields& fields);
/// Tells the boxes, which were just made, who commits in them; all of them are removed if one cannot be told.
Task<Result<void>> introduce(Services& services, std::vector<std::shared_ptr<Box>> boxes, Identity identity);
/// What a create call says of its boxes' agent.
struct AgentChoice {
    std::optional<AgentRecord> agent;        ///< harness, model, runner and key
    std::optional<std::string> mcp_servers;  ///< as AgentRecord has them
    std::vector<std::string> skills{};       ///< besides those it has
};
/// agent, model, custom_runner, agent_api_key, mcp_servers and skills.
Result<AgentChoice> decode_agent(const Fields& fields);
Result<std::optional<std::string>> decode_mcp_servers(const Fields& fields);
Result<std::vector<std::string>> decode_skills(const Fields& fields);
/// Puts them into the box.
Task<Result<void>> learn(Services& services, std::shared_ptr<Box> box, std::vector<std::string> skills);
/// Gives these boxes, which were just made, that agent; what the call did not say is as with `like`, a box or a
/// snapshot. All of them are removed if one cannot be told.
Task<Result<void>> equip(Services& services, std::vector<std::shared_ptr<Box>> boxes, AgentChoice choice,
                         std::string like = "");
/// What a create call says of headers for its boxes' requests, and what waits until they are attached.
struct AttachedChoice {
    HeaderRules headers{};
    bool any = false;  ///< of these boxes, or of their customer
    std::string init_command{};
};
/// `attach_headers`. Takes the init command out of the command where it has to wait.
Result<AttachedChoice> decode_attached(const Services& services, const Fields& fields, CreateBox& command);
/// Attaches them to these boxes, which were just made; all of them are removed if that fails for one.
Task<Result<void>> attach(Services& services, std::vector<std::shared_ptr<Box>> boxes, AttachedChoice choice);

/// What boxes get after they are made and before the call that made them is answered.
struct Furnishing {
    AttachedChoice attached;
    AgentChoice agent;
    Identity identity;
    std::string like{};  ///< a box or a snapshot, for equip()
    /// There is some: who is killed in the middle must not leave a box with a part of it.
    [[nodiscard]] bool any() const;
};
Result<Furnishing> decode_furnishing(const Services& services, const Fields& fields, CreateBox& command);
/// All of them are removed if that fails for one.
Task<Result<void>> furnish(Services& services, std::vector<std::shared_ptr<Box>> boxes, Furnishing furnishing);
/// Patterns and names, with their values masked.
Json attached_json(const HeaderRules& rules);
/// Runs it, if there is one, as if somebody had asked for it by exec.
void start_init_command(Services& services, const std::shared_ptr<Box>& box);
Result<NetworkPolicy> decode_network(const Fields& fields);
Json network_json(const NetworkPolicy& policy);
/// The object of the contract.
Json box_json(const Services& services, const Box& box);
/// keep_alive, init_command, idle_timeout, ephemeral and ttl.
Result<void> decode_lifetime(const Fields& fields, CreateBox& command);
/// Why a box is awake and until when; since when it is paused, and what memory that has given back.
Json sleep_json(const Services& services, const Box& box);

const char* name_of(RunStatus status);
Json outcome_json(const Outcome& outcome);
/// A signal for a command, and after how long it is cancelled if it goes on: Run::signal.
struct Signalled {
    int number = 0;
    std::chrono::milliseconds cancel_after{};
};
/// `signal` and `cancel_after`.
Result<Signalled> decode_signal(const Fields& fields);
/// What a query says; empty for nothing.
std::string query_text(const Exchange& exchange, const char* name);
/// true or false (also 1 or 0), false when it is not said; kInvalid, naming it, for anything else.
Result<bool> query_flag(const Exchange& exchange, const char* name);
/// A query's whole number, at most `most`; kInvalid, naming it, for anything else.
Result<int64_t> query_number(const Request& request, const char* name, int64_t otherwise, int64_t most);
double cost_usd(const Config& config, int64_t cpu_ns);

}  // namespace hutch::daemon
