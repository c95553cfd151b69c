// Commands: collected or streamed.

#include "daemon/api/quiet.h"
#include "daemon/api/resources.h"
#include "daemon/api/streaming.h"
#include "daemon/files/files.h"
#include "daemon/log.h"
#include "daemon/run/collector.h"
#include "daemon/run/ending.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

constexpr int64_t kMaxTimeoutMs = 7LL * 24 * 3600 * 1000;

Json details_json(const RunTimes& times) {
    return {{"run_ns",
             {{"leaf", times.leaf},
              {"record", times.record},
              {"started", times.started},
              {"exited", times.exited},
              {"finish", times.finish}}}};
}

Response answer_detached(const Run& run) {
    return answer(Json{{"run_id", run.record().id}, {"status", "running"}}, 202);
}

// What it has said cannot be held for this answer.
Error goes_on(const Run& run, Error error) {
    error.code = 0;  // or a client would be told to ask again, and have the command twice
    error.message += "; the command goes on as run " + run.record().id + ", whose output can be read";
    return error;
}

// Its client has left, and what it held goes with it: the run stays, and can be read on.
Error goes_on(const Run& run) {
    const RunRecord record = run.record();
    log_info("box {}: run {} goes on without its client", record.box, record.id);
    return client_left();
}

// Of a command as of a piece of code: what one says of itself and the other does is `decode`'s to find out.
using Decode = Result<Work> (*)(const Services&, const Box&, const Fields&);

Result<Work> decode_bare(const Services& services, const Box& box, const Fields& fields) {
    return Work{TRY(decode_command(services, box, fields)), UniqueFd()};
}

/// What a call asks to be run, and where.
struct AskedCommand {
    std::shared_ptr<Box> box;
    Fields fields;
    Work work;
};

Task<Result<AskedCommand>> decode_call(Services& services, Exchange& exchange, const Params& params, Decode decode) {
    CO_TRY_LET(Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Work work, decode(services, *box, fields));
    CO_TRY_LET(const auto detach, fields.flag("detach"));
    work.command.detached = detach.value_or(false);
    co_return AskedCommand{std::move(box), std::move(fields), std::move(work)};
}

// What a command has said to the end, and how it ended.
Task<Result<Json>> collect(Exchange& exchange, std::shared_ptr<Run> run, Beat beat) {
    Collector out{&exchange.memory()};
    Collector err{&exchange.memory()};
    auto followed = co_await unless(gone_or_beat(exchange, std::move(beat)), run->follow(out.sink(), err.sink()));
    if (!followed) co_return goes_on(*run);
    if (!followed->ok() && followed->error().kind == ErrorKind::kLimit) co_return goes_on(*run, followed->error());
    CO_TRY_LET(const Outcome outcome, *std::move(followed));
    if (out.cut || err.cut) err.kept += "\n[hutch: output beyond 32 MiB was dropped; use exec-stream]\n";
    Json json = outcome_json(outcome);
    json["output"] = std::move(out.kept);
    if (!err.kept.empty()) json["error"] = std::move(err.kept);
    if (wants_details(exchange)) json["details"] = details_json(outcome.times);
    co_return json;
}

// Of an answer that began well: a client takes what has no exit code of 0 for failed, and `error` for the reason.
Response late_answer(Result<Json> told) {
    if (told.ok()) return answer(std::move(told).value());
    return answer(Json{{"exit_code", nullptr}, {"output", ""}, {"error", error_json(told.error())["error"]}});
}

// After a while without an answer its head goes out, and then blanks, which JSON may begin with.
Task<Result<std::optional<Response>>> exec(Services& services, Exchange& exchange, const Params& params,
                                           Decode decode) {
    CO_TRY_LET(AskedCommand asked, co_await decode_call(services, exchange, params, decode));
    Command& command = asked.work.command;
    command.errors = Errors::kSeparate;
    const bool detached = command.detached;
    CO_TRY_LET(const auto run,
               co_await services.runs.start(asked.box, std::move(command), std::move(asked.work.input)));
    if (detached) co_return std::optional(answer_detached(*run));
    const Beat beat = [&exchange, &run]() -> Task<Result<void>> {
        if (!exchange.begun()) {
            std::map<std::string, std::string> headers;
            headers["X-Run-Id"] = run->record().id;
            CO_TRY(co_await exchange.begin(200, "application/json", headers));
        }
        co_return co_await exchange.write(" ");
    };
    auto told = co_await collect(exchange, run, beat);
    if (!exchange.begun()) {
        CO_TRY(told);
        co_return std::optional(answer(std::move(told).value()));
    }
    if (exchange.left()) co_return client_left();
    CO_TRY(co_await exchange.finish(late_answer(std::move(told))));
    co_return std::optional<Response>();
}

/// In which form, and whether the command's standard error is told apart in it.
struct Told {
    Streaming::Form form = Streaming::Form::kPlain;
    Errors errors = Errors::kMerged;
};

Result<Told> decode_told(const Fields& fields) {
    const bool framed = TRY(fields.flag("frames")).value_or(false);
    const std::string errors = TRY(fields.text_or("errors", framed ? "separate" : "merged"));
    if (errors != "separate" && errors != "merged") return invalid("errors: must be separate or merged");
    if (errors == "separate" && !framed) return invalid("errors: separate needs \"frames\": true");
    return Told{framed ? Streaming::Form::kFrames : Streaming::Form::kPlain,
                errors == "separate" ? Errors::kSeparate : Errors::kMerged};
}

