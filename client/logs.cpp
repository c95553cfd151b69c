#include <unistd.h>

#include "client/format.h"
#include "client/paint.h"
#include "client/program.h"

namespace hutch::client {
namespace {

struct LogOptions {
    std::string box;
    unsigned count = 0;
    bool follow = false;
    bool json = false;
};

Tone tone_of_level(const std::string& level) {
    if (level == "error") return Tone::kBad;
    return level == "warn" ? Tone::kWarning : Tone::kPlain;
}

std::string line_of_log(const Json& entry, Colour colour) {
    const std::string level = printable(text_of(entry, "level"));
    return paint(format_time(integer_of(entry, "timestamp")), Tone::kDim, colour) + "  " +
           paint(level, tone_of_level(level), colour) + "  " + printable(text_of(entry, "source")) + "  " +
           printable(text_of(entry, "message")) + "\n";
}

/// From the entry `offset` on, until the box is gone.
Result<int> follow(const Api& api, const LogOptions& options, size_t offset) {
    const std::string target = box_target(options.box, "/logs?follow=1&offset=" + std::to_string(offset));
    const Colour colour = colour_for(STDOUT_FILENO);
    return show_events(api, target, options.json, [colour](const Json& entry) { return line_of_log(entry, colour); });
}

Result<int> logs(const Program& program, const LogOptions& options) {
    const Api api = TRY(program.api());
    if (options.follow && options.count == 0) return follow(api, options, 0);
    // All that is kept: the API counts its limit from the oldest, and what is wanted is the newest.
    Json answer = TRY(api.get(box_target(options.box, "/logs?limit=999999999")));
    Json entries = array_of(answer, "logs");
    const size_t left_out = options.count != 0 && entries.size() > options.count ? entries.size() - options.count : 0;
    if (options.follow) return follow(api, options, left_out);
    entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(left_out));
    answer["logs"] = entries;
    if (options.json) return show_json(answer);
    std::string lines;
    for (const Json& entry : entries) lines += line_of_log(entry, colour_for(STDOUT_FILENO));
    return show(lines);
}

}  // namespace

void add_log_command(CLI::App& app, Program& program) {
    const auto options = std::make_shared<LogOptions>();
    CLI::App* command = add_command(app, "logs", "Show what happened to a box", "hutch logs web -f -n 20");
    add_box(*command, options->box);
    command->add_option("-n", options->count, "Only that many, the newest")
        ->type_name("COUNT")
        ->check(CLI::Range(1U, 1000000U).description(""));
    command->add_flag("-f,--follow", options->follow, "Go on with what happens from now on, until the box is deleted");
    command->add_flag("--json", options->json, "Print the API's own JSON, for programs; with -f an object a line");
    run_on(command, program, options, logs);
}

}  // namespace hutch::client
