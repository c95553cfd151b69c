// Making, finding and deleting boxes.

#include <algorithm>
#include <boost/asio/post.hpp>

#include "daemon/api/resources.h"
#include "overlayfs/upper.h"

namespace hutch::daemon {
namespace {

const char* name_of(overlayfs::Quota quota) {
    switch (quota) {
        case overlayfs::Quota::kProject:
            return "project";
        case overlayfs::Quota::kQgroup:
            return "qgroup";
        case overlayfs::Quota::kNone:
            break;
    }
    return "none";
}

// "quota" is what holds the box to its limit.
Json disk_json(const Services& services, const Box& box) {
    const Size* size = find_size(box.record.size);
    const overlayfs::Quota quota = overlayfs::quota_of_uppers(services.boxes.mechanisms().store.root());
    Json json{{"quota", name_of(quota)}, {"bytes", box.record.disk_bytes}};
    if (quota == overlayfs::Quota::kNone || size == nullptr) return json;
    json["bytes"] = box.upper_bytes;  // what counts against the limit: not what a snapshot has taken
    json["limit_bytes"] = size->disk_bytes;
    if (quota == overlayfs::Quota::kProject) json["limit_inodes"] = size->disk_inodes;
    return json;
}

// What an operator or a bench wants to know besides: which process, which address, whether it will sleep,
// what its last start took.
Json details_json(const Services& services, const Box& box) {
    const BuildTimes& times = box.times;
    return {{"init_pid", box.record.init_pid},
            {"address", netns::to_string(netns::Ipv4{box.record.address})},
            {"uid_base", box.uid_base()},
            {"sleep", sleep_json(services, box)},
            {"disk", disk_json(services, box)},
            {"start_ns",
             {{"record", times.record},
              {"upper", times.upper},
              {"user_namespace", times.user_namespace},
              {"slot", times.slot},
              {"mount", times.mount},
              {"group", times.group},
              {"spawn", times.spawn},
              {"ready", times.ready}}}};
}

// What it uses now, and may use at most; its files as last added up.
Json stats_json(const Box& box) {
    const Size* size = find_size(box.record.size);
    return {{"memory_bytes", box.memory_bytes()},
            {"memory_limit_bytes", size == nullptr ? 0 : size->memory_bytes},
            {"disk_bytes", box.record.disk_bytes}};
}

Json delete_details_json(const DeleteTimes& times) {
    return {{"delete_ns", {{"record", times.record}, {"kill", times.kill}, {"files", times.files}}}};
}

Response answer_box(const Services& services, const Exchange& exchange, const Box& box, int status) {
    Json json = box_json(services, box);
    if (wants_details(exchange)) json["details"] = details_json(services, box);
    return answer(json, status);
}

// Silently dropping what a caller asked for would be a lie.
Result<void> refuse_unsupported(const Fields& fields) {
    if (!TRY(fields.flag("browser")).value_or(false)) return {};
    return Error{ErrorKind::kUnsupported, 0, "browser: not supported by this version of hutchd; leave it out"};
}

Task<Result<std::optional<Response>>> remove_boxes(Services& services, Exchange& exchange) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    if (!fields.has("ids")) co_return invalid("ids: is required, an array of box ids or names");
    std::vector<std::shared_ptr<Box>> boxes;
    CO_TRY_LET(const std::vector<std::string> ids, fields.texts("ids"));
    for (const std::string& id : ids) {
        CO_TRY_LET(auto box, find_box(services, exchange, id));
        exchange.concern(box->record.id);
        boxes.push_back(std::move(box));
    }
    for (const auto& box : boxes) {
        CO_TRY(co_await services.boxes.remove(box));
    }
    co_return std::optional(Response{});
}

}  // namespace

