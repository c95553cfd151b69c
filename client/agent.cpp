#include <unistd.h>

#include <iostream>
#include <set>

#include "client/format.h"
#include "client/paint.h"
#include "client/program.h"
#include "client/server_events.h"

namespace hutch::client {
namespace {

struct AgentOptions {
    std::string box, prompt, folder;
    bool json = false;
};

/// What an agent does, as somebody reads it who watches: its words as they come, a line for each thing it does.
class View {
  public:
    explicit View(Colour colour) : colour_(colour) {}

    std::string of(const ServerEvent& event) {
        const Json data = parse_json(event.data);
        if (event.name == "run_start" && data.contains("waits_for")) {
            return line("waits for run " + text_of(data, "waits_for"), Tone::kDim);
        }
        if (event.name == "text") return words(text_of(data, "text"), Tone::kPlain);
        if (event.name == "thinking") return words(text_of(data, "text"), Tone::kDim);
        if (event.name == "tool") return line("> " + text_of(data, "name") + " " + brief(data, "input"), Tone::kActive);
        if (event.name == "tool_result") return line(indented(brief(data, "output")), Tone::kDim);
        if (event.name == "stats") cpu_ = count_of(data, "cpu_ns");
        if (event.name == "error") error_ = text_of(data, "error");
        if (event.name == "done") return summary(data);
        return "";
    }
    [[nodiscard]] const std::string& error() const { return error_; }
    [[nodiscard]] bool ended() const { return ended_ || !error_.empty(); }

  private:
    static constexpr size_t kLongest = 200;  ///< bytes of what a tool is given or says

    std::string words(const std::string& text, Tone tone) {
        if (text.empty()) return "";
        in_line_ = text.back() != '\n';
        return paint(printable(text, Lines::kKeep), tone, colour_);
    }
    std::string line(const std::string& text, Tone tone) {
        const std::string before = std::exchange(in_line_, false) ? "\n" : "";
        return before + paint(printable(text), tone, colour_) + "\n";
    }
    static std::string indented(const std::string& text) { return "  " + text; }
    static std::string brief(const Json& data, const char* key) {
        const Json value = data.value(key, Json());
        std::string text = value.is_string() ? value.get<std::string>() : value.dump();
        text = text.substr(0, text.find_last_not_of(" \r\n\t") + 1);
        return text.size() <= kLongest ? text : text.substr(0, kLongest) + " ...";
    }
    std::string summary(const Json& done) {
        ended_ = true;
        const std::string tokens = std::to_string(integer_of(done, "input_tokens")) + " tokens in, " +
                                   std::to_string(integer_of(done, "output_tokens")) + " out, " +
                                   format_cost(number_of(done, "total_cost_usd")) + ", " + format_cpu(cpu_) + " CPU";
        return line(tokens, Tone::kDim);
    }