// The status line goes out before the outcome is known, so failures from here on are events. A client that goes away
// leaves the run alone, and may read on by the id in the header.
Task<Result<std::optional<Response>>> exec_stream(Services& services, Exchange& exchange, const Params& params,
                                                  Decode decode) {
    CO_TRY_LET(AskedCommand asked, co_await decode_call(services, exchange, params, decode));
    CO_TRY_LET(const Told told, decode_told(asked.fields));
    Command& command = asked.work.command;
    command.errors = told.errors;
    const bool detached = command.detached;
    const auto run = co_await services.runs.start(asked.box, std::move(command), std::move(asked.work.input));
    if (detached) {
        CO_TRY(run);
        co_return std::optional(answer_detached(*run.value()));
    }
    std::map<std::string, std::string> headers;
    if (run.ok()) headers["X-Run-Id"] = run.value()->record().id;
    Streaming streaming(exchange, told.form);
    CO_TRY(co_await streaming.begin(headers));
    Result<Outcome> outcome = Outcome();
    if (run.ok()) {
        const Sink output = streaming.sink(Frame::kOutput);
        const Sink errors = streaming.sink(Frame::kErrors);
        auto came = co_await unless(streaming.client_gone(), run.value()->follow(output, errors, Reader::kClient));
        if (!came) co_return goes_on(*run.value());
        outcome = *std::move(came);
    } else {
        outcome = run.error();
    }
    CO_TRY(co_await streaming.end(outcome));
    co_return std::optional<Response>();
}

}  // namespace

Result<std::vector<std::string>> decode_argv(const Fields& fields, const char* field) {
    if (!fields.has(field)) return invalid(std::string(field) + ": is required, an array of strings");
    std::vector<std::string> argv = TRY(fields.texts(field));
    TRY(check_argv(argv, field));
    return argv;
}

Result<Command> decode_command(const Services& services, const Box& box, const Fields& fields) {
    Command command;
    command.argv = TRY(decode_argv(fields, "command"));
    TRY(decode_surroundings(services, box, fields, command));
    return command;
}

Result<void> check_argv(const std::vector<std::string>& argv, const std::string& field) {
    if (argv.empty() || argv.front().empty()) return invalid(field + ": must name a program");
    for (const std::string& argument : argv) {
        if (argument.find('\0') != std::string::npos) return invalid(field + ": an argument contains a NUL character");
    }
    return {};
}

Result<void> check_timeout(int64_t timeout) {
    if (timeout >= 1 && timeout <= kMaxTimeoutMs) return {};
    return invalid("timeout: must be from 1 to 604800000 milliseconds (a week)");
}

std::string usual_folder(const Services& services, const Box& box) {
    return services.images.usual_of(box).work_dir;
}

Result<void> decode_surroundings(const Services& services, const Box& box, const Fields& fields, Command& command) {
    const std::string folder = TRY(fields.text("folder")).value_or("");
    const auto image = services.images.find(box.record.image, box.record.customer);
    const Usual usual = services.images.usual_of(box);
    command.work_dir = folder.empty() ? usual.work_dir : TRY(checked_folder(folder, usual.habits()));
    command.fall_back = command.work_dir == usual.work_dir;
    const auto user = TRY(fields.text("user"));
    command.user = user ? TRY(services.images.user_of(box, *user)) : usual.user;
    command.env = TRY(environment_of(services, box, image.ok() ? image.value().env : Pairs()));
    const Pairs own = TRY(checked_env("env", TRY(fields.pairs("env"))));
    command.env.insert(command.env.end(), own.begin(), own.end());
    const auto timeout = TRY(fields.number("timeout"));
    if (timeout) TRY(check_timeout(*timeout));
    if (timeout) command.timeout = std::chrono::milliseconds(*timeout);
    return {};
}

Result<Files> files_of(const Services& services, Box& box, const char* field) {
    return Files::of(box, field, services.images.usual_of(box).habits());
}

Result<std::string> checked_folder(const std::string& folder, const Habits& habits) {
    if (folder.find('\0') != std::string::npos) return invalid("folder: must not contain a NUL character");
    return absolute_path(folder, habits);
}

Json outcome_json(const Outcome& outcome) {
    Json json = {{"exit_code", outcome.exit_code}, {"cpu_ns", outcome.cpu_ns}};
    if (outcome.reason != std::string("exited")) json["exit_reason"] = outcome.reason;
    if (outcome.signal != 0) json["signal"] = signal_name(outcome.signal);
    if (!outcome.sentence.empty()) json["error_message"] = outcome.sentence;
    return json;
}

void add_exec_routes(Router& router, Services& services) {
    const auto add = [&](const std::string& name, Decode decode) {
        router.add("POST", "/v2/box/{id}/" + name, [&services, decode](Exchange& exchange, const Params& params) {
            return exec(services, exchange, params, decode);
        });
        router.add("POST", "/v2/box/{id}/" + name + "-stream",
                   [&services, decode](Exchange& exchange, const Params& params) {
                       return exec_stream(services, exchange, params, decode);
                   });
    };
    add("exec", decode_bare);
    add("code", decode_code);
}

}  // namespace hutch::daemon
