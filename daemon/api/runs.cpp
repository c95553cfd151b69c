// Runs: what was executed in a box, what it said, and how to end it.

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>

#include "daemon/api/json_rows.h"
#include "daemon/api/resources.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr int64_t kMaxOffset = 1LL << 50U;
constexpr size_t kMostListed = 16 << 10;  // bytes of what an agent answered, in a list

// An ended one has exactly these keys: clients compare.
Json run_json(const Services& services, const Box& box, const RunRecord& run) {
    Json json{{"id", run.id},
              {"box_id", run.box},
              {"customer_id", box.record.customer},
              {"type", "shell"},
              {"status", name_of(run.status)},
              {"prompt", run.prompt},
              {"input_tokens", 0},
              {"output_tokens", 0},
              {"cpu_ns", run.cpu_ns},
              {"cost_usd", cost_usd(services.config, run.cpu_ns)},
              {"compute_cost_usd", cost_usd(services.config, run.cpu_ns)},
              {"duration_ms", run.duration_ms},
              {"created_at", run.started_ms / 1000}};
    if (run.status != RunStatus::kRunning) json["completed_at"] = (run.started_ms + run.duration_ms) / 1000;
    return json;
}

// What an agent's run has besides. It has ended when its agent has, and been written down; and failed when that says
// so.
void add_prompt(const Config& config, Json& json, const RunRecord& run, const PromptRecord& prompt) {
    const double tokens = static_cast<double>(prompt.cost_nano_usd) / 1e9;
    json["type"] = "agent";
    json["model"] = prompt.model;
    json["input_tokens"] = prompt.input_tokens;
    json["output_tokens"] = prompt.output_tokens;
    json["cached_input_tokens"] = prompt.cached_input_tokens;
    json["cost_usd"] = tokens + cost_usd(config, run.cpu_ns);
    if (!prompt.session.empty()) json["session_id"] = prompt.session;
    if (!prompt.ended) {
        json["status"] = name_of(RunStatus::kRunning);
        json.erase("completed_at");
        return;
    }
    json["output"] = prompt.output;
    if (prompt.error.empty()) return;
    json["error_message"] = prompt.error;
    if (run.status == RunStatus::kCompleted) json["status"] = name_of(RunStatus::kFailed);
}

Json kept_json(const Journal& journal) {
    return {{"begin", journal.begin()}, {"end", journal.end()}};
}

// What agents answered may be megabytes each: in the list, only its beginning is told. Others have their turns between.
Answer list(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const auto records, services.runs.list(*box));
    JsonRows rows("runs", exchange.memory());
    for (size_t i = 0; i < records.size(); ++i) {
        CO_TRY_LET(auto prompt, services.agents.record(records[i].id));
        Json json = run_json(services, *box, records[i]);
        if (prompt) {
            const bool is_long = prompt->output.size() > kMostListed;
            prompt->output.resize(std::min(prompt->output.size(), kMostListed));
            add_prompt(services.config, json, records[i], *prompt);
            if (is_long) co_await asio::post(services.boxes.executor(), asio::use_awaitable);
        }
        CO_TRY(rows.add(std::move(json)));
        co_await give_way(services, i);
    }
    co_return std::optional(Response{200, rows.finish(), "application/json"});
}

Answer get(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const RunRecord record, services.runs.record(*box, params.at("run")));
    Json json = run_json(services, *box, record);
    json["exit_code"] = record.exit_code ? Json(*record.exit_code) : Json();
    if (!record.error.empty()) json["error_message"] = record.error;
    CO_TRY_LET(const auto prompt, services.agents.record(record.id));
    if (prompt) add_prompt(services.config, json, record, *prompt);
    const auto active = services.runs.find(*box, record.id);
    if (active) {
        json["output_kept"] = kept_json(active->output().journal());
        if (active->errors() != nullptr) json["errors_kept"] = kept_json(active->errors()->journal());
    } else {
        CO_TRY_LET(const Journal output, services.runs.journal(record, false));
        json["output_kept"] = kept_json(output);
        if (record.separate_errors) {
            CO_TRY_LET(const Journal errors, services.runs.journal(record, true));
            json["errors_kept"] = kept_json(errors);
        }
    }
    co_return std::optional(answer(json));
}

struct Wanted {
    bool errors = false;
    bool follow = false;
    uint64_t offset = 0;
};