Json box_json(const Services& services, const Box& box) {
    const BoxRecord& record = box.record;
    const int64_t cpu_ns = box.cpu_ns();
    const auto known = services.agents.of(record.id);
    const AgentRecord agent = known.ok() ? known.value() : AgentRecord();
    Json json{
        {"id", record.id},
        {"customer_id", record.customer},
        {"name", record.name},
        {"labels", record.labels},
        {"size", record.size},
        {"keep_alive", record.keep_alive},
        {"model", agent.model},
        {"agent", agent.harness},
        {"enabled_skills", agent.skills},
        {"runtime", record.image},
        {"status", name_of(box.status())},
        {"nesting", record.nesting},
        {"network_policy", network_json(record.network)},
        {"clone_repo", record.clone_repo},
        {"total_input_tokens", agent.input_tokens},
        {"total_output_tokens", agent.output_tokens},
        {"total_prompts", agent.prompts},
        {"session_id", agent.session},
        {"agent_id", ""},
        {"total_cpu_ns", cpu_ns},
        {"total_compute_cost_usd", cost_usd(services.config, cpu_ns)},
        {"total_token_cost_usd", static_cast<double>(agent.cost_nano_usd) / 1e9},
        {"use_managed_key", !agent.harness.empty() && agent.api_key.empty()},
        {"last_activity_at", record.last_activity_at},
        {"created_at", record.created_at},
        {"updated_at", record.updated_at},
    };
    if (record.expires_at != 0) {
        json["ephemeral"] = true;
        json["expires_at"] = record.expires_at;
    }
    if (services.fleet != nullptr) json["host"] = services.fleet->self();
    if (box.failure) json["error"] = box.failure->message;
    return json;
}

// In an address of the API these words stand in a box's place for something else.
static Result<void> check_box_name(const std::string& name) {
    TRY(check_name("name", name));
    for (const char* word : {"snapshots", "settings", "from-snapshot"}) {
        if (name == word) return invalid("name: \"" + name + "\" is a word of the API; choose another");
    }
    return {};
}

Result<CreateBox> decode_create(const Exchange& exchange, const Fields& fields, ImageRecord image,
                                const std::string& size) {
    CreateBox command;
    command.customer = exchange.request().caller.customer;
    command.name = TRY(fields.text("name")).value_or("");
    if (!command.name.empty()) TRY(check_box_name(command.name));
    command.size = TRY(fields.text("size")).value_or(size);
    if (find_size(command.size) == nullptr) return invalid("size: must be one of small, medium, large");
    command.labels = TRY(checked_labels("labels", TRY(fields.texts("labels"))));
    command.env = TRY(checked_env("env_vars", TRY(fields.pairs("env_vars"))));
    if (const auto network = TRY(fields.object("network_policy"))) {
        command.network = TRY_IN("network_policy", decode_network(*network));
    }
    command.nesting = TRY(fields.flag("nesting")).value_or(false);
    TRY(decode_lifetime(fields, command));
    command.git_token = TRY(decode_git_token(fields));
    TRY(refuse_unsupported(fields));
    command.image = std::move(image);
    return command;
}

bool wants_details(const Exchange& exchange) {
    return exchange.request().query.contains("details");
}

double cost_usd(const Config& config, int64_t cpu_ns) {
    return static_cast<double>(cpu_ns) / 3.6e12 * config.cpu_hour_usd;  // 3.6e12 ns are one CPU-hour
}

std::string query_text(const Exchange& exchange, const char* name) {
    const auto found = exchange.request().query.find(name);
    return found == exchange.request().query.end() ? std::string() : found->second;
}

Result<bool> query_flag(const Exchange& exchange, const char* name) {
    const std::string text = query_text(exchange, name);
    if (text.empty() || text == "false" || text == "0") return false;
    if (text == "true" || text == "1") return true;
    return invalid(std::string(name) + ": must be true or false");
}

Result<int64_t> query_number(const Request& request, const char* name, int64_t otherwise, int64_t most) {
    const auto found = request.query.find(name);
    if (found == request.query.end()) return otherwise;
    const std::string& text = found->second;
    if (text.empty() || text.size() > 15 ||
        !std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
        return invalid(std::string(name) + ": must be a whole number");
    }
    return std::min(static_cast<int64_t>(std::stoll(text)), most);
}

Task<Result<Fields>> read_fields(Exchange& exchange, size_t limit) {
    CO_TRY_LET(std::string body, co_await exchange.read_body(limit));
    co_return co_await parse_fields(exchange, std::move(body));
}

// Beside the text what it says, and a string once more while it grows.
Task<Result<Fields>> parse_fields(Exchange& exchange, std::string body) {
    const size_t size = body.size();
    CO_TRY(exchange.memory().grow(2 * size));
    const auto parse = [&body] { return Fields::parse(std::exchange(body, {})); };
    auto fields = co_await exchange.decode(size, parse);
    exchange.memory().shrink(2 * size);  // what stays is no longer than the text, which goes
    co_return fields;
}

