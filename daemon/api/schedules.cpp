// Schedules: what a box does by the clock.

#include "daemon/schedule/schedules.h"
#include "daemon/api/json_rows.h"
#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kMostWords = 64 * 1024;    // bytes of a command, a prompt or its options
constexpr size_t kMostHeaders = 16 * 1024;  // bytes
constexpr size_t kMostModel = 4096;

/// What a call says of a schedule; what it does not say stays as it is, and what is empty is taken away.
struct Said {
    std::optional<std::string> type, cron, prompt, folder, model, agent_options, webhook_url;
    std::optional<std::vector<std::string>> command;
    std::optional<int64_t> timeout;
    std::optional<Pairs> webhook_headers;
};

Result<Said> decode_said(const Fields& fields) {
    Said said;
    said.type = TRY(fields.text("type"));
    said.cron = TRY(fields.text("cron"));
    if (fields.has("command")) said.command = TRY(fields.texts("command"));
    said.prompt = TRY(fields.text("prompt"));
    said.folder = TRY(fields.text("folder"));
    said.model = TRY(fields.text("model"));
    const Json options = TRY(fields.any_object("agent_options"));
    if (fields.has("agent_options")) said.agent_options = options.empty() ? "" : dump(options);
    if (fields.is_null("agent_options")) said.agent_options = "";
    said.timeout = TRY(fields.number("timeout"));
    if (fields.is_null("timeout")) said.timeout = 0;
    said.webhook_url = TRY(fields.text("webhook_url"));
    if (fields.has("webhook_headers")) said.webhook_headers = TRY(fields.pairs("webhook_headers"));
    return said;
}

Result<ScheduleType> checked_type(const Said& said) {
    if (said.type == "exec") return ScheduleType::kExec;
    if (said.type == "prompt") return ScheduleType::kPrompt;
    return invalid("type: must be exec or prompt");
}

Result<std::string> checked_words(const char* field, const std::string& text) {
    if (text.size() > kMostWords) {
        return invalid(std::string(field) + ": is longer than 64 KiB; put it into a file of the box");
    }
    if (text.find('\0') != std::string::npos) return invalid(std::string(field) + ": must not contain a NUL character");
    return text;
}

Result<std::vector<std::string>> checked_command(const std::vector<std::string>& command) {
    TRY(check_argv(command));
    size_t bytes = 0;
    for (const std::string& word : command) bytes += word.size() + 1;
    if (bytes > kMostWords) return invalid("command: is longer than 64 KiB; put it into a file of the box");
    return command;
}

// What is the other type's may be said where it is empty.
Result<void> take_work(const Said& said, ScheduleRecord& schedule) {
    const bool is_prompt = schedule.type == ScheduleType::kPrompt;
    const auto belongs = [&](const char* field, bool to_prompts, bool is_empty) -> Result<void> {
        if (is_empty || to_prompts == is_prompt) return {};
        return invalid(std::string(field) + ": is for schedules of type " + (to_prompts ? "prompt" : "exec"));
    };
    TRY(belongs("command", false, !said.command || said.command->empty()));
    TRY(belongs("prompt", true, said.prompt.value_or("").empty()));
    TRY(belongs("model", true, said.model.value_or("").empty()));
    TRY(belongs("agent_options", true, said.agent_options.value_or("").empty()));
    if (!is_prompt) {
        if (said.command) schedule.command = *said.command;
        schedule.command = TRY(checked_command(schedule.command));
        return {};
    }
    if (said.prompt) schedule.prompt = TRY(checked_words("prompt", *said.prompt));
    if (schedule.prompt.empty()) return invalid("prompt: must be 1 byte to 64 KiB of text");
    if (said.model) schedule.model = *said.model;
    if (schedule.model.size() > kMostModel || schedule.model.find('\0') != std::string::npos) {
        return invalid("model: must be at most 4096 bytes of text");
    }
    if (said.agent_options) schedule.agent_options = TRY(checked_words("agent_options", *said.agent_options));
    return {};
}

