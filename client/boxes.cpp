#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "client/create.h"
#include "client/format.h"
#include "client/network.h"
#include "client/paint.h"
#include "client/program.h"
#include "client/selection.h"
#include "client/table.h"

namespace hutch::client {
namespace {

struct BoxOptions {
    std::string box;
    bool json = false;
};

std::string moment(const Json& box, const char* key) {
    const int64_t seconds = integer_of(box, key);
    return seconds == 0 ? "" : format_time(seconds) + " (" + format_duration(time(nullptr) - seconds) + " ago)";
}

std::string later(int64_t seconds) {
    return seconds == 0 ? "" : format_time(seconds) + " (in " + format_duration(seconds - time(nullptr)) + ")";
}

std::string disk(const Json& details) {
    const Json disk = details.value("disk", Json::object());
    const auto limit = count_of(disk, "limit_bytes");
    const std::string used = size_of(disk, "bytes");
    return limit == 0 ? used + "; not limited: the host's file system has no quota"
                      : used + " of " + format_size(limit);
}

std::string describe_box(const Json& box) {
    const std::string status = text_of(box, "status");
    const Json sleep = box.value("details", Json::object()).value("sleep", Json::object());
    const int64_t reclaimed = integer_of(sleep, "reclaimed_bytes");
    return key_values(
        {
            {"Name", text_of(box, "name")},
            {"Id", text_of(box, "id")},
            {"Status", {status, tone_of_status(status)}},
            {"Image", text_of(box, "runtime")},
            {"Size", text_of(box, "size")},
            {"Disk", disk(box.value("details", Json::object()))},
            {"Labels", joined(array_of(box, "labels"), ", ")},
            {"Agent", text_of(box, "agent")},
            {"Model", text_of(box, "model")},
            {"Nesting", std::string(flag_of(box, "nesting") ? "allowed" : "")},
            {"Network", describe_network(box.value("network_policy", Json::object()))},
            {"Created", moment(box, "created_at")},
            {"Last active", moment(box, "last_activity_at")},
            {"Awake", text_of(sleep, "awake_because")},
            {"Sleeps", later(integer_of(sleep, "sleeps_at"))},
            {"Paused", moment(sleep, "paused_at")},
            {"Memory freed", reclaimed == 0 ? "" : format_size(static_cast<uint64_t>(reclaimed))},
            {"Ends", later(integer_of(box, "expires_at"))},
            {"CPU used", format_cpu(count_of(box, "total_cpu_ns"))},
            {"Cost", cost_of(box)},
        },
        colour_for(STDOUT_FILENO));
}

Result<int> inspect(const Program& program, const BoxOptions& options) {
    const Api api = TRY(program.api());
    const Json box = TRY(api.get(box_target(options.box, "?details=1")));
    if (options.json || isatty(STDOUT_FILENO) != 1 || !box.is_object()) return show_json(box);
    return show(describe_box(box));
}

void add_inspect(CLI::App& app, Program& program) {
    const auto options = std::make_shared<BoxOptions>();
    CLI::App* command = add_command(app, "inspect", "Show a box: readable on a terminal, JSON anywhere else",
                                    "hutch inspect web | jq .status");
    add_box(*command, options->box);
    add_json_flag(*command, options->json);
    run_on(command, program, options, inspect);
}

/// A command that makes one call for each of its boxes, once all of them are there.
void add_change(CLI::App& app, Program& program, const std::string& name, const std::string& alias,
                const std::string& description, const std::string& example) {
    const auto boxes = std::make_shared<std::vector<std::string>>();
    CLI::App* command = add_command(app, name, description, example);
    command->alias(alias);
    command->add_option("BOX", *boxes, "Names or ids of the boxes")->required();
    command->callback([&program, boxes, name] {
        program.action = [&program, boxes, name]() -> Result<int> {
            const Api api = TRY(program.api());
            TRY(check_boxes(api, *boxes));
            return for_each_box(program, *boxes, [&](const std::string& box) -> Result<void> {
                TRY(api.call("POST", box_target(box, "/" + name)));
                return {};
            });
        };
    });
}

}  // namespace

void add_box_commands(CLI::App& app, Program& program) {
    add_inspect(app, program);
    add_change(app, program, "pause", "stop",
               "Stop boxes where they are; work or `hutch resume` wakes them\n\nAlso called stop.", "hutch pause web");
    add_change(app, program, "resume", "start", "Wake paused boxes\n\nAlso called start.", "hutch resume web");
}

}  // namespace hutch::client
