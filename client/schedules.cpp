#include <unistd.h>

#include <ctime>

#include "client/format.h"
#include "client/program.h"
#include "client/table.h"

namespace hutch::client {
namespace {

struct ScheduleOptions {
    std::string box, id;
    std::vector<std::string> ids;
    std::optional<std::string> cron, prompt, folder, model, webhook;
    std::vector<std::string> headers;  ///< NAME=VALUE
    std::vector<std::string> command;  ///< without a `--` before it
    std::optional<unsigned> timeout;   ///< seconds
    bool json = false;
};

std::string schedule_target(const std::string& box, const std::string& id, const std::string& rest = "") {
    return box_target(box, "/schedules/" + percent_encode(id) + rest);
}

/// What was said, as the API has it.
Result<Json> said_of(const Program& program, const ScheduleOptions& options) {
    Json said = Json::object();
    if (options.cron) said["cron"] = *options.cron;
    if (options.prompt) said["prompt"] = *options.prompt;
    const std::vector<std::string>& command = program.command.empty() ? options.command : program.command;
    if (!command.empty()) said["command"] = command;
    if (options.folder) said["folder"] = *options.folder;
    if (options.model) said["model"] = *options.model;
    if (options.timeout) said["timeout"] = int64_t{*options.timeout} * 1000;
    if (options.webhook) said["webhook_url"] = *options.webhook;
    if (options.headers.empty()) return said;
    Json headers = Json::object();
    for (const std::string& header : options.headers) {
        const size_t equals = header.find('=');
        if (equals == std::string::npos || equals == 0) {
            return invalid("--webhook-header: \"" + header + "\" is not NAME=VALUE");
        }
        headers[header.substr(0, equals)] = header.substr(equals + 1);
    }
    said["webhook_headers"] = std::move(headers);
    return said;
}

Result<int> add_schedule(const Program& program, const ScheduleOptions& options) {
    Json said = TRY(said_of(program, options));
    if (said.contains("prompt") == said.contains("command")) {
        return invalid("say either a COMMAND, after `--`, or --prompt");
    }
    said["type"] = options.prompt ? "prompt" : "exec";
    const Api api = TRY(program.api());
    const Json schedule = TRY(api.call("POST", box_target(options.box, "/schedules"), said));
    return options.json ? show_json(schedule) : show(printable(text_of(schedule, "id")) + "\n");
}

Result<int> edit_schedule(const Program& program, const ScheduleOptions& options) {
    const Json said = TRY(said_of(program, options));
    if (said.empty()) return invalid("say what is to be another: --cron, --prompt, a COMMAND after `--`, ...");
    const Api api = TRY(program.api());
    const Json schedule = TRY(api.call("PATCH", schedule_target(options.box, options.id), said));
    return options.json ? show_json(schedule) : 0;
}

std::string work_of(const Json& schedule) {
    const std::string prompt = text_of(schedule, "prompt");
    return prompt.empty() ? joined(array_of(schedule, "command"), " ") : "prompt: " + prompt;
}

std::string next_of(const Json& schedule) {
    const int64_t next = integer_of(schedule, "next_run_at");
    return next == 0 ? "" : format_time(next) + " (in " + format_duration(next - time(nullptr)) + ")";
}

Cell last_of(const Json& schedule) {
    const std::string status = text_of(schedule, "last_run_status");
    if (status.empty()) return {std::string()};
    const int64_t at = integer_of(schedule, "last_run_at");
    const Tone tone = status == "failed" ? Tone::kBad : status == "skipped" ? Tone::kWarning : Tone::kPlain;
    return {status + " (" + format_duration(time(nullptr) - at) + " ago)", tone};
}

std::string shortened_work(const Json& schedule) {
    constexpr size_t kMost = 60;
    const std::string work = work_of(schedule);
    return work.size() <= kMost ? work : work.substr(0, kMost - 3) + "...";
}

Result<int> list_schedules(const Program& program, const ScheduleOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get(box_target(options.box, "/schedules")));
    if (options.json) return show_json(answer);
    Table table({"ID", "STATUS", "CRON", "NEXT", "LAST", "RUNS", "FAILED", "WORK"});
    for (const Json& schedule : answer.is_array() ? answer : Json::array()) {
        const std::string status = text_of(schedule, "status");
        table.add({text_of(schedule, "id"),
                   {status, status == "active" ? Tone::kPlain : Tone::kDim},
                   text_of(schedule, "cron"),
                   next_of(schedule),
                   last_of(schedule),
                   std::to_string(integer_of(schedule, "total_runs")),
                   std::to_string(integer_of(schedule, "total_failures")),
                   shortened_work(schedule)});
    }
    return show(table.text(colour_for(STDOUT_FILENO)));
}

Result<int> show_schedule(const Program& program, const ScheduleOptions& options) {
    const Api api = TRY(program.api());
    const Json schedule = TRY(api.get(schedule_target(options.box, options.id)));
    if (options.json) return show_json(schedule);
    const int64_t timeout = integer_of(schedule, "timeout") / 1000;
    std::string headers;
    for (const auto& [name, value] : object_of(schedule, "webhook_headers").items()) {
        headers += (headers.empty() ? "" : ", ") + name;
    }
    const std::string run = text_of(schedule, "last_run_id");
    return show(key_values({{"Id", text_of(schedule, "id")},
                            {"Status", text_of(schedule, "status")},
                            {"Cron (UTC)", text_of(schedule, "cron")},
                            {"Next", next_of(schedule)},
                            {"Last", last_of(schedule)},
                            {"Last run", run},
                            {"Runs", std::to_string(integer_of(schedule, "total_runs"))},
                            {"Failed", std::to_string(integer_of(schedule, "total_failures"))},
                            {"Work", work_of(schedule)},
                            {"Directory", text_of(schedule, "folder")},
                            {"Model", text_of(schedule, "model")},
                            {"Timeout", timeout == 0 ? "" : format_duration(timeout)},
                            {"Webhook", text_of(schedule, "webhook_url")},
                            {"Headers", headers}},
                           colour_for(STDOUT_FILENO)));
}

Result<int> change_status(const Program& program, const ScheduleOptions& options, const char* rest) {
    const Api api = TRY(program.api());
    for (const std::string& id : options.ids) TRY(api.call("POST", schedule_target(options.box, id, rest)));
    return 0;
}

Result<int> pause_schedules(const Program& program, const ScheduleOptions& options) {
    return change_status(program, options, "/pause");
}

Result<int> resume_schedules(const Program& program, const ScheduleOptions& options) {
    return change_status(program, options, "/resume");
}

Result<int> remove_schedules(const Program& program, const ScheduleOptions& options) {
    const Api api = TRY(program.api());
    for (const std::string& id : options.ids) TRY(api.call("DELETE", schedule_target(options.box, id)));
    return 0;
}

void add_work(CLI::App& command, ScheduleOptions& options) {
    command.add_option("--prompt", options.prompt, "What its agent is to do, in place of a COMMAND")->type_name("TEXT");
    command.add_option("--model", options.model, "Model of that prompt; else the box's")->type_name("MODEL");
    command.add_option("-w,--workdir", options.folder, "Directory to run it in")->type_name("DIR");
    command.add_option("--timeout", options.timeout, "Kill it after that long")
        ->type_name("SECONDS")
        ->check(CLI::Range(0U, 604800U).description(""));
    command.add_option("--webhook", options.webhook, "Where each end is told, by a POST")->type_name("URL");
    command.add_option("--webhook-header", options.headers, "Header of that POST, NAME=VALUE; may be repeated")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
}

void add_making(CLI::App& schedule, Program& program) {
    auto options = std::make_shared<ScheduleOptions>();
    CLI::App* command = add_command(
        schedule, "add",
        "Run a command or a prompt by the clock, and print the schedule's id\n\nCRON has five fields, in UTC: "
        "minute, hour, day of the month, month, day of the week.\nA paused box is woken for it. While one "
        "firing runs, the next is skipped.",
        "hutch schedule add web \"*/15 8-18 * * mon-fri\" -- npm test\n"
        "  hutch schedule add web \"0 6 * * *\" --prompt \"update the dependencies\"");
    add_box(*command, options->box);
    command->add_option("CRON", options->cron, "When, such as \"0 9 * * 1\"")->required();
    command->add_option("COMMAND", options->command, "Program and arguments, after `--`");
    add_work(*command, *options);
    add_json_flag(*command, options->json);
    run_on(command, program, options, add_schedule);

    options = std::make_shared<ScheduleOptions>();
    command = add_command(schedule, "edit",
                          "Change a schedule\n\nWhat is not named stays; \"\" takes it away. A firing under way goes "
                          "on as it was begun.",
                          "hutch schedule edit web l7lrqr1dcaslkt --cron \"0 7 * * *\"");
    add_box(*command, options->box);
    command->add_option("SCHEDULE", options->id, "Its id, of `hutch schedule ls`")->required();
    command->add_option("COMMAND", options->command, "Program and arguments, after `--`");
    command->add_option("--cron", options->cron, "When, such as \"0 9 * * 1\"")->type_name("CRON");
    add_work(*command, *options);
    add_json_flag(*command, options->json);
    run_on(command, program, options, edit_schedule);
}

}  // namespace

