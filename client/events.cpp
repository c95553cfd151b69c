#include <unistd.h>

#include "base/file.h"
#include "client/format.h"
#include "client/paint.h"
#include "client/program.h"
#include "client/server_events.h"

namespace hutch::client {
namespace {

struct EventOptions {
    std::string box, after;
    bool follow = false;
    bool json = false;
};

std::string target_of(const EventOptions& options) {
    std::string target = std::string("/v2/events?follow=") + (options.follow ? "1" : "0");
    if (!options.box.empty()) target += "&box=" + percent_encode(options.box);
    if (!options.after.empty()) target += "&after=" + percent_encode(options.after);
    return target;
}

Tone tone_of_event(const Json& event) {
    const std::string type = text_of(event, "type");
    if (type == "gap" || type == "box.stopped") return Tone::kWarning;
    if (type == "box.failed" || text_of(event, "status") == "failed") return Tone::kBad;
    return Tone::kPlain;
}

std::string details_of(const Json& event) {
    std::string text;
    const auto add = [&text](const std::string& more) {
        if (!more.empty()) text += (text.empty() ? "" : "  ") + more;
    };
    add(text_of(event, "run_id"));
    add(text_of(event, "status"));
    if (event.contains("exit_code")) {
        add("exit " + (event["exit_code"].is_null() ? "unknown" : std::to_string(integer_of(event, "exit_code"))));
    }
    if (event.contains("cpu_ns")) add(format_cpu(static_cast<uint64_t>(integer_of(event, "cpu_ns"))));
    add(text_of(event, "prompt"));
    add(text_of(event, "reason"));
    if (text_of(event, "type") == "gap") {
        add(event["lost"].is_null() ? "what happened before is not known"
                                    : std::to_string(integer_of(event, "lost")) + " events are missing");
    }
    return text;
}

std::string line_of(const Json& event, Colour colour) {
    const std::string type = printable(text_of(event, "type"));
    const std::string name = text_of(event, "name");
    std::string line = paint(format_time(integer_of(event, "time") / 1000), Tone::kDim, colour) + "  " +
                       paint(type, tone_of_event(event), colour);
    for (const std::string& word : {name.empty() ? text_of(event, "box_id") : name, details_of(event)}) {
        if (!word.empty()) line += "  " + printable(word);
    }
    return line + "\n";
}

Result<int> events(const Program& program, const EventOptions& options) {
    const Api api = TRY(program.api());
    Response response = TRY(api.open({.method = "GET", .target = target_of(options)}));
    const Colour colour = colour_for(STDOUT_FILENO);
    ServerEvents stream;
    for (;;) {
        const std::string_view piece = TRY(response.read());
        if (piece.empty()) break;
        stream.feed(piece);
        std::string lines;
        while (const auto next = stream.next()) {
            const std::string& data = next->data;
            const Json event = parse_json(data);
            if (!event.is_object()) return Error{ErrorKind::kSystem, 0, "the daemon sent an event that is not JSON"};
            lines += options.json ? passed_on(data) + "\n" : line_of(event, colour);
        }
        TRY(show(lines));
    }
    if (!options.follow) return 0;
    return Error{ErrorKind::kSystem, 0, "hutchd is shutting down; follow the next one's events with --after"};
}

}  // namespace

void add_event_command(CLI::App& app, Program& program) {
    const auto options = std::make_shared<EventOptions>();
    CLI::App* command = add_command(app, "events",
                                    "Show what happened to boxes, runs and images, oldest first\n\n"
                                    "The daemon keeps the newest 1000 events. One that says \"gap\" tells that some "
                                    "are missing.",
                                    "hutch events --follow --box web");
    command->add_flag("-f,--follow", options->follow, "Go on with what happens from now on");
    command->add_option("--box", options->box, "Only of the box with this name or id")->type_name("BOX");
    command->add_option("--after", options->after, "Only what came after this one: START-ID of its JSON")
        ->type_name("START-ID");
    command->add_flag("--json", options->json, "One JSON object a line, for programs");
    run_on(command, program, options, events);
}

}  // namespace hutch::client