    Colour colour_;
    bool in_line_ = false;  ///< the last thing shown did not end its line
    bool ended_ = false;
    uint64_t cpu_ = 0;
    std::string error_;
};

/// What the box differs from its image in, by path; what is left of a later list without those of an earlier one is
/// what has changed meanwhile.
std::set<std::string> differences(const Api& api, const std::string& box) {
    std::set<std::string> found;
    const auto answer = api.get(box_target(box, "/diff"));
    if (!answer.ok()) return found;  // it is shown beside the answer, not instead of it
    for (const Json& change : array_of(answer.value(), "changes")) {
        if (text_of(change, "path").find("/.") != std::string::npos) continue;  // what programs keep for themselves
        found.insert(text_of(change, "change") + " " + text_of(change, "path") + "\n" +
                     std::to_string(integer_of(change, "size")));
    }
    return found;
}

Result<void> show_changes(const std::set<std::string>& before, const std::set<std::string>& after, Colour colour) {
    std::string lines;
    for (const std::string& change : after) {
        if (before.contains(change)) continue;
        lines += paint(printable(change.substr(0, change.find('\n'))), Tone::kGood, colour) + "\n";
    }
    TRY(show(lines));
    return {};
}

Result<void> watch(Response& response, View& view, bool json) {
    ServerEvents stream;
    for (;;) {
        const std::string_view piece = TRY(response.read());
        if (piece.empty()) break;
        stream.feed(piece);
        std::string shown;
        while (const auto event = stream.next()) {
            const std::string seen = view.of(*event);
            shown += json ? R"({"event":")" + event->name + R"(","data":)" + passed_on(event->data) + "}\n" : seen;
        }
        TRY(show(shown));
    }
    if (!view.error().empty()) return Error{ErrorKind::kSystem, 0, printable(view.error())};
    if (!view.ended()) return Error{ErrorKind::kSystem, 0, "the daemon's answer broke off; the agent goes on"};
    return {};
}

Result<void> prompt(const Api& api, const AgentOptions& options, const std::string& text) {
    Json body{{"prompt", text}};
    if (!options.folder.empty()) body["folder"] = options.folder;
    Request request{
        .method = "POST", .target = box_target(options.box, "/run/stream"), .content_type = "application/json"};
    request.body = TRY(dump_json(body));
    const std::set<std::string> before = options.json ? std::set<std::string>() : differences(api, options.box);
    Response response = TRY(api.open(request));
    const Colour colour = colour_for(STDOUT_FILENO);
    View view(colour);
    const auto watched = watch(response, view, options.json);
    if (!options.json) TRY(show_changes(before, differences(api, options.box), colour));
    return watched;
}

Result<int> run_prompt(const Program& program, const AgentOptions& options) {
    const Api api = TRY(program.api());
    TRY(prompt(api, options, options.prompt));
    return 0;
}

/// Prompts from standard input, a line each, until its end; the agent goes on with what was said before.
Result<int> talk(const Program& program, const AgentOptions& options) {
    if (options.box.empty()) return invalid("name a box: hutch agent BOX, or hutch agent run BOX PROMPT");
    const Api api = TRY(program.api());
    const bool terminal = isatty(STDIN_FILENO) != 0;
    int code = 0;
    for (std::string line;;) {
        if (terminal) TRY(show("\n" + paint(options.box + " >", Tone::kActive, colour_for(STDOUT_FILENO)) + " "));
        if (!std::getline(std::cin, line)) break;
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        const auto answered = prompt(api, options, line);
        if (!answered.ok()) complain(answered.error().message);
        code = answered.ok() ? 0 : 1;
    }
    if (terminal) TRY(show("\n"));
    return code;
}

}  // namespace

void add_agent_command(CLI::App& app, Program& program) {
    const auto talking = std::make_shared<AgentOptions>();
    CLI::App* agent = add_command(app, "agent",
                                  "Talk with the agent of a box\n\nA prompt a line, until the end of input; each "
                                  "goes on where the last one ended.\nA box has an agent when it was made with "
                                  "`hutch create --agent`.",
                                  "hutch agent web");
    agent->require_subcommand(0, 1);
    add_box(*agent, talking->box)->required(false);
    agent->add_option("-w,--workdir", talking->folder, "Directory it works in")->type_name("DIR");

    const auto options = std::make_shared<AgentOptions>();
    CLI::App* command = add_command(*agent, "run",
                                    "Give the agent of a box one prompt, and watch what it does\n\nAt the end the "
                                    "files that have changed are listed.",
                                    "hutch agent run web \"make the tests pass\" --workdir app");
    add_box(*command, options->box);
    command->add_option("PROMPT", options->prompt, "What it is to do")->required();
    command->add_option("-w,--workdir", options->folder, "Directory it works in")->type_name("DIR");
    command->add_flag("--json", options->json, "Its events, one JSON object a line, for programs");
    run_on(command, program, options, run_prompt);
    agent->callback([&program, agent, talking] {
        if (!agent->get_subcommands().empty()) return;
        program.action = [&program, talking] { return talk(program, *talking); };
    });
}

}  // namespace hutch::client