void add_schedule_commands(CLI::App& app, Program& program) {
    CLI::App* schedule = add_command(app, "schedule", "What boxes do by the clock",
                                     "hutch schedule add web \"*/15 8-18 * * mon-fri\" -- npm test");
    schedule->require_subcommand(1);
    add_making(*schedule, program);

    auto options = std::make_shared<ScheduleOptions>();
    CLI::App* command = add_command(*schedule, "ls", "List the schedules of a box, with when each is next due",
                                    "hutch schedule ls web");
    add_box(*command, options->box);
    add_json_flag(*command, options->json);
    run_on(command, program, options, list_schedules);

    options = std::make_shared<ScheduleOptions>();
    command = add_command(*schedule, "show", "Show a schedule", "hutch schedule show web l7lrqr1dcaslkt");
    add_box(*command, options->box);
    command->add_option("SCHEDULE", options->id, "Its id, of `hutch schedule ls`")->required();
    add_json_flag(*command, options->json);
    run_on(command, program, options, show_schedule);

    const auto add = [&](const char* name, const char* description, const char* example, auto act) {
        const auto named = std::make_shared<ScheduleOptions>();
        CLI::App* one = add_command(*schedule, name, description, example);
        add_box(*one, named->box);
        one->add_option("SCHEDULE", named->ids, "Their ids, of `hutch schedule ls`")->required();
        run_on(one, program, named, act);
    };
    add("pause", "Have schedules fire no more, until they are resumed", "hutch schedule pause web l7lrqr1dcaslkt",
        pause_schedules);
    add("resume", "Have paused schedules fire again, from now on", "hutch schedule resume web l7lrqr1dcaslkt",
        resume_schedules);
    add("rm", "Delete schedules; a firing under way goes on", "hutch schedule rm web l7lrqr1dcaslkt", remove_schedules);
}

}  // namespace hutch::client