Result<void> take_webhook(const Said& said, ScheduleRecord& schedule) {
    if (said.webhook_url) schedule.webhook_url = *said.webhook_url;
    if (said.webhook_headers) schedule.webhook_headers = *said.webhook_headers;
    if (schedule.webhook_url.empty()) {
        if (said.webhook_headers && !said.webhook_headers->empty()) {
            return invalid("webhook_headers: need webhook_url beside them");
        }
        schedule.webhook_headers.clear();
        return {};
    }
    size_t bytes = 0;
    for (const auto& [name, value] : schedule.webhook_headers) bytes += name.size() + value.size() + 4;
    if (bytes > kMostHeaders) return invalid("webhook_headers: are longer than 16 KiB together");
    return check_webhook({schedule.webhook_url, schedule.webhook_headers}, "webhook_url", "webhook_headers");
}

Result<void> take(const Services& services, const Box& box, const Said& said, ScheduleRecord& schedule) {
    if (said.cron) schedule.cron = *said.cron;
    TRY(Cron::parse(schedule.cron));
    TRY(take_work(said, schedule));
    if (said.folder || schedule.folder.empty()) {
        const std::string folder = said.folder.value_or("");
        schedule.folder = folder.empty() ? usual_folder(services, box)
                                         : TRY(checked_folder(folder, services.images.usual_of(box).habits()));
    }
    if (said.timeout) {
        if (*said.timeout != 0) TRY(check_timeout(*said.timeout));
        schedule.timeout_ms = *said.timeout;
    }
    return take_webhook(said, schedule);
}

// That the box's agent can do it; its key and program are looked at when it fires.
Result<void> check_agent(const Services& services, const Box& box, const ScheduleRecord& schedule) {
    if (schedule.type == ScheduleType::kExec) return {};
    const AgentRecord agent = TRY(services.agents.of(box.record.id));
    if (agent.harness.empty()) {
        return Error{ErrorKind::kConflict, 0,
                     "box " + box.record.id + " has no agent; name one when it is made (agent, model)"};
    }
    if (!schedule.model.empty()) TRY(check_model(agent.harness, schedule.model));
    if (schedule.agent_options.empty()) return {};
    return TRY(find_harness(agent.harness))->check(TRY_IN("agent_options", parse_json(schedule.agent_options)));
}

const char* name_of(ScheduleType type) {
    return type == ScheduleType::kExec ? "exec" : "prompt";
}

Result<Json> schedule_json(const Box& box, const ScheduleRecord& schedule) {
    Json json{{"id", schedule.id},
              {"box_id", schedule.box},
              {"customer_id", box.record.customer},
              {"type", name_of(schedule.type)},
              {"cron", schedule.cron},
              {"folder", schedule.folder},
              {"status", schedule.paused ? "paused" : "active"},
              {"total_runs", schedule.total_runs},
              {"total_failures", schedule.total_failures},
              {"created_at", schedule.created_at},
              {"updated_at", schedule.updated_at}};
    if (schedule.type == ScheduleType::kExec) json["command"] = schedule.command;
    if (!schedule.prompt.empty()) json["prompt"] = schedule.prompt;
    if (!schedule.model.empty()) json["model"] = schedule.model;
    if (!schedule.agent_options.empty()) json["agent_options"] = TRY(parse_json(schedule.agent_options));
    if (schedule.timeout_ms != 0) json["timeout"] = schedule.timeout_ms;
    if (!schedule.webhook_url.empty()) json["webhook_url"] = schedule.webhook_url;
    for (const auto& [name, value] : schedule.webhook_headers) json["webhook_headers"][name] = kMask;
    if (schedule.due != 0) json["next_run_at"] = schedule.due;
    if (schedule.last_run_id.empty()) return json;
    json["last_run_at"] = schedule.last_run_at;
    json["last_run_id"] = schedule.last_run_id;
    json["last_run_status"] = name_of(schedule.last_run_status);
    return json;
}