Task<> give_way(const Services& services, size_t round) {
    constexpr size_t kRounds = 16;
    if (round % kRounds == kRounds - 1) co_await asio::post(services.boxes.executor(), asio::use_awaitable);
}

// Of one that is awake there is nothing to measure.
static Task<Result<void>> wake_timed(Services& services, std::shared_ptr<Box> box) {
    const bool asleep = box->status() == Status::kPaused;
    const auto begin = std::chrono::steady_clock::now();
    auto woken = co_await services.boxes.wake(box);
    const CallEnd end = woken.ok() ? CallEnd::kOk : end_of_call(http_status(woken.error()));
    if (asleep) services.timings.add(Timings::What::kWake, end, std::chrono::steady_clock::now() - begin);
    co_return woken;
}

Task<Result<std::shared_ptr<Box>>> awake_box(Services& services, const Exchange& exchange, const Params& params) {
    CO_TRY_LET(auto box, find_box(services, exchange, params));
    const auto use = std::make_shared<Box::Use>(box);
    CO_TRY(co_await wake_timed(services, box));
    co_return std::shared_ptr<Box>(use, box.get());  // owns the use, which owns the box
}

void add_box_routes(Router& router, Services& services) {
    using Answer = Task<Result<std::optional<Response>>>;
    router.add("POST", "/v2/box", [&services](Exchange& exchange, const Params&) -> Answer {
        CO_TRY_LET(std::string body, co_await exchange.read_body(kMaxJsonBody));
        CO_TRY_LET(Once::Attempt attempt, co_await services.once.attempt(exchange, body));
        if (!attempt.made.empty()) co_return std::optional(answer_box(services, exchange, *attempt.made[0], 201));
        CO_TRY_LET(const Fields fields, co_await parse_fields(exchange, std::move(body)));
        CO_TRY_LET(ImageRecord image, co_await decode_runtime(services, exchange, fields));
        CO_TRY_LET(CreateBox command, decode_create(exchange, fields, std::move(image), "small"));
        CO_TRY_LET(Furnishing furnishing, decode_furnishing(services, fields, command));
        attempt.follow({&command, 1}, furnishing.any());
        CO_TRY_LET(const auto box, co_await services.boxes.create(std::move(command)));
        CO_TRY(co_await furnish(services, std::vector(1, box), std::move(furnishing)));
        CO_TRY(co_await attempt.keep(std::vector(1, box)));
        exchange.concern(box->record.id);
        co_return std::optional(answer_box(services, exchange, *box, 201));
    });
    router.add("GET", "/v2/box", [&services](Exchange& exchange, const Params&) -> Answer {
        const auto labels = wanted_labels(exchange);
        const bool stats = exchange.request().query.contains("stats");
        Json list = Json::array();
        const auto boxes = listed_boxes(services, exchange);
        for (size_t i = 0; i < boxes.size(); ++i) {
            const Box& box = *boxes[i];
            if (has_labels(box, labels)) {
                list.push_back(box_json(services, box));
                if (stats) list.back()["stats"] = stats_json(box);
            }
            co_await give_way(services, i);
        }
        co_return std::optional(answer(std::move(list)));
    });
    router.add("DELETE", "/v2/box", [&services](Exchange& exchange, const Params&) -> Answer {
        co_return co_await remove_boxes(services, exchange);
    });
    router.add("GET", "/v2/box/{id}", [&services](Exchange& exchange, const Params& params) -> Answer {
        CO_TRY_LET(const auto box, find_box(services, exchange, params));
        if (wants_details(exchange)) co_await services.boxes.count_disk(box);
        co_return std::optional(answer_box(services, exchange, *box, 200));
    });
    router.add("GET", "/v2/box/{id}/status", [&services](Exchange& exchange, const Params& params) -> Answer {
        CO_TRY_LET(const auto box, find_box(services, exchange, params));
        co_return std::optional(answer(Json{{"status", name_of(box->status())}}));
    });
    router.add("DELETE", "/v2/box/{id}", [&services](Exchange& exchange, const Params& params) -> Answer {
        CO_TRY_LET(const auto box, find_box(services, exchange, params));
        CO_TRY_LET(const auto times, co_await services.boxes.remove(box));
        Json json = Json::object();
        if (times && wants_details(exchange)) json["details"] = delete_details_json(*times);
        co_return std::optional(answer(json));
    });
}

}  // namespace hutch::daemon
