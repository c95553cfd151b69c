#include <unistd.h>

#include <charconv>

#include "client/format.h"
#include "client/network.h"
#include "client/paint.h"

namespace hutch::client {
namespace {

struct RefusalOptions {
    std::string box;
    bool follow = false;
    bool json = false;
};

// "tcp 10.1.2.3:443 (db.example)", or what of it is known.
std::string flow_of(const Json& refusal) {
    const std::string address = text_of(refusal, "address");
    const std::string name = text_of(refusal, "name");
    std::string flow = text_of(refusal, "protocol") + " " + (address.empty() ? name : address);
    if (refusal.contains("port")) flow += ":" + std::to_string(integer_of(refusal, "port"));
    return address.empty() || name.empty() ? flow : flow + " (" + name + ")";
}

std::string line_of_refusal(const Json& refusal, Colour colour) {
    const int64_t times = integer_of(refusal, "times");
    const std::string again = times > 1 ? "  " + std::to_string(times) + " times" : "";
    return paint(format_time(integer_of(refusal, "time") / 1000), Tone::kDim, colour) + "  " +
           paint(printable(text_of(refusal, "rule")), Tone::kWarning, colour) + "  " + printable(flow_of(refusal)) +
           again + "  " + printable(text_of(refusal, "reason")) + "\n";
}

Result<int> follow_refusals(const Api& api, const RefusalOptions& options) {
    const Colour colour = colour_for(STDOUT_FILENO);
    return show_events(api, box_target(options.box, "/network/log?follow=1"), options.json,
                       [colour](const Json& refusal) { return line_of_refusal(refusal, colour); });
}

Result<int> show_refusals(const Program& program, const RefusalOptions& options) {
    const Api api = TRY(program.api());
    if (options.follow) return follow_refusals(api, options);
    const Json answer = TRY(api.get(box_target(options.box, "/network/log")));
    if (options.json) return show_json(answer);
    std::string lines;
    for (const Json& refusal : array_of(answer, "refusals")) {
        lines += line_of_refusal(refusal, colour_for(STDOUT_FILENO));
    }
    if (const int64_t dropped = integer_of(answer, "dropped"); dropped > 0) {
        lines += "(" + std::to_string(dropped) + " older ones are no longer kept)\n";
    }
    return show(lines);
}

struct WhyOptions {
    std::string box, host;
    bool json = false;
};

// HOST, HOST:PORT, or an address of IPv6, in brackets where a port follows.
Result<std::string> why_query(const std::string& text) {
    std::string host = text;
    std::string port;
    const size_t colon = text.rfind(':');
    const bool bracketed = text.starts_with("[");
    const size_t close = text.rfind(']');
    if (bracketed && close != std::string::npos) {
        host = text.substr(1, close - 1);
        if (close + 1 < text.size()) port = text.substr(close + (text[close + 1] == ':' ? 2 : 1));
    } else if (colon != std::string::npos && text.find(':') == colon) {
        host = text.substr(0, colon);
        port = text.substr(colon + 1);
        if (port.empty()) return invalid("HOST: \"" + text + "\" has no port behind the colon");
    }
    if (port.empty()) return "host=" + percent_encode(host);
    uint16_t number = 0;
    const auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (failed != std::errc() || end != port.data() + port.size() || number == 0) {
        return invalid("HOST: the port of \"" + text + "\" must be from 1 to 65535");
    }
    return "host=" + percent_encode(host) + "&port=" + port;
}

Result<int> show_why(const Program& program, const WhyOptions& options) {
    const std::string query = TRY(why_query(options.host));
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get(box_target(options.box, "/network/why?" + query)));
    if (options.json) return show_json(answer);
    return show(printable(text_of(answer, "explanation")) + "\n");
}

}  // namespace

void add_refusal_commands(CLI::App& network, Program& program) {
    const auto refusals = std::make_shared<RefusalOptions>();
    CLI::App* command =
        add_command(network, "log",
                    "Show what a box was refused of the network, oldest first\n\nA destination that is "
                    "tried again and again is one line. The daemon keeps\nthem in its memory: it begins "
                    "anew when it is restarted.",
                    "hutch network log web -f");
    add_box(*command, refusals->box);
    command->add_flag("-f,--follow", refusals->follow,
                      "Go on with what is refused from now on, until the box is deleted");
    command->add_flag("--json", refusals->json, "Print the API's own JSON, for programs; with -f an object a line");
    run_on(command, program, refusals, show_refusals);

    const auto why = std::make_shared<WhyOptions>();
    command =
        add_command(network, "why",
                    "Say why a box reaches a host, or does not\n\nIt asks the rules, looks the name up, and tries "
                    "a connection from the box's\nnetwork. Without a PORT it is 443.",
                    "hutch network why web db.example.com:5432");
    add_box(*command, why->box);
    command->add_option("HOST", why->host, "A name, or an address of IPv4; with a port as HOST:PORT")->required();
    add_json_flag(*command, why->json);
    run_on(command, program, why, show_why);
}

}  // namespace hutch::client
