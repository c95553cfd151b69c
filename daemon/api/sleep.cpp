// How long a box is awake, and how long it lives.

#include "daemon/api/resources.h"
#include "daemon/clock.h"
#include "daemon/files/files.h"
#include "daemon/run/startup.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kMaxInitCommand = 64 * 1024;

int64_t unix_time(Moment moment) {
    return unix_now() + std::chrono::round<std::chrono::seconds>(moment - Moment::clock::now()).count();
}

Result<int64_t> seconds(const Fields& fields, const char* field, int64_t least, int64_t most, int64_t otherwise) {
    const auto value = TRY(fields.number(field));
    if (!value) return otherwise;
    if (*value >= least && *value <= most) return *value;
    return invalid(std::string(field) + ": must be from " + std::to_string(least) + " to " + std::to_string(most) +
                   " seconds");
}

Result<std::string> checked_init_command(std::string text) {
    if (text.size() > kMaxInitCommand)
        return invalid("init_command: longer than 64 KiB; put it into a file of the box");
    if (text.find('\0') != std::string::npos) return invalid("init_command: must not contain a NUL character");
    return text;
}

Response answer_init_command(const Box& box) {
    return answer(Json{{"init_command", box.record.init_command}});
}

// Run from its next start on; empty for none.
Result<std::optional<Response>> set_init_command(Services& services, Box& box, const std::string& text) {
    TRY(services.boxes.change(box, [&text](BoxRecord& record) { record.init_command = text; }));
    return std::optional(answer_init_command(box));
}

}  // namespace

void start_init_command(Services& services, const std::shared_ptr<Box>& box) {
    if (box->record.init_command.empty()) return;
    Json body{{"command", Json::array({"/bin/sh", "-c", box->record.init_command})}};
    const auto fields = Fields::parse(dump(body));
    auto command = fields.ok() ? decode_command(services, *box, fields.value()) : Result<Command>(fields.error());
    if (!command.ok()) {
        services.boxes.note(*box, "error", "init_command: " + command.error().message);
        return;
    }
    spawn(box->executor(), "the init command of box " + box->record.id,
          run_init_command(services.boxes, services.runs, box, std::move(command).value()),
          [&services, box](const Result<void>& how) {
              if (!how.ok()) services.boxes.note(*box, "error", "init_command: " + how.error().message);
          });
}

// Files of its own may have taken the place of those that trusted its authority.
static Task<> begin_attached(Services& services, std::shared_ptr<Box> box) {
    co_await services.attached.renew_trust(box);
    start_init_command(services, box);
}

static void begin_life(Services& services, const std::shared_ptr<Box>& box) {
    services.attached.begin(*box);
    if (!box->record.attaches) return start_init_command(services, box);
    spawn(box->executor(), "the attached headers of box " + box->record.id, begin_attached(services, box));
}

Result<void> decode_lifetime(const Fields& fields, CreateBox& command) {
    command.keep_alive = TRY(fields.flag("keep_alive")).value_or(false);
    const std::string init_command = TRY(fields.text_or("init_command", ""));
    command.init_command = TRY(checked_init_command(init_command));
    command.idle_timeout = TRY(seconds(fields, "idle_timeout", 0, kLongestTimeout, -1));
    const bool ephemeral = TRY(fields.flag("ephemeral")).value_or(false);
    command.ttl = TRY(seconds(fields, "ttl", 1, kLongestTtl, 0));
    if (command.idle_timeout > 0 && command.keep_alive) {
        return invalid("idle_timeout: a keep_alive box is never idle; leave out one of the two");
    }
    if (command.ttl > 0 && !ephemeral) return invalid("ttl: is for ephemeral boxes only; set ephemeral too");
    if (ephemeral && command.ttl == 0) command.ttl = kLongestTtl;
    return {};
}

Json sleep_json(const Services& services, const Box& box) {
    const Timetable table = services.boxes.timetable(box);
    Json json{{"idle_timeout", table.settings.idle_timeout.count()}};
    if (table.awake) {
        const Wakefulness awake = wakefulness(table.activity, table.settings, Moment::clock::now());
        json["awake_because"] = text_of(awake.why);
        if (awake.sleeps_at) json["sleeps_at"] = unix_time(*awake.sleeps_at);
    }
    if (const auto sleep = box.sleep()) {
        json["paused_at"] = unix_time(sleep->since);
        if (sleep->reclaimed_bytes) json["reclaimed_bytes"] = *sleep->reclaimed_bytes;
    }
    return json;
}

void add_sleep_routes(Router& router, Services& services) {
    services.boxes.on_started([&services](const std::shared_ptr<Box>& box) { begin_life(services, box); });
    router.add("POST", "/v2/box/{id}/pause", [&services](Exchange& exchange, const Params& params) -> Answer {
        CO_TRY_LET(const auto box, find_box(services, exchange, params));
        CO_TRY(co_await services.boxes.pause(box));
        co_return std::optional(Response{});
    });
    router.add("POST", "/v2/box/{id}/resume", [&services](Exchange& exchange, const Params& params) -> Answer {
        CO_TRY_LET(const auto box, find_box(services, exchange, params));
        const bool frozen = box->sleep().has_value();  // or else it is started, which runs it too
        CO_TRY(co_await services.boxes.resume(box));
        if (frozen && !box->starting_up) start_init_command(services, box);
        co_return std::optional(Response{});
    });
    router.add("GET", "/v2/box/{id}/startup", [&services](Exchange& exchange, const Params& params) -> Answer {
        CO_TRY_LET(const auto box, find_box(services, exchange, params));
        co_return std::optional(answer_init_command(*box));
    });
    router.add("PUT", "/v2/box/{id}/startup", [&services](Exchange& exchange, const Params& params) -> Answer {
        CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
        CO_TRY_LET(std::string text, fields.required_text("init_command"));
        CO_TRY_LET(text, checked_init_command(std::move(text)));
        CO_TRY_LET(const auto box, find_box(services, exchange, params));
        co_return set_init_command(services, *box, text);
    });
    router.add("DELETE", "/v2/box/{id}/startup", [&services](Exchange& exchange, const Params& params) -> Answer {
        CO_TRY_LET(const auto box, find_box(services, exchange, params));
        co_return set_init_command(services, *box, "");
    });
}

}  // namespace hutch::daemon
