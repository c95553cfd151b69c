// Runs: what was executed in a box, what it said, and how to end it.

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>

#include "daemon/api/json_rows.h"
#include "daemon/api/resources.h"
#include "daemon/api/streaming.h"
#include "daemon/run/ending.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr int64_t kMaxOffset = 1LL << 50U;
constexpr size_t kMostListed = 16 << 10;               // bytes of what an agent answered, in a list
constexpr int64_t kMostPatience = 24LL * 3600 * 1000;  // milliseconds

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
              {"created_at", (run.started_ms - run.waited_ms) / 1000}};
    if (!run.schedule.empty()) json["schedule_id"] = run.schedule;
    const bool ended = run.status != RunStatus::kRunning && run.status != RunStatus::kWaiting;
    if (ended) json["completed_at"] = (run.started_ms + run.duration_ms) / 1000;
    if (run.status != RunStatus::kWaiting) return json;
    if (const auto before = services.agents.waits_for(run.id)) json["waits_for"] = *before;
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
Answer list_runs(Services& services, Exchange& exchange, const Params& params) {
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
    if (record.exit_code) json["exit_reason"] = exit_reason_of(record);
    if (record.signal != 0) json["signal"] = signal_name(record.signal);
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

struct WantedOutput {
    bool errors = false;
    bool follow = false;
    bool frames = false;  ///< both streams, to the end
    uint64_t offset = 0;
    uint64_t errors_offset = 0;  ///< with frames
};

Result<WantedOutput> decode_wanted(const Request& request, const RunRecord& run) {
    WantedOutput wanted;
    wanted.offset = static_cast<uint64_t>(TRY(query_number(request, "offset", 0, kMaxOffset)));
    wanted.errors_offset = static_cast<uint64_t>(TRY(query_number(request, "errors_offset", 0, kMaxOffset)));
    wanted.frames = TRY(query_number(request, "frames", 0, 1)) == 1;
    wanted.follow = wanted.frames || TRY(query_number(request, "follow", 0, 1)) == 1;
    const auto stream = request.query.find("stream");
    if (stream != request.query.end()) {
        if (stream->second != "output" && stream->second != "errors") {
            return invalid("stream: must be output or errors");
        }
        wanted.errors = stream->second == "errors";
    }
    if (wanted.errors && wanted.frames) return invalid("stream: frames are of both streams");
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

// One that has ended, from what is kept of it.
Task<Result<Outcome>> retell(Services& services, const RunRecord& run, const WantedOutput& wanted,
                             Streaming& streaming) {
    for (const bool errors : {false, true}) {
        if (errors && !run.separate_errors) continue;
        CO_TRY_LET(Journal journal, services.runs.journal(run, errors));
        Stream ended(services.boxes.executor(), UniqueFd(), std::move(journal));
        const Sink sink = streaming.sink(errors ? Frame::kErrors : Frame::kOutput);
        CO_TRY(co_await ended.copy(errors ? wanted.errors_offset : wanted.offset, sink));
    }
    co_return outcome_of(run);
}

Result<void> check_offsets(Services& services, const RunRecord& run, const std::shared_ptr<Run>& active,
                           const WantedOutput& wanted) {
    for (const bool errors : {false, true}) {
        if (errors && !run.separate_errors) continue;
        const uint64_t offset = errors ? wanted.errors_offset : wanted.offset;
        if (active) {
            const Stream& stream = errors ? *active->errors() : active->output();
            TRY(check_offset(offset, stream.journal()));
        } else {
            TRY(check_offset(offset, TRY(services.runs.journal(run, errors))));
        }
    }
    return {};
}

// What both streams say from there on, and how it ends: for who goes on where a connection was lost.
Answer tell_in_frames(Services& services, Exchange& exchange, const RunRecord& record, std::shared_ptr<Run> active,
                      const WantedOutput& wanted) {
    CO_TRY(check_offsets(services, record, active, wanted));
    Streaming streaming(exchange, Streaming::Form::kFrames);
    CO_TRY(co_await streaming.begin({}));
    std::optional<Result<Outcome>> outcome;
    if (active) {
        const Sink output = streaming.sink(Frame::kOutput);
        const Sink errors = streaming.sink(Frame::kErrors);
        auto followed = active->follow(output, errors, Reader::kClient, {wanted.offset, wanted.errors_offset});
        outcome = co_await unless(streaming.client_gone(), std::move(followed));
    } else {
        outcome = co_await retell(services, record, wanted, streaming);
    }
    if (!outcome || exchange.left()) co_return client_left();
    CO_TRY(co_await streaming.end(*outcome));
    co_return std::optional<Response>();
}

Answer output(Services& services, Exchange& exchange, const Params& params) {
    using namespace asio::experimental::awaitable_operators;
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const RunRecord record, services.runs.record(*box, params.at("run")));
    CO_TRY_LET(const WantedOutput wanted, decode_wanted(exchange.request(), record));
    CO_TRY(co_await exchange.read_body(kMaxJsonBody));
    // An init that stands still tells nothing; what is in the journal can be read all the same, but has no end yet.
    if (record.status == RunStatus::kRunning && (wanted.follow || !box->sleep())) {
        const auto told = co_await (services.runs.settled(box) || exchange.client_gone());
        if (told.index() == 1) co_return client_left();
    }
    if (const auto prompt = services.agents.find(record.id); prompt && wanted.follow) {  // it may wait for its turn
        const auto begun = co_await (prompt->begun.wait() || exchange.client_gone());
        if (begun.index() == 1) co_return client_left();
    }
    const auto active = services.runs.find(*box, record.id);
    if (wanted.frames) {
        CO_TRY_LET(const RunRecord now, services.runs.record(*box, record.id));  // it may have ended meanwhile
        co_return co_await tell_in_frames(services, exchange, now, active, wanted);
    }
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

// The run if it is still under way; null for one that has ended. The box is woken: a frozen init could not tell how the
// killed ended.
Task<Result<std::shared_ptr<Run>>> find_under_way(Services& services, std::shared_ptr<Box> box, std::string id) {
    CO_TRY_LET(const RunRecord found, services.runs.record(*box, id));
    if (found.status != RunStatus::kRunning) co_return std::shared_ptr<Run>();
    CO_TRY(co_await services.boxes.wake(box));
    co_await services.runs.settled(box);
    co_return services.runs.find(*box, found.id);
}

Answer cancel(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const RunRecord found, services.runs.record(*box, params.at("run")));
    CO_TRY_LET(const bool waited, services.agents.cancel(found.id));
    if (waited) co_return std::optional(Response{});
    if (const auto prompt = services.agents.find(found.id)) co_await prompt->begun.wait();
    CO_TRY_LET(const auto active, co_await find_under_way(services, box, params.at("run")));
    if (active) {
        active->cancel();
        (void)co_await active->outcome();
        // One that ended by itself in the same moment is on record as that; only what is there to stay is answered.
        if (active->record().status == RunStatus::kCancelled) co_return std::optional(Response{});
    }
    CO_TRY_LET(const RunRecord ended, services.runs.record(*box, params.at("run")));
    co_return Error{
        ErrorKind::kConflict, 0,
        "run: " + ended.id + " has ended (" + name_of(ended.status) + "); only a running one can be cancelled"};
}

Answer signal(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const Signalled signalled, decode_signal(fields));
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const auto active, co_await find_under_way(services, box, params.at("run")));
    if (active) {
        CO_TRY(active->signal(signalled.number, signalled.cancel_after));
        co_return std::optional(Response{});
    }
    const bool waits = services.agents.waits_for(params.at("run")).has_value();
    co_return Error{ErrorKind::kConflict, 0,
                    "run: " + params.at("run") + (waits ? " waits for its turn" : " has ended") +
                        "; only a running one can be signalled"};
}

}  // namespace