Result<std::optional<Response>> answer_schedule(const Box& box, const ScheduleRecord& schedule, int status = 200) {
    return std::optional(answer(TRY(schedule_json(box, schedule)), status));
}

Answer add_schedule(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const Said said, decode_said(fields));
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    ScheduleRecord schedule;
    CO_TRY_LET(schedule.type, checked_type(said));
    if (!said.cron) co_return invalid("cron: is required, five fields such as \"*/5 * * * *\" (in UTC)");
    if (fields.has("timeout")) CO_TRY(check_timeout(*said.timeout));
    CO_TRY(take(services, *box, said, schedule));
    CO_TRY(check_agent(services, *box, schedule));
    CO_TRY_LET(schedule, co_await services.schedules.add(box, std::move(schedule)));
    exchange.concern(schedule.id);
    co_return answer_schedule(*box, schedule, 201);
}

Answer list_schedules(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const auto schedules, services.schedules.of(*box));
    JsonRows rows(exchange.memory());
    for (size_t i = 0; i < schedules.size(); ++i) {
        CO_TRY_LET(Json json, schedule_json(*box, schedules[i]));
        CO_TRY(rows.add(std::move(json)));
        co_await give_way(services, i);
    }
    co_return std::optional(Response{200, rows.finish(), "application/json"});
}

Answer get_schedule(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const auto schedule, services.schedules.find(*box, params.at("schedule")));
    co_return answer_schedule(*box, schedule);
}

Answer change_schedule(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const Said said, decode_said(fields));
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    const auto edit = [&](ScheduleRecord& schedule) -> Result<void> {
        if (said.type && TRY(checked_type(said)) != schedule.type) {
            return invalid("type: is the schedule's for good; make another one");
        }
        TRY(take(services, *box, said, schedule));
        return said.model || said.agent_options ? check_agent(services, *box, schedule) : Result<void>();
    };
    CO_TRY_LET(const auto schedule, co_await services.schedules.change(box, params.at("schedule"), edit));
    co_return answer_schedule(*box, schedule);
}

Answer remove_schedule(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY(co_await services.schedules.remove(box, params.at("schedule")));
    co_return std::optional(Response{});
}

Answer set_paused(Services& services, Exchange& exchange, const Params& params, bool paused) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    const auto edit = [paused](ScheduleRecord& schedule) -> Result<void> {
        schedule.paused = paused;
        return {};
    };
    CO_TRY(co_await services.schedules.change(box, params.at("schedule"), edit));
    co_return std::optional(Response{});
}

// As if somebody had asked for it by exec, or by a prompt: same user and environment.
Result<Command> command_of(const Services& services, const Box& box, const ScheduleRecord& schedule) {
    Json body{{"folder", schedule.folder}, {"command", schedule.command}};
    if (schedule.timeout_ms != 0) body["timeout"] = schedule.timeout_ms;
    return decode_command(services, box, Fields::of(std::move(body)));
}

}  // namespace

void add_schedule_routes(Router& router, Services& services) {
    services.schedules.read_by(
        [&services](const Box& box, const ScheduleRecord& schedule) { return command_of(services, box, schedule); },
        [&services](const Box& box, const ScheduleRecord& schedule) { return asked_by(services, box, schedule); });
    const std::string all = "/v2/box/{id}/schedules";
    const std::string one = all + "/{schedule}";
    router.add("POST", all, with(services, add_schedule));
    router.add("GET", all, with(services, list_schedules));
    router.add("GET", one, with(services, get_schedule));
    router.add("PATCH", one, with(services, change_schedule));
    router.add("DELETE", one, with(services, remove_schedule));
    router.add("POST", one + "/pause", [&services](Exchange& exchange, const Params& params) {
        return set_paused(services, exchange, params, true);
    });
    router.add("POST", one + "/resume", [&services](Exchange& exchange, const Params& params) {
        return set_paused(services, exchange, params, false);
    });
}

}  // namespace hutch::daemon
