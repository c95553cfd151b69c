#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "client/format.h"
#include "client/program.h"

namespace hutch::client {
namespace {

struct HeaderOptions {
    std::string box;  ///< empty: for all boxes
    std::string pattern;
    std::vector<std::string> headers;
    bool json = false;
};

std::string headers_target(const HeaderOptions& options) {
    return options.box.empty() ? "/v2/box/settings/attach-headers" : box_target(options.box, "/config/attach-headers");
}

/// X-Api-Key: X_API_KEY
std::string variable_for(std::string name) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return c == '-' ? '_' : static_cast<char>(std::toupper(c)); });
    return name;
}

Result<Json> headers_of(const std::vector<std::string>& texts) {
    Json headers = Json::object();
    for (const std::string& text : texts) {
        const size_t equals = text.find('=');
        const std::string name = text.substr(0, equals);
        const std::string variable = variable_for(name);
        const char* value = equals == std::string::npos ? getenv(variable.c_str()) : text.c_str() + equals + 1;
        if (name.empty() || value == nullptr) {
            return invalid("HEADER: \"" + text + "\" is neither NAME=VALUE nor is " + variable + " in the environment");
        }
        headers[name] = value;
    }
    return headers;
}

Result<int> set_headers(const Program& program, const HeaderOptions& options) {
    Json wanted = Json::object();
    wanted["attach_headers"][options.pattern] = TRY(headers_of(options.headers));
    const Api api = TRY(program.api());
    TRY(api.call("PATCH", headers_target(options), wanted));
    return 0;
}

Result<int> remove_headers(const Program& program, const HeaderOptions& options) {
    Json unset = Json::array();
    for (const std::string& name : options.headers) unset.push_back(options.pattern + " " + name);
    if (unset.empty()) unset.push_back(options.pattern);
    const Api api = TRY(program.api());
    TRY(api.call("PATCH", headers_target(options), {{"unset", unset}}));
    return 0;
}

Result<int> list_headers(const Program& program, const HeaderOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get(headers_target(options)));
    const Json rules = answer.is_object() ? answer.value("attach_headers", Json::object()) : Json::object();
    if (options.json) return show_json(rules);
    std::string lines;
    for (const auto& [pattern, headers] : rules.items()) {
        for (const auto& [name, value] : headers.items()) {
            lines += printable(pattern + " " + name + "=" + text_of(headers, name.c_str())) + "\n";
        }
    }
    return show(lines);
}

void add_for_box(CLI::App& command, std::string& box) {
    command.add_option("--box", box, "Of this box alone, by name or id; else of all boxes")->type_name("BOX");
}

}  // namespace

void add_headers_commands(CLI::App& app, Program& program) {
    CLI::App* headers = add_command(
        app, "headers",
        "Headers for requests that boxes make; with BOX: list its own\n\nThey are put into HTTPS requests to these "
        "hosts "
        "on their way, outside of the\nbox, which never has their values. A pattern is a host, or *.example.com for\n"
        "all below it; of those that fit, the most specific one alone counts. A box's\nown win over those of all "
        "boxes.",
        "hutch headers web");
    const auto options = std::make_shared<HeaderOptions>();
    headers->require_subcommand(0, 1);
    add_box(*headers, options->box)->required(false);
    add_json_flag(*headers, options->json);
    headers->callback([&program, options, headers] {
        if (!headers->get_subcommands().empty()) return;
        program.action = [&program, options] { return list_headers(program, *options); };
    });

    CLI::App* command = add_command(*headers, "set", "Attach headers for a pattern of hosts, at once",
                                    "hutch headers set --box web api.example.com Authorization='Bearer abc'");
    add_for_box(*command, options->box);
    command->add_option("PATTERN", options->pattern, "api.example.com, or *.example.com")->required();
    command
        ->add_option("HEADER", options->headers,
                     "NAME=VALUE; or NAME, of hutch's own environment (X-Api-Key: X_API_KEY)")
        ->required();
    run_on(command, program, options, set_headers);

    command = add_command(*headers, "rm", "Attach them no more: those named, or all of the pattern",
                          "hutch headers rm --box web api.example.com");
    add_for_box(*command, options->box);
    command->add_option("PATTERN", options->pattern, "As it was set")->required();
    command->add_option("NAME", options->headers, "Of a header");
    run_on(command, program, options, remove_headers);
}

}  // namespace hutch::client