Result<Signalled> decode_signal(const Fields& fields) {
    const std::string name = TRY(fields.required_text("signal"));
    const auto number = signal_of(name);
    if (!number) {
        return invalid("signal: \"" + name +
                       "\" is not one of HUP, INT, QUIT, KILL, USR1, USR2, PIPE, TERM, CONT, STOP, TSTP, WINCH");
    }
    const int64_t patience = TRY(fields.number("cancel_after")).value_or(0);
    if (patience < 0 || patience > kMostPatience) {
        return invalid("cancel_after: must be from 0 (never) to 86400000 milliseconds (a day)");
    }
    return Signalled{*number, std::chrono::milliseconds(patience)};
}

const char* name_of(RunStatus status) {
    switch (status) {
        case RunStatus::kRunning:
        case RunStatus::kWaiting:
            return "running";
        case RunStatus::kCompleted:
            return "completed";
        case RunStatus::kFailed:
            return "failed";
        case RunStatus::kCancelled:
            return "cancelled";
        case RunStatus::kSkipped:
            return "skipped";
    }
    return "failed";
}

void add_run_routes(Router& router, Services& services) {
    router.add("GET", "/v2/box/{id}/runs", with(services, list_runs));
    router.add("GET", "/v2/box/{id}/runs/{run}", with(services, get));
    router.add("GET", "/v2/box/{id}/runs/{run}/output", with(services, output));
    router.add("POST", "/v2/box/{id}/runs/{run}/cancel", with(services, cancel));
    router.add("POST", "/v2/box/{id}/runs/{run}/signal", with(services, signal));
}

}  // namespace hutch::daemon