Result<Wanted> decode_wanted(const Request& request, const RunRecord& run) {
    Wanted wanted;
    wanted.offset = static_cast<uint64_t>(TRY(query_number(request, "offset", 0, kMaxOffset)));
    wanted.follow = TRY(query_number(request, "follow", 0, 1)) == 1;
    const auto stream = request.query.find("stream");
    if (stream != request.query.end()) {
        if (stream->second != "output" && stream->second != "errors") {
            return invalid("stream: must be output or errors");
        }
        wanted.errors = stream->second == "errors";
    }
    if (wanted.errors && !run.separate_errors) {
        return invalid("stream: this run wrote its errors into its output, in the order they came; read that");
    }
    return wanted;
}

Result<void> check_offset(uint64_t offset, const Journal& kept) {
    if (offset > kept.end()) {
        return invalid("offset: the run has said only " + std::to_string(kept.end()) + " bytes");
    }
    if (offset < kept.begin()) {
        return invalid("offset: what is before " + std::to_string(kept.begin()) +
                       " is no longer kept; read from there");
    }
    return {};
}

Answer output(Services& services, Exchange& exchange, const Params& params) {
    using namespace asio::experimental::awaitable_operators;
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const RunRecord record, services.runs.record(*box, params.at("run")));
    CO_TRY_LET(const Wanted wanted, decode_wanted(exchange.request(), record));
    CO_TRY(co_await exchange.read_body(kMaxJsonBody));
    // An init that stands still tells nothing; what is in the journal can be read all the same, but has no end yet.
    if (record.status == RunStatus::kRunning && (wanted.follow || !box->sleep())) {
        const auto told = co_await (services.runs.settled(box) || exchange.client_gone());
        if (told.index() == 1) co_return client_left();
    }
    const auto active = services.runs.find(*box, record.id);
    std::optional<Stream> ended;
    if (!active) {
        CO_TRY_LET(Journal journal, services.runs.journal(record, wanted.errors));
        ended.emplace(services.boxes.executor(), UniqueFd(), std::move(journal));
    }
    const bool errors = active && wanted.errors && active->errors() != nullptr;
    Stream& stream = active ? (errors ? *active->errors() : active->output()) : *ended;
    CO_TRY(check_offset(wanted.offset, stream.journal()));
    CO_TRY(co_await exchange.begin(200, "application/octet-stream"));
    const Sink forward = [&exchange](std::string_view piece) { return exchange.write(piece); };
    if (wanted.follow) {
        const auto told =
            co_await unless(exchange.client_gone(), stream.follow(wanted.offset, forward, Reader::kClient));
        if (!told) co_return client_left();
        CO_TRY(*told);
        // A command may close its output before it ends; who read to the end is to find how it ended.
        if (active) co_await (active->outcome() || exchange.client_gone());
    } else {
        CO_TRY(co_await stream.copy(wanted.offset, forward));
    }
    CO_TRY(co_await exchange.end());
    co_return std::optional<Response>();
}

// The box is woken: a frozen init could not tell how the killed ended.
Answer cancel(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const RunRecord found, services.runs.record(*box, params.at("run")));
    if (found.status == RunStatus::kRunning) {
        CO_TRY(co_await services.boxes.wake(box));
        co_await services.runs.settled(box);
        if (const auto active = services.runs.find(*box, found.id)) {
            active->cancel();
            (void)co_await active->outcome();
            // One that ended by itself in the same moment is on record as that; only what is there to stay is answered.
            if (active->record().status == RunStatus::kCancelled) co_return std::optional(Response{});
        }
    }
    CO_TRY_LET(const RunRecord ended, services.runs.record(*box, params.at("run")));
    co_return Error{
        ErrorKind::kConflict, 0,
        "run: " + ended.id + " has ended (" + name_of(ended.status) + "); only a running one can be cancelled"};
}

}  // namespace

const char* name_of(RunStatus status) {
    switch (status) {
        case RunStatus::kRunning:
            return "running";
        case RunStatus::kCompleted:
            return "completed";
        case RunStatus::kFailed:
            return "failed";
        case RunStatus::kCancelled:
            return "cancelled";
    }
    return "failed";
}

void add_run_routes(Router& router, Services& services) {
    router.add("GET", "/v2/box/{id}/runs", with(services, list));
    router.add("GET", "/v2/box/{id}/runs/{run}", with(services, get));
    router.add("GET", "/v2/box/{id}/runs/{run}/output", with(services, output));
    router.add("POST", "/v2/box/{id}/runs/{run}/cancel", with(services, cancel));
}

}  // namespace hutch::daemon
